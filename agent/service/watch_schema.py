"""Schema of the table `[watch]`: the heat monitor's thresholds, each per kind of heater (docs/heat-monitor.md). The
lower bounds keep it slower than the firmware's own protection."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Degrees = Annotated[float, msgspec.Meta(ge=5, le=100)]
_Seconds = Annotated[float, msgspec.Meta(ge=60, le=3600)]


class _PerHeater(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold per kind of heater."""


class WatchMargin(_PerHeater, frozen=True):
    """`[watch] margin_c`: °C above `[job] max_temperature` from which on a heater is over the limit."""

    tool: _Degrees = 20.0
    bed: _Degrees = 15.0
    chamber: _Degrees = 15.0


class WatchRise(_PerHeater, frozen=True):
    """`[watch] rise_s`: seconds in which a heater that heats gets warmer."""

    tool: _Seconds = 90.0
    bed: _Seconds = 240.0
    chamber: _Seconds = 900.0


class WatchFall(_PerHeater, frozen=True):
    """`[watch] fall_c`: °C below its target at which a heater that was there has fallen."""

    tool: _Degrees = 15.0
    bed: _Degrees = 10.0
    chamber: _Degrees = 15.0


class WatchFallTime(_PerHeater, frozen=True):
    """`[watch] fall_s`: seconds in which a heater that has fallen gets warmer again."""

    tool: _Seconds = 90.0
    bed: _Seconds = 240.0
    chamber: _Seconds = 900.0


class WatchAbove(_PerHeater, frozen=True):
    """`[watch] above_c`: °C above its target, or while it is off, at which a heater is out of control."""

    tool: _Degrees = 25.0
    bed: _Degrees = 15.0
    chamber: _Degrees = 20.0


class WatchSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[watch]`: whether the agent watches the heat itself, and its thresholds."""

    enabled: bool = True
    margin_c: WatchMargin = WatchMargin()
    rise_s: WatchRise = WatchRise()
    fall_c: WatchFall = WatchFall()
    fall_s: WatchFallTime = WatchFallTime()
    above_c: WatchAbove = WatchAbove()
    silent_s: _Seconds = 120.0

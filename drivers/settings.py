"""Settings that a driver is constructed with: the tables `[serial]`, `[simulated]` and `[driver]`, and its scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from agent.core.driver import Scripts


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[simulated]`. `speed` is simulated seconds per real second, infinity never waits; `dialect` as in
    `drivers/simulated/dialects.py`, `faults` as in `drivers/simulated/faults.py`."""

    speed: float = 1.0
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()


class HeatLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the heat monitor for one kind of heater, in °C and seconds; `docs/heat-monitor.md` has the rules
    that use them."""

    limit_c: float  # the heater is over the limit from here on, whatever its target is
    rise_c: float  # a heater that heats gets so much warmer than it was at the least…
    rise_s: float  # …within this time
    fall_c: float  # a heater at its target is not this far below it…
    fall_s: float  # …for this long without getting warmer by `rise_c`…
    back_s: float  # …nor for this long in all; one that heats gets warmer than it was at the most within this time
    above_c: float  # a heater gets this much warmer than its target, or while it is off, than it has been, by no fault
    jump_c: float  # more than this from one reading to the next is a jump…
    jump_rate: float  # …beside what it may really change in a second
    silent_s: float  # a heater that is on is not silent for this long


TOOL_LIMITS = HeatLimits(
    limit_c=320.0,
    rise_c=3.0,
    rise_s=90.0,
    fall_c=15.0,
    fall_s=90.0,
    back_s=180.0,
    above_c=25.0,
    jump_c=25.0,
    jump_rate=3.0,
    silent_s=120.0,
)
BED_LIMITS = HeatLimits(
    limit_c=135.0,
    rise_c=1.5,
    rise_s=240.0,
    fall_c=10.0,
    fall_s=240.0,
    back_s=600.0,
    above_c=15.0,
    jump_c=15.0,
    jump_rate=2.0,
    silent_s=120.0,
)
CHAMBER_LIMITS = HeatLimits(
    limit_c=95.0,
    rise_c=1.0,
    rise_s=900.0,
    fall_c=15.0,
    fall_s=900.0,
    back_s=1800.0,
    above_c=20.0,
    jump_c=20.0,
    jump_rate=1.5,
    silent_s=120.0,
)


class WatchSettings(msgspec.Struct, frozen=True):
    """Whether the heat is watched, and with which thresholds per kind of heater."""

    enabled: bool = True
    tool: HeatLimits = TOOL_LIMITS
    bed: HeatLimits = BED_LIMITS
    chamber: HeatLimits = CHAMBER_LIMITS


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a driver. `port` is a device path or `auto`; `baud` is in bits per second; `window` is lines in
    flight; `build_volume` is x, y, z in mm, empty when it is not known. `deadman_s`: seconds without a move after which
    the firmware itself turns the heaters off during a print (M85), 0 for never. `black_box_dir`: the folder for black
    boxes of failures, empty for none. `watch`: what the heat monitor takes for a fault. `own`: the table `[driver]` as
    it was read, which `drivers.own_settings` converts to the driver's own struct."""

    port: str = "auto"
    baud: Literal["auto"] | int = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | int = "auto"
    scripts: Scripts = Scripts()
    build_volume: tuple[float, ...] = ()
    deadman_s: int = 0
    black_box_dir: str = ""
    watch: WatchSettings = WatchSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    own: Mapping[str, object] = {}

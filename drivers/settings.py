"""What every driver is made with: the sections `[serial]` and `[simulated]`, and the scripts it needs of its own."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.core.ports import Scripts


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`speed` is simulated seconds per real second, infinity never waits; `dialect` as in its dialects.py, `faults` as
    in its faults.py."""

    speed: float = 1.0
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`port` is a device path or `auto`; `baud` is in bits per second; `window` is lines in flight."""

    port: str = "auto"
    baud: Literal["auto"] | int = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | int = "auto"
    scripts: Scripts = Scripts()
    simulated: SimulatedSettings = SimulatedSettings()

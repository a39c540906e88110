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


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a driver. `port` is a device path or `auto`; `baud` is in bits per second; `window` is lines in
    flight; `build_volume` is x, y, z in mm, empty when it is not known. `deadman_s`: seconds without a move after which
    the firmware itself turns the heaters off during a print (M85), 0 for never. `black_box_dir`: the folder for black
    boxes of failures, empty for none. `own`: the table `[driver]` as it was read, which `drivers.own_settings` converts
    to the driver's own struct."""

    port: str = "auto"
    baud: Literal["auto"] | int = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | int = "auto"
    scripts: Scripts = Scripts()
    build_volume: tuple[float, ...] = ()
    deadman_s: int = 0
    black_box_dir: str = ""
    simulated: SimulatedSettings = SimulatedSettings()
    own: Mapping[str, object] = {}

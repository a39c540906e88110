"""What every driver is made with: the sections `[serial]` and `[simulated]`, and the scripts it needs of its own."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.core.driver import Scripts


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`speed` is simulated seconds per real second, infinity never waits; `dialect` as in its dialects.py, `faults` as
    in its faults.py."""

    speed: float = 1.0
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`port` is a device path or `auto`; `baud` is in bits per second; `window` is lines in flight; `build_volume` is
    x, y, z in mm, empty when it is not known. `deadman_s`: seconds without a move after which the firmware itself turns
    the heaters off during a print (M85), 0 for never. `black_box_dir`: the folder for black boxes of failures, empty
    for none."""

    port: str = "auto"
    baud: Literal["auto"] | int = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | int = "auto"
    scripts: Scripts = Scripts()
    build_volume: tuple[float, ...] = ()
    deadman_s: int = 0
    black_box_dir: str = ""
    simulated: SimulatedSettings = SimulatedSettings()

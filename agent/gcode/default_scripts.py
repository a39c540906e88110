"""Default scripts of home, park and calibrate for each dialect (docs/gcode.md «Default scripts»). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

_LIFT = ("G91", "G1 Z10 F600", "G90")


class DefaultScripts(msgspec.Struct, frozen=True):
    """G-code of the three commands on one family of firmwares."""

    home: tuple[str, ...] = ("G28",)
    park: tuple[str, ...] = (*_LIFT, "G28 X Y")
    calibrate: tuple[str, ...] = ("G28", "G29")


GENERIC = DefaultScripts()

DEFAULT_SCRIPTS: Mapping[str, DefaultScripts] = MappingProxyType(
    {
        "marlin": DefaultScripts(calibrate=("G28", "G29 V1")),  # V1: it tells each point
        "marlin1": DefaultScripts(calibrate=("G28", "G29 V1")),
        "prusa": DefaultScripts(home=("G28 W",), calibrate=("G28 W", "G80")),  # a bare G28 probes the bed as well
        "repetier": DefaultScripts(calibrate=("G28", "G32 S1")),  # S1: kept until the power is switched off
        "reprap": DefaultScripts(park=("G28 X Y",)),  # a move of an axis that is not homed is refused; homex.g lifts
        "smoothie": DefaultScripts(calibrate=("G28", "G32")),
        "klipper": DefaultScripts(calibrate=("G28", "BED_MESH_CALIBRATE")),
        "generic": GENERIC,
    }
)
"""Dialect, by the name that `Telemetry.dialect` has, to its scripts."""


def default_scripts(dialect: str) -> DefaultScripts:
    """The scripts for a dialect; those of `generic` for a name that there is not."""
    return DEFAULT_SCRIPTS.get(dialect, GENERIC)

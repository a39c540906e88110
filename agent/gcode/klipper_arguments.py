"""Temperatures among the arguments of Klipper's named commands and of an owner's macros. Pure.

Klipper undoes a shell's quoting (shlex) and gives the numbers to Python's float, which takes more than plain decimals.
A macro's arguments mean what its owner wrote; those whose names look like a temperature are held to the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agent.gcode.command_policy import NAMES
from agent.gcode.limits import Limits
from agent.gcode.strict_reader import NamedLine

_TEMPERATURE_KEY = re.compile(
    r"(?:^|_)TEMP(?:ERATURE)?S?\d*(?:_|$)|TEMP(?:ERATURE)?\d*$|^TARGET$|^(?:BED|CHAMBER|HOTEND|NOZZLE|EXTRUDER|TOOL)\d*$"
)
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_PAIR = re.compile(r"([A-Z0-9_]+)[ \t]*=(?=[ \t]*([^\s=#]*))")
_QUOTING = re.compile(r"[\"'\\]")
_SET_HEATER: Final = "SET_HEATER_TEMPERATURE"


def hot_arguments(line: NamedLine, whole: str, limits: Limits) -> str:
    """Why the arguments of `line`, in `whole` with capitals, must not be passed on; empty if they may. Nothing of the
    line is told but names of Klipper's own: the file may be none of G-code."""
    if line.name == _SET_HEATER and line.arguments is None:
        return f"{line.name}: expected KEY=VALUE"
    who = line.name if line.name in (_SET_HEATER, *NAMES) else "a macro"
    heaters = [_heater(value) for key, value in _pairs(whole) if key == "HEATER"]
    for key, value in _pairs(whole):
        if not _TEMPERATURE_KEY.search(key):
            continue
        if not _PLAIN_NUMBER.fullmatch(value):
            if _is_a_number(value):
                return f"{who}: a temperature is not a plain number"
            continue
        held = heaters if line.name == _SET_HEATER and key == "TARGET" else []
        for heater in held or [_heater_of_key(key)]:
            if why := limits.too_hot(heater, float(value)):
                return f"{who} {why}"
    return ""


def _pairs(whole: str) -> Iterator[tuple[str, str]]:
    """Whatever may be KEY=VALUE once a shell's quoting is undone."""
    for found in _PAIR.finditer(_QUOTING.sub("", whole)):
        yield found[1], found[2]


def _heater(name: str) -> str:
    """The limit that a heater of Klipper's is held to: that of the chamber, the lowest, for one that is not known."""
    if "BED" in name:
        return "bed"
    return "tool" if name.startswith("EXTRUDER") else "chamber"


def _heater_of_key(key: str) -> str:
    if "BED" in key:
        return "bed"
    return "chamber" if "CHAMBER" in key else "tool"


def _is_a_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True

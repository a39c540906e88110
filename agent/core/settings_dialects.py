"""How each firmware takes a setting and tells it: G-code lines, and the reading of their answers (docs/serial.md §33).

A `Way` belongs to one setting of one dialect. A value is read from the answer to the line `ask`: behind the text
`marker` stands the letter `letter` with the number, or the number itself. Pure; the names of the dialects are those of
`Telemetry.dialect`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from agent.core.driver import NOT_KNOWN, REFUSED
from agent.core.settings import KNOWN, Value

ROUNDING: Final = 0.001
"""Share of a value by which the firmware's own may differ, beside the digits that it does not tell."""

_ALL_AT_ONCE: Final = "M503"
"""The line to which a firmware tells all that it has: what is not in the answer it has not."""
_NUMBER = re.compile(r"([A-Za-z]?)[:=]? ?([-+]?[0-9]+(?:\.([0-9]+))?)")
_WORD = re.compile(r"\w")


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How one firmware takes and tells one setting. `gcode` has `{}` where the number goes; of a switch that has two
    commands `off` is the other one. `ask` is the line that makes it tell the value; empty where no such line is safe.
    Without `marker` it tells nothing. `scale`: its unit is so many of ours."""

    gcode: str
    off: str = ""
    ask: str = ""
    marker: str = ""
    letter: str = ""
    scale: float = 1.0

    def line(self, value: Value) -> str:
        """The G-code line that sets `value`, a checked one."""
        if self.off:
            return self.gcode if value else self.off
        return self.gcode.format(_plain(float(value) * self.scale))


class Told(msgspec.Struct, frozen=True):
    """A number as a firmware told it, in its own unit; `step` is the worth of its last digit."""

    number: float
    step: float


class Answers(msgspec.Struct, frozen=True):
    """What was answered to each line that was sent, in their order."""

    lines: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]

    def of(self, ask: str) -> Iterable[str]:
        """The answer to `ask` first, then all others: some firmwares say `ok` first, and then the rest."""
        for line, texts in zip(self.lines, self.texts, strict=False):
            if line == ask:
                yield from texts
        for line, texts in zip(self.lines, self.texts, strict=False):
            if line != ask:
                yield from texts


def _word(word: str, letter: str, ask: str, scale: float = 1.0, *, fixed: str = "") -> Way:
    """A setting that one letter of one command sets, and that is told as that command."""
    return Way(gcode=f"{word}{fixed} {letter}{{}}", ask=ask, marker=word, letter=letter, scale=scale)


def _axes(name: str, word: str, ask: str, axes: str = "xyze", scale: float = 1.0, marker: str = "") -> dict[str, Way]:
    return {
        f"{name}_{axis}": Way(
            gcode=f"{word} {axis.upper()}{{}}", ask=ask, marker=marker or word, letter=axis.upper(), scale=scale
        )
        for axis in axes
    }


def _untold(name: str, word: str) -> dict[str, Way]:
    return {f"{name}_{axis}": Way(gcode=f"{word} {axis.upper()}{{}}") for axis in "xyze"}


def _pid(name: str, word: str, fixed: str = "") -> dict[str, Way]:
    return {f"{name}_pid_{term}": _word(word, term.upper(), "M503", fixed=fixed) for term in "pid"}


_FAN = Way(gcode="M106 S{}", scale=2.55)
_MOTION: Final = {
    "print_acceleration": _word("M204", "P", "M503"),
    "retract_acceleration": _word("M204", "R", "M503"),
    "travel_acceleration": _word("M204", "T", "M503"),
    **_axes("max_acceleration", "M201", "M503"),
    **_axes("jerk", "M205", "M503"),
    **_axes("max_feedrate", "M203", "M503"),
    **_axes("steps_per_mm", "M92", "M503"),
    **_pid("nozzle", "M301"),
    **_pid("bed", "M304"),
}
_RETRACTION: Final = {
    "retract_length": _word("M207", "S", "M503"),
    "retract_speed": _word("M207", "F", "M503", 60.0),
    "retract_lift": _word("M207", "Z", "M503"),
}
_MARLIN: Final = {
    "speed_percent": Way(gcode="M220 S{}", ask="M220", marker="FR"),
    "flow_percent": Way(gcode="M221 S{}", ask="M221", marker="Flow"),
    "fan_percent": _FAN,
    **_MOTION,
    "junction_deviation": _word("M205", "J", "M503"),
    **_axes("probe_offset", "M851", "M503", "xyz"),
    "linear_advance": _word("M900", "K", "M503"),
    **_RETRACTION,
    "bed_mesh": _word("M420", "S", "M503"),
    "babystep_z": Way(gcode="M290 Z{}"),
}

WAYS: Final[Mapping[str, Mapping[str, Way]]] = MappingProxyType(
    {
        "marlin": _MARLIN,
        "marlin1": _MARLIN,
        "prusa": {
            "speed_percent": Way(gcode="M220 S{}"),
            "flow_percent": Way(gcode="M221 S{}"),
            "fan_percent": _FAN,
            **_MOTION,
            "linear_advance": Way(gcode="M900 K{}"),
            **_RETRACTION,
        },
        "repetier": {  # M220 and M221 without S set 100 %, but each tells what it has set
            "speed_percent": Way(gcode="M220 S{}", marker="SpeedMultiply"),
            "flow_percent": Way(gcode="M221 S{}", marker="FlowMultiply"),
            "fan_percent": Way(gcode="M106 S{}", marker="Fanspeed", scale=2.55),
            **_untold("max_acceleration", "M201"),
            "jerk_x": Way(gcode="M207 X{}", ask="M207", marker="Jerk"),
            "jerk_z": Way(gcode="M207 Z{}", ask="M207", marker="ZJerk"),
            **_untold("steps_per_mm", "M92"),
            "babystep_z": Way(gcode="M290 Z{}"),
        },
        "reprap": {
            "speed_percent": Way(gcode="M220 S{}", ask="M220", marker="factor override"),
            "flow_percent": Way(gcode="M221 D0 S{}", ask="M221 D0", marker="for extruder 0"),
            "fan_percent": _FAN,
            "print_acceleration": Way(gcode="M204 P{}", ask="M204", marker="printing acceleration"),
            "travel_acceleration": Way(gcode="M204 T{}", ask="M204", marker="travel acceleration"),
            **_axes("max_acceleration", "M201", "M201", marker="accelerations (mm/sec^2)"),
            **_axes("jerk", "M566", "M566", scale=60.0, marker="jerk rates (mm/min)"),
            **_axes("max_feedrate", "M203", "M203", scale=60.0, marker="speeds (mm/min)"),
            **_axes("steps_per_mm", "M92", "M92", marker="Steps/mm"),
            "linear_advance": Way(gcode="M572 D0 S{}", ask="M572 D0", marker="pressure advance"),
            "retract_length": Way(gcode="M207 S{}", ask="M207", marker="length"),
            "retract_speed": Way(gcode="M207 F{}", scale=60.0),  # told in mm/s
            "retract_lift": Way(gcode="M207 Z{}", ask="M207", marker="Z hop"),
            "bed_mesh": Way(gcode="G29 S1", off="G29 S2"),
            "babystep_z": Way(gcode="M290 R1 S{}"),
        },
        "smoothie": {
            "speed_percent": Way(gcode="M220 S{}", ask="M220", marker="Speed factor at"),
            "flow_percent": Way(gcode="M221 S{}", ask="M221", marker="Flow rate at"),
            "fan_percent": _FAN,
            "print_acceleration": _word("M204", "S", "M503"),
            "junction_deviation": _word("M205", "X", "M503"),
            **_axes("max_feedrate", "M203", "M503"),
            **_axes("steps_per_mm", "M92", "M503"),
            **_pid("nozzle", "M301", " S0"),
            **_RETRACTION,
        },
        "klipper": {  # M220 and M221 without S set 100 %
            "speed_percent": Way(gcode="M220 S{}"),
            "flow_percent": Way(gcode="M221 S{}"),
            "fan_percent": _FAN,
            "print_acceleration": Way(
                gcode="SET_VELOCITY_LIMIT ACCEL={}", ask="SET_VELOCITY_LIMIT", marker="max_accel"
            ),
            "square_corner_velocity": Way(
                gcode="SET_VELOCITY_LIMIT SQUARE_CORNER_VELOCITY={}",
                ask="SET_VELOCITY_LIMIT",
                marker="square_corner_velocity",
            ),
            "max_velocity": Way(
                gcode="SET_VELOCITY_LIMIT VELOCITY={}", ask="SET_VELOCITY_LIMIT", marker="max_velocity"
            ),
            "linear_advance": Way(
                gcode="SET_PRESSURE_ADVANCE ADVANCE={}", ask="SET_PRESSURE_ADVANCE", marker="pressure_advance"
            ),
            "retract_length": Way(
                gcode="SET_RETRACTION RETRACT_LENGTH={}", ask="GET_RETRACTION", marker="RETRACT_LENGTH"
            ),
            "retract_speed": Way(gcode="SET_RETRACTION RETRACT_SPEED={}", ask="GET_RETRACTION", marker="RETRACT_SPEED"),
            "bed_mesh": Way(gcode="BED_MESH_PROFILE LOAD=default", off="BED_MESH_CLEAR"),
            "babystep_z": Way(gcode="SET_GCODE_OFFSET Z_ADJUST={}"),
        },
    }
)
"""What each firmware knows of the table of settings."""

GENERIC: Final[Mapping[str, Way]] = MappingProxyType(
    {"speed_percent": Way(gcode="M220 S{}"), "flow_percent": Way(gcode="M221 S{}"), "fan_percent": _FAN}
)
"""What a firmware that is not known takes."""

SAVES: Final = MappingProxyType(dict.fromkeys(("marlin", "marlin1", "prusa", "repetier", "reprap", "smoothie"), "M500"))
"""The line that writes the settings into the EEPROM, for the firmwares that have one."""


def ways(dialect: str) -> Mapping[str, Way]:
    """What the firmware knows of the table of settings."""
    return WAYS.get(dialect, GENERIC)


def lines_for(dialect: str, settings: Mapping[str, Any]) -> list[str]:
    """G-code lines that apply checked settings, in the order of the table; what the firmware has not is left out."""
    known = ways(dialect)
    return [known[name].line(settings[name]) for name in KNOWN if name in settings and name in known]


def missing(dialect: str, settings: Mapping[str, Any]) -> list[str]:
    """The names of settings in the table that the firmware has not."""
    return [name for name in KNOWN if name in settings and name not in ways(dialect)]


def asks(dialect: str, names: Iterable[str]) -> list[str]:
    """The lines that make the firmware tell these settings, each once."""
    known = ways(dialect)
    return list(dict.fromkeys(known[name].ask for name in names if name in known and known[name].ask))


def read(dialect: str, names: Iterable[str], answers: Answers) -> dict[str, Told]:
    """The numbers of these settings in the firmware's own unit; what it does not tell is left out."""
    known = ways(dialect)
    found = {name: _told(known[name], answers) for name in names if name in known and known[name].marker}
    return {name: told for name, told in found.items() if told is not None}


def value_of(dialect: str, name: str, told: Told) -> Value:
    """The value of a setting, in our unit, as the firmware told it."""
    setting, value = KNOWN[name], told.number / ways(dialect)[name].scale
    if setting.switch:
        return bool(value)
    return round(value) if setting.whole else round(value, 6)


def agrees(dialect: str, name: str, value: Value, told: Told) -> bool:
    """Whether what the firmware told is `value`, but for the digits that it does not tell."""
    wanted = float(value) * ways(dialect)[name].scale
    return abs(wanted - told.number) <= 0.5 * told.step + ROUNDING * abs(wanted) + 1e-9


def not_taken(dialect: str, settings: Mapping[str, Any], answers: Answers) -> dict[str, str]:
    """What the firmware has not taken of `settings`, by name, with the reason for a person: `500 was set, the printer
    has 1000`. `answers` are those to `lines_for` and to `asks`."""
    known, found = ways(dialect), {}
    refused, told = rejected(answers), read(dialect, settings, answers)
    for name in KNOWN:
        if name not in settings or name not in known:
            continue
        line = known[name].line(settings[name])
        if line in refused:
            found[name] = f"{line}: {refused[line]}"
        elif name in told:
            if not agrees(dialect, name, settings[name], told[name]):
                has = _plain(told[name].number / known[name].scale)
                found[name] = f"{_plain(float(settings[name]))} was set, the printer has {has}"
        elif known[name].ask == _ALL_AT_ONCE and known[name].ask in answers.lines:
            found[name] = "the printer tells no such setting"
    return found


def rejected(answers: Answers) -> dict[str, str]:
    """The lines that the firmware does not know, or has refused, with its reason."""
    found = {}
    for line, texts in zip(answers.lines, answers.texts, strict=False):
        for text in texts:
            if text.startswith(NOT_KNOWN):
                found[line] = "the printer does not know this command"
            elif text.startswith(REFUSED):
                found[line] = "the printer refused it: " + text.removeprefix(REFUSED)
    return found


def _told(way: Way, answers: Answers) -> Told | None:
    for text in answers.of(way.ask):
        if text.startswith((NOT_KNOWN, REFUSED)):
            continue
        rest = _behind(text, way.marker)
        for letter, number, digits in _NUMBER.findall(rest):
            if letter.upper() == way.letter:
                return Told(float(number), 10.0 ** -len(digits))
    return None


def _behind(text: str, marker: str) -> str:
    """What stands behind `marker`, as a word of its own; empty where it is not there."""
    at = text.lower().find(marker.lower())
    while at >= 0:
        end = at + len(marker)
        if not _WORD.match(text[at - 1 : at]) and not _WORD.match(text[end : end + 1]) and text[end : end + 1] != ".":
            return text[end:]
        at = text.lower().find(marker.lower(), end)
    return ""


def _plain(number: float) -> str:
    """A number as firmwares read it: no exponent, at most five decimals."""
    return f"{number:.5f}".rstrip("0").rstrip(".") if number else "0"

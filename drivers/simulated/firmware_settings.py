"""Settings of the simulated firmware: what each family stores, how it is set, and how it is told (docs/serial.md §33).

A family is a table from a command to the letters that it knows, with what they are after the first start. A letter that
is not there is passed over in silence, as firmwares do. `M500` keeps the values over a reset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Values = Mapping[str, Mapping[str, float]]
"""Command → letter → value."""

_AXES: Final = {"X": 80.0, "Y": 80.0, "Z": 400.0, "E": 500.0}
_FEEDS: Final = {"X": 300.0, "Y": 300.0, "Z": 5.0, "E": 50.0}
_ACCELERATIONS: Final = {"X": 3000.0, "Y": 3000.0, "Z": 100.0, "E": 10000.0}
_MARLIN: Final[Values] = MappingProxyType(
    {
        "M92": _AXES,
        "M203": _FEEDS,
        "M201": _ACCELERATIONS,
        "M204": {"P": 1500.0, "R": 1500.0, "T": 1500.0},
        "M205": {"B": 20000.0, "S": 0.0, "T": 0.0, "J": 0.01},
        "M420": {"S": 0.0, "Z": 10.0},
        "M301": {"P": 22.2, "I": 1.08, "D": 114.0},
        "M304": {"P": 97.1, "I": 1.41, "D": 1675.16},
        "M207": {"S": 3.0, "W": 13.0, "F": 2700.0, "Z": 0.0},
        "M851": {"X": 10.0, "Y": 10.0, "Z": -1.2},
        "M900": {"K": 0.04},
    }
)
_JERKS: Final = {"S": 0.0, "T": 0.0, "B": 20000.0, "X": 10.0, "Y": 10.0, "Z": 0.4, "E": 5.0}
_MARLIN1: Final = {code: values for code, values in _MARLIN.items() if code != "M900"} | {"M205": _JERKS}
_PRUSA: Final = {code: values for code, values in _MARLIN1.items() if code not in ("M420", "M851")}
_SMOOTHIE: Final[Values] = MappingProxyType(
    {
        "M92": _AXES,
        "M204": {"S": 3000.0},
        "M205": {"X": 0.05, "Z": -1.0, "S": 0.0},
        "M203": {**_FEEDS, "S": -1.0},
        "M301": {"S": 0.0, "P": 10.0, "I": 0.3, "D": 200.0},
        "M207": {"S": 3.0, "F": 2700.0, "Z": 0.0, "Q": 6000.0},
    }
)
_REPRAP: Final[Values] = MappingProxyType(
    {
        "M92": _AXES,
        "M201": _ACCELERATIONS,
        "M203": {"X": 18000.0, "Y": 18000.0, "Z": 300.0, "E": 3000.0},
        "M566": {"X": 600.0, "Y": 600.0, "Z": 24.0, "E": 300.0},
        "M204": {"P": 10000.0, "T": 10000.0},
        "M572": {"S": 0.0},
        "M207": {"S": 2.0, "F": 2400.0, "Z": 0.0},
    }
)
_REPETIER: Final[Values] = MappingProxyType({"M92": _AXES, "M201": _ACCELERATIONS, "M207": {"X": 20.0, "Z": 0.3}})
_KLIPPER: Final[Values] = MappingProxyType(
    {
        "SET_VELOCITY_LIMIT": {"VELOCITY": 300.0, "ACCEL": 3000.0, "SQUARE_CORNER_VELOCITY": 5.0},
        "SET_PRESSURE_ADVANCE": {"ADVANCE": 0.0},
        "SET_RETRACTION": {"RETRACT_LENGTH": 0.5, "RETRACT_SPEED": 20.0},
    }
)
_FAMILIES: Final[Mapping[str, Values]] = MappingProxyType(
    {
        "marlin": _MARLIN,
        "marlin1": _MARLIN1,
        "marlin1.0": _MARLIN1,
        "prusa": _PRUSA,
        "repetier": _REPETIER,
        "reprap": _REPRAP,
        "reprap3": _REPRAP,
        "smoothie": _SMOOTHIE,
        "klipper": _KLIPPER,
    }
)
_TOLD_ALONE: Final = MappingProxyType(
    {
        "M92": b"Steps/mm: X: %(X).3f, Y: %(Y).3f, Z: %(Z).3f, E: %(E).3f",
        "M201": b"Accelerations (mm/sec^2): X: %(X).1f, Y: %(Y).1f, Z: %(Z).1f, E: %(E).1f",
        "M203": b"Max speeds (mm/min): X: %(X).1f, Y: %(Y).1f, Z: %(Z).1f, E: %(E).1f, min. speed 30.00",
        "M566": b"Maximum jerk rates (mm/min): X: %(X).1f, Y: %(Y).1f, Z: %(Z).1f, E: %(E).1f, jerk policy: 0",
        "M204": b"Maximum printing acceleration %(P).1f, maximum travel acceleration %(T).1f mm/sec^2",
        "M572": b"Extruder pressure advance: %(S).3f",
        "M207": b"Tool 0 retract/reprime: length %(S).2f/%(S).2fmm, speed 40.0/40.0mm/sec, Z hop %(Z).2fmm",
    }
)
"""What RepRapFirmware says to a command without parameters."""
_MULTIPLIERS: Final[Mapping[str, tuple[bytes, bytes]]] = MappingProxyType(
    {
        "marlin": (b"FR:%d%%", b"echo:E0 Flow: %d%%"),
        "marlin1": (b"", b"echo:E0 Flow: %d%%"),
        "reprap": (b"Speed factor override: %.1f%%", b"Extrusion factor override for extruder 0: %.1f%%"),
        "reprap3": (b"Speed factor override: %.1f%%", b"Extrusion factor override for extruder 0: %.1f%%"),
        "smoothie": (b"Speed factor at %6.2f %%", b"Flow rate at %6.2f %%"),
    }
)
"""What is said to M220 and to M221 without S."""
RESETS_WITHOUT_NUMBER: Final = ("repetier", "klipper")
"""Families whose M220 and M221 without S set 100 %."""


_SILENT: Final = ("SET_GCODE_OFFSET", "BED_MESH_PROFILE", "BED_MESH_CLEAR")
_KLIPPER_TELLS: Final = MappingProxyType(
    {
        "SET_VELOCITY_LIMIT": b"// max_velocity: %(VELOCITY).6f\n// max_accel: %(ACCEL).6f\n"
        b"// minimum_cruise_ratio: 0.500000\n// square_corner_velocity: %(SQUARE_CORNER_VELOCITY).6f",
        "SET_PRESSURE_ADVANCE": b"// pressure_advance: %(ADVANCE).6f\n// pressure_advance_smooth_time: 0.040000",
    }
)


def knows(family: str, code: str) -> bool:
    """Whether a family has values of this command."""
    return code in _FAMILIES.get(family, {})


class FirmwareSettings:
    """The settings of one printer. `saved` outlives a reset."""

    def __init__(self, family: str, saved: Values | None = None) -> None:
        self.family = family
        self.saved = saved if saved is not None else _FAMILIES.get(family, {})
        self.values = {code: dict(letters) for code, letters in self.saved.items()}

    def save(self) -> None:
        """Keep what is set over a reset."""
        self.saved = {code: dict(letters) for code, letters in self.values.items()}

    def set(self, code: str, given: Mapping[str, float]) -> bool:
        """Take what a command gives; whether it gave something that there is."""
        known = self.values.get(code, {})
        taken = {letter: value for letter, value in given.items() if letter in known}
        known.update(taken)
        return bool(taken)

    def told_alone(self, code: str) -> bytes:
        """What is said to a command without parameters; empty for nothing."""
        if self.family not in ("reprap", "reprap3") or code not in _TOLD_ALONE:
            return b""
        return _TOLD_ALONE[code] % _bytes_keys(self.values[code])

    def multiplier(self, percent: float, *, flow: bool) -> bytes:
        """What is said to M220, or M221, without S; empty for nothing."""
        text = _MULTIPLIERS.get(self.family, (b"", b""))[flow]
        return text % percent if text else b""

    def jerk(self) -> bytes:
        """What Repetier says to M207."""
        return b"Jerk:%.2f ZJerk:%.2f" % (self.values["M207"]["X"], self.values["M207"]["Z"])

    def report(self) -> bytes:
        """The answer to M503 without its `ok`."""
        if self.family == "smoothie":
            return self._report(b"; %b:\n", b"")
        if self.family.startswith("reprap"):
            return b"M550 PDuet\nG90\nM83\n"  # the configuration file as it is written
        return self._report(b"echo:; %b:\n", b"echo:  ")

    def named(self, body: bytes) -> bytes | None:
        """Execute one of Klipper's commands that have names; what it says, None for one that is not of settings."""
        name, _, rest = body.decode("ascii", "replace").partition(" ")
        name = name.upper()
        if self.family != "klipper":
            return None
        if name == "GET_RETRACTION":
            return b"// RETRACT_LENGTH=%(RETRACT_LENGTH).5f RETRACT_SPEED=%(RETRACT_SPEED).5f" % _bytes_keys(
                self.values["SET_RETRACTION"]
            )
        if name not in self.values:
            return b"" if name in _SILENT else None
        given = {}
        for word in rest.upper().split():
            key, _, value = word.partition("=")
            if re.fullmatch(r"-?[0-9.]*[0-9]", value) and value.count(".") < 2:
                given[key] = float(value)
        self.set(name, given)
        told = _KLIPPER_TELLS.get(name, b"") if name == "SET_PRESSURE_ADVANCE" or not given else b""
        return told % _bytes_keys(self.values[name]) if told else b""

    def _report(self, heading: bytes, lead: bytes) -> bytes:
        lines = []
        for code, letters in self.values.items():
            words = b" ".join(b"%b%.2f" % (letter.encode(), value) for letter, value in letters.items())
            lines.append(heading % b"Settings" + lead + b"%b %b\n" % (code.encode(), words))
        return b"".join(lines)


def _bytes_keys(values: Mapping[str, float]) -> dict[bytes, float]:
    return {key.encode(): value for key, value in values.items()}

"""Printer settings: names, limits, and the G-code that applies them.

A closed table: a setting from the network never becomes G-code except through it. Names that are not in the table do
nothing and are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Setting(msgspec.Struct, frozen=True):
    """One setting: a whole number within limits (inclusive), and the G-code that applies it."""

    low: int
    high: int
    gcode: str


KNOWN: dict[str, Setting] = {
    "speed_percent": Setting(10, 500, "M220 S{}"),  # feed rate of all moves
    "flow_percent": Setting(50, 200, "M221 S{}"),  # extrusion
}


def check(settings: Mapping[str, Any]) -> list[str]:
    """Check settings against the limits; the names that are unknown and not stored. Raises ValueError with the
    name, the limits and the value for a known one that is out of bounds."""
    for name, known in KNOWN.items():
        value = settings.get(name, known.low)
        if isinstance(value, bool) or not isinstance(value, int) or not known.low <= value <= known.high:
            raise ValueError(f"settings: {name}: expected {known.low} to {known.high}, got {str(value)[:40]!r}")
    return sorted(set(settings) - set(KNOWN))


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are in the table, in its order."""
    return {name: settings[name] for name in KNOWN if name in settings}


def gcode(settings: Mapping[str, Any]) -> list[str]:
    """G-code lines that apply checked settings before a print."""
    return [known.gcode.format(int(settings[name])) for name, known in KNOWN.items() if name in settings]

"""Limits that a file is held to: temperatures, the build volume, and which groups of commands it may have. Pure."""

from __future__ import annotations

import msgspec

COLDEST = -273.15
"""°C; below it a number is no temperature, and some firmwares make a high one of it (16 bits)."""


class Limits(msgspec.Struct, frozen=True):
    """The highest temperatures a file may ask for, in degrees Celsius (`[job] max_temperature`), the build volume,
    x, y, z in mm (`[printer] build_volume`), empty when it is not known, and the groups of commands that the owner
    allows (`[job] allow`, agent.gcode.command_policy)."""

    tool: float = 300
    bed: float = 120
    chamber: float = 80
    volume: tuple[float, ...] = ()
    allow: tuple[str, ...] = ()

    def too_hot(self, heater: str, degrees: float) -> str:
        """Why `heater` (`tool`, `bed` or `chamber`) may not get this target; empty if it may."""
        allowed: float = getattr(self, heater)
        if degrees > allowed:
            return f"asks for {degrees:g} °C, allowed for the {heater} are {allowed:g} °C"
        return f"asks for {degrees:g} °C, which is no temperature" if degrees < COLDEST else ""

    @property
    def text(self) -> str:
        """What a scan was made with, to compare: an index holds for files that were judged alike."""
        groups = ",".join(sorted(self.allow))
        volume = "x".join(f"{length:g}" for length in self.volume)
        return f"{self.tool:g}/{self.bed:g}/{self.chamber:g} {volume or '-'} {groups or '-'}"

"""What a pause must remember for the way back to the print (docs/serial.md §27). Pure data; part of the checkpoint."""

from __future__ import annotations

import msgspec

from drivers.gcode.printing.head_position import HeadPosition


class ParkedState(msgspec.Struct, forbid_unknown_fields=True):
    """What the way back needs. Heater targets in °C by heater name; `away`: the head may have gone somewhere else
    since; `retracted`: mm of filament pulled back by the built-in pause."""

    position: HeadPosition | None = None
    targets: dict[str, float] = {}
    away: bool = False
    retracted: float = 0.0


class PauseState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pause of a print. `ours`: the host sent the head away, not the printer itself; `in_file`: the next line of
    the file asked for the pause; `reason` is for a person."""

    saved: ParkedState = msgspec.field(default_factory=ParkedState)
    ours: bool = False
    in_file: bool = False
    reason: str = ""

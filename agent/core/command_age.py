"""The age of a command at which it is not done any more: a limit for each (`[job] max_age_s`), a shorter one for the
start of a print (`[job] start_within_s`), which must not begin by itself when nobody expects it any more.
"""

from __future__ import annotations

import msgspec

from agent.core.command import Command, Name


class AgeLimits(msgspec.Struct, frozen=True):
    """Seconds since a command was sent after which it is refused: `start` for print_data, `other` for the rest."""

    other: float
    start: float

    def of(self, command: Command) -> float:
        """The limit for this command, in seconds."""
        return min(self.start, self.other) if command.name is Name.PRINT_DATA else self.other

    def objection(self, command: Command, age: float, *, rebooted: bool = False) -> str:
        """Why a command that was sent `age` seconds ago comes too late; empty when it does not. `rebooted`: the machine
        was started anew since it was written down; how long it was off, a clock without a battery does not know."""
        is_start = command.name is Name.PRINT_DATA
        if is_start and rebooted:
            return f"{command.raw_name}: the machine was started anew before the print began; send it again"
        if age <= self.of(command):
            return ""
        key = "start_within_s" if is_start and self.start <= self.other else "max_age_s"
        ago = f"{age / 3600:.1f} hours" if age >= 3600 else f"{age / 60:.0f} minutes"
        return f"{command.raw_name}: too old to be done, it was sent {ago} ago ([job] {key})"

    def missed(self, command: Command, age: float | None) -> str:
        """Why a command that the channel had lost cannot be done when nobody knows its age (None); empty when it can: a
        start, and a dismiss that names no job, are for this moment only."""
        dated = command.name is Name.PRINT_DATA or (command.name is Name.DISMISS and not command.job_id)
        if age is not None or not dated:
            return ""
        return f"{command.raw_name}: it was missed, and the server does not say when it was sent; send it again"

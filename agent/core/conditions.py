"""Conditions: what is wrong, as a tree, so that a person is told the one thing to look at.

    heat       a heater is on, and nothing runs that needs it
    disk       the state folder does not take a write
    printer    offline, halted
    bed        a print waits until somebody confirms that the bed is clear
    network    the server gives no answer at all
     └ cloud       it answers, but not as it should (429, 5xx)
        └ token        it does not know this printer, or nobody has added it
    clock      the wall clock is far from the server's

What is wrong with a parent hides what is wrong below it: without a network nothing can be known of the cloud.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Part(StrEnum):
    """The parts that can be in trouble, the most important first."""

    HEAT = "heat"
    DISK = "disk"
    PRINTER = "printer"
    BED = "bed"
    NETWORK = "network"
    CLOUD = "cloud"
    TOKEN = "token"  # noqa: S105 a name, not a secret
    CLOCK = "clock"


PARENT = {Part.CLOUD: Part.NETWORK, Part.TOKEN: Part.CLOUD}


class Conditions(msgspec.Struct, frozen=True):
    """The raised conditions: part → reason; a part without a reason has none."""

    reasons: dict[Part, str] = {}

    def with_(self, part: Part, reason: str) -> Conditions:
        """A copy with this reason for `part`; an empty one clears the condition."""
        left = {known: why for known, why in self.reasons.items() if known is not part}
        return Conditions(left | {part: reason} if reason else left)

    def shown(self) -> dict[Part, str]:
        """The conditions that a person is told, the most important first: none that a raised parent hides."""
        return {part: self.reasons[part] for part in Part if part in self.reasons and not self._hidden(part)}

    def first(self, *leave_out: Part) -> str:
        """The most important condition, as «part: reason»; empty without one."""
        return next((f"{part}: {reason}" for part, reason in self.shown().items() if part not in leave_out), "")

    def _hidden(self, part: Part) -> bool:
        above = PARENT.get(part)
        return above is not None and (above in self.reasons or self._hidden(above))

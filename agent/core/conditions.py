"""What is wrong, as one tree, so that a person is told the one thing to look at.

    disk       the state folder does not take a write
    printer    offline, halted
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
    """What can be wrong, in the order in which a person should care."""

    DISK = "disk"
    PRINTER = "printer"
    NETWORK = "network"
    CLOUD = "cloud"
    TOKEN = "token"  # noqa: S105 a name, not a secret
    CLOCK = "clock"


PARENT = {Part.CLOUD: Part.NETWORK, Part.TOKEN: Part.CLOUD}


class Conditions(msgspec.Struct, frozen=True):
    """The reasons by part; a part without one is well."""

    reasons: dict[Part, str] = {}

    def with_(self, part: Part, reason: str) -> Conditions:
        """The same with this reason for `part`; an empty one says that it is well."""
        left = {known: why for known, why in self.reasons.items() if known is not part}
        return Conditions(left | {part: reason} if reason else left)

    def shown(self) -> dict[Part, str]:
        """What a person is told, the most important first: nothing that a broken parent hides."""
        return {part: self.reasons[part] for part in Part if part in self.reasons and not self._hidden(part)}

    def first(self, *leave_out: Part) -> str:
        """The one reason, as «part: reason»; empty when all is well."""
        return next((f"{part}: {reason}" for part, reason in self.shown().items() if part not in leave_out), "")

    def _hidden(self, part: Part) -> bool:
        above = PARENT.get(part)
        return above is not None and (above in self.reasons or self._hidden(above))

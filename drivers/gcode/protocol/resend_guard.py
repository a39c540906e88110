"""Guard against garbled resend requests: which of them are accepted (docs/serial.md §8–10). Pure.

A request is accepted when the `Error:` before it names the same line, when it asks for what is in flight, or when it is
repeated and no `Error:` contradicts it: what was garbled on the way must not bring back lines that were executed.
"""

from __future__ import annotations

from drivers.gcode.protocol.numbering import Numbers
from drivers.gcode.protocol.steps import OutgoingLine

REQUESTS = 10
"""The same line requested so often fails."""


class ResendGuard:
    """Line numbers are -1 where there is none. `reported_next`: what an `Error:` named last as the number it wants
    next; `settling_for`: the accepted request whose own `ok` is waited for, `own_ok_seen` whether it came;
    `ok_expected`: that of a request which was not accepted is still to come."""

    __slots__ = (
        "_numbers",
        "_requested",
        "_requested_once",
        "_times",
        "ok_expected",
        "own_ok_seen",
        "reported_next",
        "settling_for",
    )

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._requested_once = -1  # by a request that is not accepted yet
        self._requested = -1
        self._times = 0
        self.reported_next = -1
        self.settling_for = -1
        self.own_ok_seen = False
        self.ok_expected = False

    def take_reported(self) -> int:
        """What an `Error:` named last; forget it."""
        reported, self.reported_next = self.reported_next, -1
        return reported

    def judge(self, number: int, oldest: OutgoingLine | None, *, locating: bool) -> tuple[int, bool]:
        """The line that a request for `number` (-1: garbled) and the `Error:` before it want, and whether they are
        believed. `oldest` is the oldest line in flight."""
        reported, numbers = self.take_reported(), self._numbers
        wanted = number if number > 0 else reported
        repeated = wanted == self._requested_once and min(number, reported) < 0
        agreed = wanted > 0 and (number == reported or repeated)
        if locating:
            return wanted, agreed
        first = oldest.number if oldest else numbers.last + 1
        single = reported if number < 0 else number if reported < 0 else -1
        return wanted, (agreed and numbers.within(wanted)) or first <= single <= numbers.last

    def refuse(self, wanted: int, *, ok_expected: bool) -> None:
        """A request was not believed: it is when it is repeated."""
        self._requested_once = wanted
        self.ok_expected = ok_expected

    def accept(self) -> None:
        """A request was believed."""
        self._requested_once = -1

    def settle(self, requested: int, *, own_ok_seen: bool) -> None:
        """Wait for the request's own `ok`, unless it came."""
        self.ok_expected = False
        self.settling_for = requested
        self.own_ok_seen = own_ok_seen

    def too_often(self, number: int, acknowledged: int) -> bool:
        """Count a request for `number`; whether it was the last of REQUESTS without progress. `acknowledged` is the
        last line that was."""
        again = self._requested == number and acknowledged < number
        self._times = self._times + 1 if again else 1
        self._requested = number
        return self._times >= REQUESTS

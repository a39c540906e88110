"""Which requests for a line are believed, and what is sent again (docs/serial.md §8–10). Pure.

A request is believed when the `Error:` before it names the same place, when it asks for what is in flight, or when it
is told twice and no `Error:` contradicts it: what was garbled on the way must not bring back lines that were executed.
"""

from __future__ import annotations

from collections import deque
from math import inf

from drivers.gcode.protocol.numbering import HISTORY, HOST, MOVE_TO, file_line
from drivers.gcode.protocol.phases import Phase, Service
from drivers.gcode.protocol.silence import VAGUE, Silence
from drivers.gcode.protocol.steps import Command

REQUESTS = 10
"""The same line asked for so often fails."""
MISSED = 3
"""So many requests in a row without the `ok` that followed others: it does not come any more."""


class Resends(Silence):
    """The part of a `Protocol` that goes back to where the printer wants it."""

    def _asked(self, number: int, now: float, *, swallowed: bool = False) -> Command | None:
        """The printer wants `number` (-1: garbled), and its `Error:` line may have said the same."""
        place, self._place = self._place, -1
        wanted = number if number > 0 else place
        agreed = wanted > 0 and (number == place or (wanted == self._told and min(number, place) < 0))
        within = self._numbers.within(wanted)
        if self._phase is Phase.LOCATING:
            believed = agreed
        else:
            first = self.in_flight[0].number if self.in_flight else self._numbers.last + 1
            plain = place if number < 0 else number if place < 0 else -1
            believed = (agreed and within) or first <= plain <= self._numbers.last
        if believed or (number > 0 and not self._locates):
            return self._believe(wanted, now, swallowed=swallowed)
        self._told = wanted
        self._owed = self._follows and not swallowed
        self._vague += 1
        if self._vague > VAGUE:
            self._fail(f"line {file_line(self._numbers.last)}: the printer asks for others, each time for another one")
        else:
            self._locate(now)
        return None

    def _believe(self, number: int, now: float, *, swallowed: bool = False) -> Command | None:
        """The printer wants `number` next."""
        located, self._told = self._phase is Phase.LOCATING, -1
        if located:
            self._locates = self._located = True
        numbers, asked = self._numbers, number
        if not numbers.within(number):
            if numbers.last > numbers.base and numbers.host is (number >= HOST and number > numbers.base):
                self._fail(f"line {number}: the printer asked for it, but the last one sent is {numbers.last}")
                return None
            number = numbers.base  # the M110 that led here was lost
        if not numbers.knows(number):
            self._fail(f"line {asked}: the printer asked for it, it is older than the last {HISTORY} sent")
            return None
        missing = number <= numbers.last
        first = self.in_flight[0].number if self.in_flight else -1
        arrived = [c for c in self.in_flight if numbers.base < number and c.number < number]
        again = [c for c in arrived if c.number < 0 and not located]  # thrown away, most likely
        self.in_flight = deque(c for c in arrived if c not in again)
        self._bytes = sum(len(c.wire) for c in self.in_flight)
        self._todo.extendleft(again)
        numbers.cursor = number
        self._settle(asked, now, swallowed=swallowed)
        if missing:
            self._doubt = self._doubt or number != first
            self.window.resend()
            if self._locates and any(isinstance(c, Command) and c.code == MOVE_TO for c in self._todo):
                self._todo.appendleft(Service.LOCATE)  # what is sent again must have arrived before the space is left
        self._calm = located and self._calm and not missing and self._strikes == self._vague == 0
        if not located:
            self._count_request(number)
            return None
        self._strikes = self._vague = 0
        self._has = number - 1
        return self._found_out(now, missing=missing) if self.in_flight else None

    def _settle(self, asked: int, now: float, *, swallowed: bool) -> None:
        """Wait for the request's own `ok` and for stragglers."""
        self._phase = Phase.SETTLING
        self._owed = False
        self._settling_for = asked
        self._swallowed = swallowed
        self.deadline = now + (self._timing.straggle if swallowed else self._timing.resend_ok)

    def _found_out(self, now: float, *, missing: bool) -> Command | None:
        """After a silence the printer has told its place; it has all that is in flight now. Either that was
        acknowledged and the `ok` lost, which shows when later lines are missing, or nobody knows yet."""
        self._doubt = True
        if not missing:
            self._in_limbo(now)
            return None
        command = None
        while self.in_flight:
            command = self._acknowledge(now, self.deadline)
        return command

    def _settled(self, now: float) -> None:
        if not self._swallowed and self._follows and self._locates and self._late < MISSED:
            self._late += 1  # the request's own ok may still come, and must not be taken for that of an M110
            self._locate(now)
            return
        self._phase = Phase.OPEN
        self.deadline = now + self._due_after() if self.in_flight else inf
        self.send_again(now)

    def _count_request(self, number: int) -> None:
        asked, times = self._asked_for
        times = times + 1 if asked == number and self._counters.line < number else 1
        self._asked_for = (number, times)
        if times >= REQUESTS:
            command = self._numbers.at_cursor()
            name = self._name(command) if command is not None else f"line {number}"
            self._fail(f"{name}: the printer asked for it {REQUESTS} times")

"""Where a printer is in its file, asked of one that an agent left in the middle of a print. Pure.

    phase      heard                                         next
    CALM       anything                                      CALM, until nothing comes for a moment: what was on its way
                                                             when the agent before ended says nothing about now
    ASKING     `Error: … Last Line: k`, `Resend: k+1`        once more; FOUND when the place was told consistently
    ASKING     nothing for a while                           asked again, ever more rarely
    ASKING     `ok T:…` again and again, and never a place   FAILED: it does not look at numbers
    both       `start`; a place 0                            FAILED: the board was reset
    both       nothing at all for TAKE_OVER_S                FAILED

A number too high executes nothing and makes the printer tell its place (docs/serial.md §9a). What is written first
ends half
a line that may have been left, in such a way that it is thrown away: without a checksum some firmwares would execute
its beginning.

Told consistently: two answers in a row name the same place and at least one of them did so twice, in its `Error:` and
in its request; or three in a row. A place of the file that is wrong all the same does no harm, the numbers see to that;
one of the host's is proven by the next line, which has the number after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.gcode.framing import frame
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.replies import Event, Kind
from drivers.gcode.timing import Timing

NUMBER = 2_147_483_646
"""Above all others, those of the host's included, and within a signed 32-bit number."""
QUESTION = b"\n" + frame(NUMBER, PROBE)
CUT = b"*300\n"
"""The end of half a line: no checksum is 300."""
RESTARTED = "the printer restarted: its position is lost"
CALM_S = 1.0
"""For how long it is waited for a calm moment at most."""
DEAF = 20
"""So many `ok` in a row and never a place, from a firmware that does not look at numbers; one with temperatures, which
answers the question as if it were any M105, counts five times."""

_LAST = re.compile(r"Last Line:\s*(\d{1,10})$", re.IGNORECASE)
_EXPECTED = re.compile(r"expected line (\d{1,10}) got \d+$", re.IGNORECASE)


class PositionQuery:
    """`last`: number of the line accepted last, -1 until it is known; `failure`: why it never will be, for a person.
    `write` is called from `step` alone."""

    def __init__(self, write: Callable[[bytes], object], timing: Timing, now: float) -> None:
        self.last = -1
        self.failure = ""
        self.deadline = now
        self._write = write
        self._timing = timing
        self._calm_until = now + CALM_S
        self._asking = False
        self._begun = False
        self._silent_at = now + timing.take_over
        self._lost_at = now + LONG_S * timing.patience + timing.take_over
        self._interval = timing.probe / 5
        self._place = -1  # what an `Error:` of this answer said: the number wanted next
        self._told = -1
        self._times = 0
        self._surely = False
        self._answers = 0  # without a place

    def heard(self, event: Event, now: float) -> None:
        """The printer said something."""
        self._silent_at = now + self._timing.take_over
        kind = event.kind
        if kind is Kind.START:
            self.failure = RESTARTED
        elif kind in (Kind.BUSY, Kind.BUSY_USER):
            self._lost_at = max(self._lost_at, now + LONG_S * self._timing.patience)
        if not self._asking:
            self.deadline = min(max(now, self._calm_until), now + self._timing.calm)
        elif kind is Kind.ERROR:
            self._place = _wanted(event.text)
            self._soon(now)
        elif kind is Kind.RESEND:
            self._answered(event.number, now)
        elif kind is Kind.OK:
            self._credit(event, now)
        elif kind in (Kind.DAMAGED, Kind.TEXT):
            self._soon(now)

    def step(self, now: float) -> None:
        """Ask, when it is time. Raises PortError."""
        if self.done:
            return
        if not self._begun:
            self._begun = True
            self._write(CUT)
            self.deadline = now + self._timing.calm
        elif now >= self._silent_at:
            self.failure = f"the printer says nothing ({self._timing.take_over:g} s)"
        elif now >= self._lost_at:
            self.failure = "the printer does not say where it is"
        elif now >= self.deadline:
            self._asking = True
            self._place = -1
            self._write(QUESTION)
            self.deadline = now + self._interval
            self._interval = min(self._interval * 2, self._timing.probe)

    @property
    def done(self) -> bool:
        """Whether it is known where the printer is, or that it never will be."""
        return bool(self.failure) or self.last >= 0

    def due(self) -> float:
        """When `step` has something to do if nothing is heard before."""
        return min(self.deadline, self._silent_at, self._lost_at)

    def _answered(self, number: int, now: float) -> None:
        """A request for `number`, -1 when it cannot be read."""
        place, self._place = self._place, -1
        self._soon(now)
        if place > 0 and number > 0 and place != number:
            return
        told = max(place, number)
        if told <= 0:
            return
        self._answers = 0
        self._interval = self._timing.probe / 5
        self.deadline = now + self._timing.straggle
        if told != self._told:
            self._told, self._times, self._surely = told, 0, False
        self._times += 1
        self._surely = self._surely or place == number
        if self._times >= (2 if self._surely else 3):
            self.last = told - 1
            if self.last == 0:
                self.failure = RESTARTED

    def _credit(self, event: Event, now: float) -> None:
        """An `ok`: that of an answer whose request was garbled, of a line of before, or of the question itself."""
        if self._place > 0:
            self._answered(-1, now)
            return
        self._soon(now)
        self._answers += 5 if event.readings else 1
        if self._answers >= DEAF:
            self.failure = "the printer's firmware does not say where it is"

    def _soon(self, now: float) -> None:
        """Something was heard that may have been an answer: it need not be waited for any longer."""
        self.deadline = min(self.deadline, now + self._timing.resend_ok)


def _wanted(error: str) -> int:
    """The number that an `Error:` says is wanted next; -1 when it says none."""
    if found := _LAST.search(error):
        return int(found[1]) + 1
    found = _EXPECTED.search(error)
    return int(found[1]) if found else -1

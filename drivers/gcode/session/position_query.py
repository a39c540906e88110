"""Position query: ask a printer in the middle of a print which line it accepted last. Pure.

    phase      heard                                         next
    CALM       anything                                      CALM, until nothing comes for a moment: what was on its way
                                                             when the agent before ended says nothing about now
    PROBING    `Error: … Last Line: k`, `Resend: k+1`        probed once more; done when the line was told consistently
    PROBING    nothing for a while                           probed again, ever more rarely
    PROBING    `ok T:…` again and again, and never a line    FAILED: it does not look at numbers
    both       `start`; a last line 0                        FAILED: the board was reset
    both       nothing at all for TAKE_OVER_S                FAILED

A number too high executes nothing and makes the printer tell its last line (docs/serial.md §9a). What is written first
ends half a line that may have been left, in such a way that it is thrown away: without a checksum some firmwares would
execute its beginning.

Told consistently: two answers in a row name the same line and at least one of them did so twice, in its `Error:` and
in its request; or three in a row. A line of the file that is wrong all the same does no harm, the numbers see to that;
one of the host's is proven by the next line, which has the number after it.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.gcode.framing import frame
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.replies import Event, ReplyKind, next_line_in
from drivers.gcode.timing import Timing

PROBE_NUMBER = 2_147_483_646
"""Above all others, those of the host's included, and within a signed 32-bit number."""
PROBE_LINE = b"\n" + frame(PROBE_NUMBER, PROBE)
ABORT_PARTIAL_LINE = b"*300\n"
"""The end of half a line: no checksum is 300."""
RESTARTED = "the printer restarted: its position is lost"
MAX_CALM_S = 1.0
"""Seconds that a calm moment is waited for at most."""
MAX_UNINFORMATIVE_OKS = 20
"""So many `ok` in a row that tell no line, from a firmware that does not look at numbers; one with temperatures, which
answers the question as if it were any M105, counts five times."""


class PositionQuery:
    """One query. `last`: number of the line accepted last, -1 until it is known; `failure`: why it never will be, for a
    person. `write` is called from `step` alone."""

    def __init__(self, write: Callable[[bytes], object], timing: Timing, now: float) -> None:
        self.last = -1
        self.failure = ""
        self.deadline = now
        self._write = write
        self._timing = timing
        self._calm_latest = now + MAX_CALM_S
        self._probing = False
        self._partial_line_aborted = False
        self._silence_fails_at = now + timing.take_over
        self._fails_at = now + LONG_S * timing.patience + timing.take_over
        self._interval = timing.probe / 5
        self._wanted_next = -1  # what an `Error:` of this answer said: the number wanted next
        self._reported_next = -1
        self._times_reported = 0
        self._confirmed = False
        self._uninformative_oks = 0  # in a row; see MAX_UNINFORMATIVE_OKS

    def heard(self, event: Event, now: float) -> None:
        """Deal with one event."""
        self._silence_fails_at = now + self._timing.take_over
        kind = event.kind
        if kind is ReplyKind.START:
            self.failure = RESTARTED
        elif kind in (ReplyKind.BUSY, ReplyKind.BUSY_USER):
            self._fails_at = max(self._fails_at, now + LONG_S * self._timing.patience)
        if not self._probing:
            self.deadline = min(max(now, self._calm_latest), now + self._timing.calm)
        elif kind is ReplyKind.ERROR:
            self._wanted_next = next_line_in(event.text)
            self._expect_no_more(now)
        elif kind is ReplyKind.RESEND:
            self._handle_resend(event.number, now)
        elif kind is ReplyKind.OK:
            self._handle_ok(event, now)
        elif kind in (ReplyKind.DAMAGED, ReplyKind.TEXT):
            self._expect_no_more(now)

    def step(self, now: float) -> None:
        """Probe, when it is time. Raises PortError."""
        if self.done:
            return
        if not self._partial_line_aborted:
            self._partial_line_aborted = True
            self._write(ABORT_PARTIAL_LINE)
            self.deadline = now + self._timing.calm
        elif now >= self._silence_fails_at:
            self.failure = f"the printer says nothing ({self._timing.take_over:g} s)"
        elif now >= self._fails_at:
            self.failure = "the printer does not say where it is"
        elif now >= self.deadline:
            self._probing = True
            self._wanted_next = -1
            self._write(PROBE_LINE)
            self.deadline = now + self._interval
            self._interval = min(self._interval * 2, self._timing.probe)

    @property
    def done(self) -> bool:
        """Whether it is known where the printer is, or that it never will be."""
        return bool(self.failure) or self.last >= 0

    def due(self) -> float:
        """When `step` has something to do if nothing is heard before."""
        return min(self.deadline, self._silence_fails_at, self._fails_at)

    def _handle_resend(self, number: int, now: float) -> None:
        """A request for `number`, -1 when it cannot be read."""
        wanted, self._wanted_next = self._wanted_next, -1
        self._expect_no_more(now)
        if wanted > 0 and number > 0 and wanted != number:
            return
        reported = max(wanted, number)
        if reported <= 0:
            return
        self._uninformative_oks = 0
        self._interval = self._timing.probe / 5
        self.deadline = now + self._timing.straggle
        if reported != self._reported_next:
            self._reported_next, self._times_reported, self._confirmed = reported, 0, False
        self._times_reported += 1
        self._confirmed = self._confirmed or wanted == number
        if self._times_reported >= (2 if self._confirmed else 3):
            self.last = reported - 1
            if self.last == 0:
                self.failure = RESTARTED

    def _handle_ok(self, event: Event, now: float) -> None:
        """An `ok`: that of an answer whose request was garbled, of a line of before, or of the question itself."""
        if self._wanted_next > 0:
            self._handle_resend(-1, now)
            return
        self._expect_no_more(now)
        self._uninformative_oks += 5 if event.readings else 1
        if self._uninformative_oks >= MAX_UNINFORMATIVE_OKS:
            self.failure = "the printer's firmware does not say where it is"

    def _expect_no_more(self, now: float) -> None:
        """Something was heard that may have been an answer: do not wait for another for long."""
        self.deadline = min(self.deadline, now + self._timing.resend_ok)

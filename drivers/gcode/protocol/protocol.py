"""Credits, resends and silence. Pure: time comes in, bytes go to `write`.

    phase     heard                        next      done
    OPEN      ok, lines in flight          OPEN      the oldest is acknowledged; with `N…` all up to that one
    OPEN      ok, nothing in flight        OPEN      ignored (a doubled one), but from now on more are reckoned with
    OPEN      resend n, believed           SETTLING  all in flight from n on is dropped: it will be sent again
    OPEN      resend n, not believed       LOCATING  a number too high is sent
    OPEN      an error that names a place, OPEN      the request was garbled: as if it had come
              then ok without a request
    OPEN      patience over, gives_up      OPEN      the line is forgotten
    OPEN      an ok is overdue, a garbled  LOCATING  a number too high is sent: a strike
              line, `wait` when not idle
    SETTLING  ok                           SETTLING  the first is the request's own: swallowed; a moment for stragglers
                                                     (none where nothing was amiss)
    SETTLING  resend, the same n           SETTLING  stale, ignored
    SETTLING  another line, or 0.5 s       OPEN      (a moment after the line)
              0.5 s, where the ok has come LOCATING  it may be late, and must not be taken for another's
              after other requests
    LOCATING  ok                           LOCATING  late, not lost: acknowledged
    LOCATING  ok with temperatures         OPEN      a firmware that does not check numbers: all is acknowledged
    LOCATING  resend n, believed           SETTLING  n and all after it will be sent again. When nothing is missing and
                                                     an ok still is: an M105, whose answer proves that all before it
                                                     was done
    LOCATING  an answer without a place    LOCATING  again; the twentieth in a row counts as none
    LOCATING  nothing                      LOCATING  again: a strike, until patience is over

`sending` writes, `exchange` is in a hurry, `silence` asks, `resends` goes back. Between the file's lines and the host's
(`numbering`) stands an M110. Before it goes a number too high: a line that was wrongly taken for acknowledged would
else be lost for good. After it, where `ok T:…` answers M105, goes an M105 that proves that it was done. Failures: a
silence, the same number asked for ten times, a number older than the history (docs/serial.md §1–10, §13–16).

A number too high executes nothing and tells the printer's place, whereas a repeat of the last line is passed over in
silence (§9a). `M110` is never in flight with anything else: Marlin carries it out twice, on arrival and in its turn.
"""

from __future__ import annotations

import re
from math import inf

from agent.gcode.words import command_word
from drivers.gcode.protocol.numbering import MOVE_TO
from drivers.gcode.protocol.patience import heats
from drivers.gcode.protocol.phases import PROBE, Counters, Phase
from drivers.gcode.protocol.quality import SAMPLES
from drivers.gcode.protocol.resends import Resends
from drivers.gcode.protocol.steps import Command

__all__ = ["PROBE", "Counters", "Phase", "Protocol"]

_PLACE = re.compile(r"Last Line:\s*(\d{1,10})$", re.IGNORECASE)
_EXPECTED = re.compile(r"expected line (\d{1,10}) got \d+$", re.IGNORECASE)  # Repetier
_NUMBERED_OK = re.compile(r"N(\d{1,10})(?: P\d+)?(?: B(\d{1,3}))?")


class Protocol(Resends):
    """One connection. Methods that may bring a credit back return the command whose credit it was, the last of them
    when there were several."""

    def ok(self, text: str, now: float) -> Command | None:
        """An `ok` came, with `text` after it."""
        if self._phase is Phase.SETTLING:
            return self._ok_settling(now)
        speaks = "T:" in text or "T0:" in text or (self._speaks and "/" in text)  # its letters may be garbled
        if self._phase is Phase.LOCATING:
            return self._ok_locating(now, speaks=speaks)
        if self._place > 0:  # an error without a request: the request was garbled
            return self._asked(-1, now, swallowed=True)
        if not self.in_flight:
            self._too_many(now)
            return None
        head = self.in_flight[0]
        if head.code == PROBE:
            self._speaks = self._speaks or speaks
        if speaks != (head.code == PROBE) and self._speaks and not text.startswith("N"):
            self._too_many(now)  # an M105's, once more; or another's, before the M105's own
            return None
        if head.code == MOVE_TO and self.window.known and not text.startswith("N"):
            self._too_many(now)  # an M110's has its number: this one is for a line that came as another
            return None
        self._strikes = 0
        if len(self.in_flight) == 1:
            self._counters.quality.latencies[self._counters.sent % SAMPLES] = now - self._sent_at
        if text.startswith("N") and (found := _NUMBERED_OK.match(text)):
            return self._numbered_ok(found, now)
        return self._acknowledge(now)

    def resend(self, number: int, now: float) -> Command | None:
        """The printer asks for `number` (-1: cannot be read)."""
        place, self._place = self._place, -1
        if self._phase is Phase.SETTLING and number in (self._settling_for, -1):
            self._swallowed = False
            return None
        self._place = place
        return self._asked(number, now)

    def error(self, text: str, now: float) -> None:
        """An `Error:` line came; it may say which line was accepted last."""
        if found := _PLACE.search(text):
            self._place = int(found[1]) + 1
        else:
            found = _EXPECTED.search(text)
            self._place = int(found[1]) if found else -1
        self._answered = True
        self.other(now)

    def other(self, now: float) -> None:
        """A line came that is neither `ok` nor a resend."""
        if self._phase is Phase.SETTLING and (self._swallowed or not self._follows):
            self.deadline = min(self.deadline, now + self._timing.straggle)

    def damaged(self, now: float) -> None:
        """A line came that may have been an answer before it was garbled: ask soon."""
        self._swallowed = self._swallowed or self._phase is Phase.SETTLING
        self._answered = True
        self.other(now)
        if self._phase is Phase.OPEN and self.in_flight:
            self.deadline = min(self.deadline, now + self._timing.garbled)

    def busy(self, now: float, *, user: bool = False) -> None:
        """The printer still works on the line in flight, or waits for a `user`, who may take for ever."""
        if self.in_flight and self._phase is not Phase.SETTLING:
            self._strikes, self._since = 0, now
            self.deadline = inf if user else now + max(self._due_after(), self._timing.busy)

    def temperatures(self, now: float) -> None:
        """A temperature line came: a sign of progress only for a line that heats."""
        self.other(now)
        if self.in_flight and self._phase is Phase.OPEN and heats(self.in_flight[0].code):
            self.deadline = max(self.deadline, now + self._due_after())

    def wait(self, now: float) -> None:
        """The printer says that it has nothing to do."""
        self.other(now)
        if self._phase is Phase.OPEN and self.in_flight and now - self._sent_at >= self._timing.wait:
            self._doubtful(now)

    def saved(self, now: float) -> Command | None:
        """`Done saving file` stands for the `ok` of M29 (docs/serial.md §5)."""
        if self.in_flight and command_word(self.in_flight[0].code) == b"M29":
            return self.ok("", now)
        return None

    def tick(self, now: float) -> Command | None:
        """Something is overdue when `now` has reached `deadline`."""
        if now < self.deadline or self.failure:
            return None
        if self._phase is Phase.SETTLING:
            self._settled(now)
            return None
        if self._phase is Phase.LOCATING:
            return self._unanswered(now)
        if not self.in_flight:
            self.deadline = inf
            self._go_on(now)
            return None
        if self._given(self.in_flight[0]).gives_up:
            return self._acknowledge(now)
        self._doubtful(now)
        return None

    def _numbered_ok(self, found: re.Match[str], now: float) -> Command | None:
        """`ok N7 P15 B3`: all up to line 7 is done. One for a line not in flight is one too many, or garbled."""
        number = int(found[1])
        if found[2]:
            self.window.shown(int(found[2]))
        command = None
        if self.in_flight[0].number < 0:
            return self._acknowledge(now)
        while (
            any(c.number == number for c in self.in_flight)
            and self.in_flight
            and 0 <= self.in_flight[0].number <= number
        ):
            command = self._acknowledge(now)
        if command is None:
            self._doubt = True
        return command

    def _too_many(self, now: float) -> None:
        self._doubt = self._was_late = True
        if self._listen_at == inf:
            self._listen_at = now + self._timing.listen

    def _ok_settling(self, now: float) -> Command | None:
        self.deadline = now + self._timing.straggle
        if not self._swallowed:
            self._swallowed = self._follows = True
            self._late = 0
            if self._calm and self._speaks:  # nothing was amiss, and an M105 will tell stragglers apart
                self._settled(now)
            return None
        if self.in_flight:
            return self._acknowledge(now, self.deadline)
        self._too_many(now)
        return None

    def _ok_locating(self, now: float, *, speaks: bool) -> Command | None:
        place, self._place = self._place, -1
        if place > 0:
            self._place = place
            return self._asked(-1, now, swallowed=True)
        asked = any(c.code == PROBE for c in (*self.in_flight, *self._limbo))
        if speaks and not asked and not self._located:
            self._locates = False
            self._phase = Phase.OPEN
            self.deadline = inf
            command = None
            while self.in_flight:
                command = self._acknowledge(now)
            return command
        self._answered = True
        self.deadline = min(self.deadline, now + self._timing.resend_ok)
        if self._owed:
            self._owed = False
            return None
        if self.in_flight and (speaks or self.in_flight[0].code != PROBE):
            self._ask_later()
            return self._acknowledge(now, self.deadline)
        self._too_many(now)
        return None

"""Credits, resends and silence. Pure: time comes in, bytes go to `write`.

    phase     heard                        next      done
    OPEN      ok, lines in flight          OPEN      the oldest is acknowledged; with `N…` all up to that one
    OPEN      ok, nothing in flight        OPEN      ignored (a doubled one), but from now on more are reckoned with
    OPEN      resend n, believed           SETTLING  all in flight from n on is dropped: it will be sent again
    OPEN      resend n, not believed       LOCATING  a number too high is sent
    OPEN      an error that names a place, OPEN      the request was garbled: as if it had come
              then ok without a request
    OPEN      patience over, gives_up      OPEN      the line is forgotten
    OPEN      patience over, a garbled     LOCATING  a number too high is sent: a strike
              line, `wait` when not idle
    SETTLING  ok                           SETTLING  the first is the request's own: swallowed; a moment for stragglers
    SETTLING  resend, the same n           SETTLING  stale, ignored
    SETTLING  another line, or 0.5 s       OPEN      (a moment after the line)
              0.5 s, where the ok has come LOCATING  it may be late, and must not be taken for another's
              after other requests
    LOCATING  ok                           LOCATING  late, not lost: acknowledged
    LOCATING  ok with temperatures         OPEN      a firmware that does not check numbers: all is acknowledged
    LOCATING  resend n, believed           SETTLING  n and all after it will be sent again. When nothing is missing and
                                                     an ok still is: an M105, whose answer proves that all before it
                                                     was done
    LOCATING  nothing                      LOCATING  again: a strike; the third fails

A request is believed when the `Error:` before it names the same place, when it asks for what is in flight, or when
it is told twice. Between the file's lines and the host's (`numbering`) stands an M110, and before it a number too high:
a line that was wrongly taken for acknowledged would else be lost for good. Failures: three strikes, the same number
asked for ten times, a number older than the history (SERIAL.md §1–10, §13–16).

A number too high executes nothing and tells the printer's place, whereas a repeat of the last line is passed over in
silence (§9a). `M110` is never in flight with anything else: Marlin carries it out twice, on arrival and in its turn.
"""

from __future__ import annotations

import re
from collections import deque
from math import inf

from drivers.gcode.codes import LONG_S, heats, word
from drivers.gcode.numbering import HISTORY, HOST, MOVE_TO
from drivers.gcode.phases import PROBE, STRIKES, Counters, Phase, Service
from drivers.gcode.quality import SAMPLES
from drivers.gcode.sending import Sender
from drivers.gcode.steps import Command

__all__ = ["PROBE", "REQUESTS", "STRIKES", "Counters", "Phase", "Protocol"]

REQUESTS = 10

_PLACE = re.compile(r"Last Line:\s*(\d{1,10})$", re.IGNORECASE)
_EXPECTED = re.compile(r"expected line (\d{1,10}) got \d+$", re.IGNORECASE)  # Repetier
_NUMBERED_OK = re.compile(r"N(\d{1,10})(?: P\d+)?(?: B(\d{1,3}))?")


class Protocol(Sender):
    """One connection. Methods that may bring a credit back return the command whose credit it was, the last of them
    when there were several."""

    def ok(self, text: str, now: float) -> Command | None:
        """An `ok` came, with `text` after it."""
        if self._phase is Phase.SETTLING:
            return self._ok_settling(now)
        speaks = "T:" in text or "T0:" in text
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
        self.other(now)

    def other(self, now: float) -> None:
        """A line came that is neither `ok` nor a resend."""
        if self._phase is Phase.SETTLING and (self._swallowed or not self._follows):
            self.deadline = min(self.deadline, now + self._timing.straggle)

    def damaged(self, now: float) -> None:
        """A line came that may have been an answer before it was garbled: ask soon."""
        self._swallowed = self._swallowed or self._phase is Phase.SETTLING
        self.other(now)
        if self._phase is Phase.OPEN and self.in_flight:
            self.deadline = min(self.deadline, now + self._timing.garbled)

    def busy(self, now: float, *, user: bool = False) -> None:
        """The printer still works on the line in flight, or waits for a `user`, who may take for ever."""
        if self.in_flight and self._phase is not Phase.SETTLING:
            self._strikes = min(self._strikes, 1)
            self.deadline = inf if user else now + max(self._patience(), self._timing.busy)

    def temperatures(self, now: float) -> None:
        """A temperature line came: a sign of progress only for a line that heats."""
        self.other(now)
        if self.in_flight and self._phase is Phase.OPEN and heats(self.in_flight[0].code):
            self.deadline = max(self.deadline, now + self._patience())

    def wait(self, now: float) -> None:
        """The printer says that it has nothing to do."""
        self.other(now)
        if self._phase is Phase.OPEN and self.in_flight and now - self._sent_at >= self._timing.wait:
            self._doubtful(now)

    def saved(self, now: float) -> Command | None:
        """`Done saving file` stands for the `ok` of M29 (SERIAL.md §5)."""
        if self.in_flight and word(self.in_flight[0].code) == b"M29":
            return self.ok("", now)
        return None

    def tick(self, now: float) -> Command | None:
        """Something is overdue when `now` has reached `deadline`."""
        if now < self.deadline or self.failure:
            return None
        if self._phase is Phase.SETTLING:
            return self._settled(now)
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
        self._doubt = True
        if self._listen_at == inf:
            self._listen_at = now + self._timing.listen

    def _ok_settling(self, now: float) -> Command | None:
        self.deadline = now + self._timing.straggle
        if not self._swallowed:
            self._swallowed = self._follows = True
            self._late = 0
            return None
        if self.in_flight:
            return self._acknowledge(now, self.deadline)
        self._too_many(now)
        return None

    def _ok_locating(self, now: float, *, speaks: bool) -> Command | None:
        place, self._place = self._place, -1
        if place > 0:
            self._place = place
            return self._asked(self._told if place == self._told else -1, now, swallowed=True)
        asked = any(c.code == PROBE for c in (*self.in_flight, *self._limbo))
        if speaks and not asked and not self._located:
            self._locates = False
            self._phase = Phase.OPEN
            self.deadline = inf
            command = None
            while self.in_flight:
                command = self._acknowledge(now)
            return command
        self.deadline = min(self.deadline, now + self._timing.resend_ok)
        if self.in_flight and (speaks or self.in_flight[0].code != PROBE):
            return self._acknowledge(now, self.deadline)
        self._too_many(now)
        return None

    # --- resends

    def _asked(self, number: int, now: float, *, swallowed: bool = False) -> Command | None:
        """The printer wants `number` (-1: garbled), and its `Error:` line may have said the same. What was garbled on
        the way must not be acted upon: it would send lines that were executed again."""
        place, self._place = self._place, -1
        agreed = number in (place, self._told) and number > 0
        within = self._numbers.within(number if number > 0 else place)
        if self._phase is Phase.LOCATING:
            believed = agreed
        else:
            first = self.in_flight[0].number if self.in_flight else self._numbers.last + 1
            plain = place if number < 0 else number if place < 0 else -1
            believed = (agreed and within) or first <= plain <= self._numbers.last
        if believed or (number > 0 and not self._locates):
            return self._believe(number if number > 0 else place, now, swallowed=swallowed)
        self._told = number if number > 0 else place
        self._locate(now)
        return None

    def _believe(self, number: int, now: float, *, swallowed: bool = False) -> Command | None:
        """The printer wants `number` next."""
        located, self._told = self._phase is Phase.LOCATING, -1
        self._located = self._located or located
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
        self._phase = Phase.SETTLING
        self._settling_for = asked
        self._swallowed = swallowed
        self.deadline = now + (self._timing.straggle if swallowed else self._timing.resend_ok)
        if missing:
            self._doubt = self._doubt or number != first
            self.window.resend()
            if self._locates and any(isinstance(c, Command) and c.code == MOVE_TO for c in self._todo):
                self._todo.appendleft(Service.LOCATE)  # what is sent again must have arrived before the space is left
        if not located:
            self._count_request(number)
            return None
        self._strikes = 0
        return self._found_out(now, missing=missing) if self.in_flight else None

    def _found_out(self, now: float, *, missing: bool) -> Command | None:
        """After a silence the printer has told its place; it has all that is in flight now and has not acknowledged it.
        Either that is lost, which shows when later lines are missing, or an M105 must prove that it was done."""
        self._doubt = True
        if missing:
            command = None
            while self.in_flight:
                command = self._acknowledge(now, self.deadline)
            return command
        if sum(c.code == PROBE for c in (*self._limbo, *self.in_flight)) > 2:
            self._rounds += 1
            if self._rounds & (self._rounds - 1):
                return None  # it works on something: another M105 ever more rarely, should an answer have been garbled
        if not self._limbo:
            self._limbo_until = now + max(LONG_S, *(c.patience for c in self.in_flight), 0.0) * self._scale
        self._limbo.extend(self.in_flight)
        self.in_flight.clear()
        self._bytes = 0
        if Service.BARRIER not in self._todo:
            self._todo.appendleft(Service.BARRIER)
        return None

    def _settled(self, now: float) -> Command | None:
        if not self._swallowed and self._follows and self._locates and self._late < STRIKES:
            self._late += 1  # the request's own ok may still come, and must not be taken for that of an M110
            self._locate(now)
            return None
        self._phase = Phase.OPEN
        self.deadline = now + self._patience() if self.in_flight else inf
        self.send_again(now)
        return None

    def _count_request(self, number: int) -> None:
        asked, times = self._asked_for
        times = times + 1 if asked == number and self._counters.line < number else 1
        self._asked_for = (number, times)
        if times >= REQUESTS:
            command = self._numbers.at_cursor()
            name = self._name(command) if command is not None else f"line {number}"
            self._fail(f"{name}: the printer asked for it {REQUESTS} times")

    # --- silence

    def _doubtful(self, now: float) -> None:
        """An `ok` is overdue."""
        if self._strikes >= STRIKES:
            self._fail(f"{self._name(self.in_flight[0])}: no answer, although asked {STRIKES} times")
            return
        if now >= self._limbo_until:
            self._fail(f"{self._name(self._limbo[0])}: the printer has it and never said ok")
            return
        self._strikes += 1
        self._locate(now)

    def _unanswered(self, now: float) -> Command | None:
        if self._strikes < STRIKES:
            self._strikes += 1
            self._locate(now)
        elif self.in_flight or self._limbo:
            self._fail(f"{self._name((*self._limbo, *self.in_flight)[0])}: no answer, although asked {STRIKES} times")
        else:  # a firmware that does not care for numbers, or one that is gone: the next line will tell
            self._locates, self._strikes = self._located, 0
            self._phase = Phase.OPEN
            self.deadline = inf
            self._go_on(now)
        return None

    @staticmethod
    def _name(command: Command) -> str:
        text = command.code.decode("utf-8", "replace")
        return f"line {command.number} ({text})" if 0 < command.number < HOST else text

"""Credits, resends and silence: one line to the printer, one `ok` back. Pure: time comes in, bytes go to `write`.

    phase     heard                        next      done
    OPEN      ok, a line in flight         OPEN      the oldest in flight is acknowledged
    OPEN      ok, nothing in flight        OPEN      ignored (a doubled one)
    OPEN      resend n                     SETTLING  n and all after it will be sent again
    OPEN      patience over, gives_up      OPEN      the line is forgotten
    OPEN      patience over                ASKING    M105 is sent: a strike
    OPEN      wait, line sent long ago     ASKING    the same
    SETTLING  ok                           SETTLING  swallowed: it belongs to the request; a moment for stragglers
    SETTLING  resend, the same n           SETTLING  stale, ignored
    SETTLING  another line, or 0.5 s       OPEN      (a moment after the line)
    ASKING    ok without temperatures      ASKING    it was late, not lost: acknowledged; now for M105's own
    ASKING    ok, nothing else in flight   OPEN      M105's own
    ASKING    ok with temperatures         LOCATING  all before it is done; a numbered line: a number too high is sent
                                           OPEN      an unnumbered one: acknowledged
    ASKING    nothing                      ASKING    M105 again: a strike; the third fails
    LOCATING  resend last+1                SETTLING  the line arrived, its ok was lost: acknowledged
    LOCATING  resend n                     SETTLING  n and all after it will be sent again
    LOCATING  nothing                      OPEN      a firmware without numbers: acknowledged

An `ok` in OPEN takes the strikes back. Failures: three strikes, the same number asked for ten times, a number older
than the history (SERIAL.md §1–10, §14–16). A probe is asked first because a line that is merely sent again may be
ignored without a word, and a number that is too high tells the printer's true place (§9a).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from math import inf

from drivers.gcode.codes import heats, word
from drivers.gcode.framing import frame
from drivers.gcode.quality import SAMPLES, Quality
from drivers.gcode.steps import RENUMBER, Command
from drivers.gcode.timing import Timing

HISTORY = 64
STRIKES = 3
REQUESTS = 10
PROBE = b"M105"


class Phase(Enum):
    """See the table."""

    OPEN = auto()
    SETTLING = auto()
    ASKING = auto()
    LOCATING = auto()


class Counters:
    """Progress that is read from other threads: each is one assignment of an int."""

    def __init__(self, line: int = 0) -> None:
        self.line = line  # number of the last acknowledged line of the file
        self.sent = 0
        self.resent = 0
        self.quality = Quality()


class Protocol:
    """One connection. Methods that may bring a credit back return the command whose credit it was."""

    def __init__(self, write: Callable[[bytes], object], counters: Counters, timing: Timing, window: int = 1) -> None:
        self._write = write
        self._counters = counters
        self._timing = timing
        self._scale = timing.patience
        self._window = window
        self._phase = Phase.OPEN
        self._history: dict[int, Command] = {}
        self._again: deque[Command] = deque()
        self._strikes = 0
        self._settling_for = -1
        self._swallowed = False
        self._asked_for = (-1, 0)
        self._sent_at = 0.0
        self.in_flight: deque[Command] = deque()
        self.last = 0  # highest number sent since the last M110
        self.deadline = inf  # when `tick` has something to do
        self.failure = ""  # why nothing can be sent any more; for a person

    def write_with(self, write: Callable[[bytes], object]) -> None:
        """From now on bytes go to `write`."""
        self._write = write

    def free(self) -> bool:
        """Whether a new line may be sent."""
        return self._phase is Phase.OPEN and len(self.in_flight) < self._window and not self._again

    def quiet(self) -> bool:
        """Whether nothing is in flight and nothing waits to be sent again."""
        return self._phase is Phase.OPEN and not self.in_flight and not self._again

    def send(self, command: Command, now: float) -> None:
        """Write `command`; only when `free`."""
        self._write(command.wire)
        if not self.in_flight:
            self.deadline = now + command.patience * self._scale
        self.in_flight.append(command)
        self._sent_at = now
        number = command.number
        if number > 0:
            self.last = max(self.last, number)
            self._history[number % HISTORY] = command
        self._counters.sent += 1

    def exchange(self, command: Command, now: float) -> bool:
        """The usual case, one line at a time: a plain `ok` came, and `command` goes out before anything else is done.
        Just what `ok` and `send` do; False, and nothing done, in any other case."""
        in_flight = self.in_flight
        if self._phase is not Phase.OPEN or len(in_flight) != 1 or self._again or self._window != 1:
            return False
        self._write(command.wire)
        done = in_flight.popleft().number
        in_flight.append(command)
        counters = self._counters
        counters.line = max(counters.line, done)
        counters.quality.latencies[counters.sent % SAMPLES] = now - self._sent_at
        counters.sent += 1
        self._strikes = 0
        self._sent_at = now
        self.deadline = now + command.patience * self._scale
        number = command.number
        if number > 0:
            self.last = number
            self._history[number % HISTORY] = command
        return True

    def send_again(self, now: float) -> None:
        """Send what was asked for again, as far as credits go. Call it in every round; it is cheap."""
        while self._again and self._phase is Phase.OPEN and len(self.in_flight) < self._window:
            self._counters.resent += 1
            self.send(self._again.popleft(), now)

    def ok(self, text: str, now: float) -> Command | None:
        """An `ok` came, with `text` after it."""
        if self._phase is Phase.OPEN:
            if not self.in_flight:
                return None
            self._strikes = 0
            if len(self.in_flight) == 1:  # with more of them it would be the time of the last one sent
                self._counters.quality.latencies[self._counters.sent % SAMPLES] = now - self._sent_at
            return self._acknowledge(now)
        if self._phase is Phase.SETTLING:
            if self._swallowed and self.in_flight:
                return self._acknowledge(now, self.deadline)
            self._swallowed = True
            self.deadline = now + self._timing.straggle
            return None
        if self._phase is Phase.LOCATING:
            return None
        if not self.in_flight:
            self._open(now)
            return None
        command = self.in_flight[0]
        if ("T:" in text or "T0:" in text) and command.code != PROBE:
            return self._answered(command, now)
        self._strikes = 0
        return self._acknowledge(now, now + self._timing.late)

    def resend(self, number: int, now: float) -> Command | None:
        """The printer asks for `number` (-1: cannot be read)."""
        if self._phase is Phase.SETTLING and number in (self._settling_for, -1):
            return None
        located = self._phase is Phase.LOCATING
        flying = list(self.in_flight)
        if number < 0 or number > self.last + 1:  # noise in the request: take it for what is in flight
            number = min((c.number for c in flying if c.number > 0), default=self.last + 1)
        unnumbered = [c for c in (*flying, *self._again) if c.number < 0]
        renumbering = any(c.code == RENUMBER for c in unnumbered)
        again: list[Command] = []
        if not renumbering:
            again = [self._history.get(n % HISTORY, _NONE) for n in range(number, self.last + 1)]
            if any(c.number != n for n, c in enumerate(again, number)):
                self._fail(f"line {number}: the printer asked for it, it is older than the last {HISTORY} sent")
                return None
        self._again = deque(again + unnumbered)
        self.in_flight = deque(c for c in flying if 0 < c.number < number and not renumbering)
        self._phase = Phase.SETTLING
        self._settling_for = number
        self._swallowed = False
        self.deadline = now + self._timing.resend_ok
        self._count_request(number)
        if located and self.in_flight:
            return self._grant(self.deadline)
        return None

    def other(self, now: float) -> None:
        """A line came that is neither `ok` nor a resend."""
        if self._phase is Phase.SETTLING:
            self.deadline = min(self.deadline, now + self._timing.straggle)

    def busy(self, now: float, *, user: bool = False) -> None:
        """The printer still works on the line in flight, or waits for a `user`, who may take for ever."""
        if self.in_flight and self._phase is not Phase.SETTLING:
            self._strikes = min(self._strikes, 1)
            self.deadline = inf if user else now + max(self._patience(), self._timing.busy)

    def temperatures(self, now: float) -> None:
        """A temperature line came: a sign of progress only for a line that heats."""
        self.other(now)
        if self.in_flight and self._phase is not Phase.SETTLING and heats(self.in_flight[0].code):
            self.deadline = max(self.deadline, now + self._patience())

    def wait(self, now: float) -> None:
        """The printer says that it has nothing to do."""
        self.other(now)
        if self._phase is Phase.OPEN and self.in_flight and now - self._sent_at >= self._timing.wait:
            self._ask(now)

    def saved(self, now: float) -> Command | None:
        """`Done saving file` stands for the `ok` of M29 (SERIAL.md §5)."""
        if self.in_flight and word(self.in_flight[0].code) == b"M29":
            return self.ok("", now)
        return None

    def tick(self, now: float) -> Command | None:
        """Something is overdue when `now` has reached `deadline`."""
        if now < self.deadline or self.failure:
            return None
        if self._phase is Phase.OPEN and self.in_flight[0].gives_up:
            return self._acknowledge(now)
        if self._phase is Phase.LOCATING:
            return self._grant(inf)
        if self._phase is Phase.SETTLING or not self.in_flight:
            self._open(now)
        elif self._strikes >= STRIKES:
            self._fail(f"{self._name(self.in_flight[0])}: no answer, although asked {STRIKES} times")
        else:
            self._ask(now)
        return None

    def _patience(self) -> float:
        return self.in_flight[0].patience * self._scale

    def _open(self, now: float) -> None:
        self._phase = Phase.OPEN
        self.deadline = now + self._patience() if self.in_flight else inf

    def _acknowledge(self, now: float, deadline: float | None = None) -> Command:
        command = self.in_flight.popleft()
        if command.number > self._counters.line:
            self._counters.line = command.number
        elif command.code == RENUMBER:
            self.last = 0
            self._history.clear()
        if deadline is None:
            deadline = now + self._patience() if self.in_flight else inf
        self.deadline = deadline
        return command

    def _ask(self, now: float) -> None:
        self._strikes += 1
        self._phase = Phase.ASKING
        self._write(PROBE + b"\n")
        self.deadline = now + self._timing.probe

    def _answered(self, command: Command, now: float) -> Command | None:
        if command.number < 0:
            self._phase = Phase.OPEN
            return self._grant(inf)
        self._phase = Phase.LOCATING
        self._write(frame(self.last + 2, PROBE))
        self.deadline = now + self._timing.probe
        return None

    def _grant(self, deadline: float) -> Command | None:
        """The line in flight is done although its `ok` never came."""
        if self._strikes >= STRIKES:
            self._fail(f"{self._name(self.in_flight[0])}: its ok was lost, {STRIKES} in a row")
            return None
        if self._phase is Phase.LOCATING:
            self._phase = Phase.OPEN
        return self._acknowledge(0.0, deadline)

    def _count_request(self, number: int) -> None:
        asked, times = self._asked_for
        times = times + 1 if asked == number and self._counters.line < number else 1
        self._asked_for = (number, times)
        if times >= REQUESTS:
            command = self._again[0] if self._again else _NONE
            self._fail(f"{self._name(command, number)}: the printer asked for it {REQUESTS} times")

    def _fail(self, why: str) -> None:
        self.failure = why
        self.deadline = inf
        self.in_flight.clear()
        self._again.clear()

    @staticmethod
    def _name(command: Command, number: int = -1) -> str:
        text = command.code.decode("utf-8", "replace")
        if command.number > 0 or (number > 0 and not text):
            return f"line {max(command.number, number)}" + (f" ({text})" if text else "")
        return text


_NONE = Command(b"", b"")

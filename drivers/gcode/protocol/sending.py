"""Lines on their way: what may be written, what must go before it, what is in flight. Pure: bytes go to `write`.

`protocol` is built on it and adds what is heard. A line of the file that follows the one before is written at once; a
host's line, or the way back to the file, only when nothing is in flight, after what must go before it (`Service`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from agent.gcode.framing import frame
from agent.gcode.words import command_word
from drivers.gcode.protocol.numbering import HOST, MOVE_TO, NOWHERE, Numbers, move_to, numberable
from drivers.gcode.protocol.patience import ORDINARY_S, SHARE, asked_after
from drivers.gcode.protocol.phases import DRAIN, PROBE, Counters, Phase, Service
from drivers.gcode.protocol.steps import RENUMBER, Command
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing

TOO_HIGH = b"\n" + frame(NOWHERE, PROBE)
"""After a newline, which ends a line whose own end was garbled."""

SOONEST_S = 0.05
"""Seconds without an `ok` before which nobody is asked, however short patience is: a busy computer hears late."""
_HARMLESS = frozenset((PROBE, b"M114", DRAIN, b"G4"))
"""A host's lines whose loss would do no harm."""


class Sender:
    """The half of a `Protocol` that writes."""

    def __init__(
        self, write: Callable[[bytes], object], counters: Counters, timing: Timing, window: Window | None = None
    ) -> None:
        self._write = write
        self._counters = counters
        self._timing = timing
        self._scale = timing.patience
        self.window = window or Window()
        self._phase = Phase.OPEN
        self._numbers = Numbers()
        self._todo: deque[Command | Service] = deque()
        self._bytes = 0  # in flight
        self._limbo: deque[Command] = deque()  # the printer has them, their ok never came
        self._limbo_until = inf
        self._was_late = False  # an ok came although it has
        self._rounds = 0  # in which the answer to an M105 was missing
        self._origin: tuple[Command, Command] | None = None  # a host's line as written, and as it was given
        self._unproven = False  # the host's space holds lines that must not get lost
        self._ask_first_s = max(ORDINARY_S / SHARE * timing.patience, SOONEST_S)
        self._ask_s = self._ask_first_s  # without an ok, for an ordinary line
        self._since = 0.0  # when it was asked first in this silence
        self._strikes = 0  # questions since then that nothing answered
        self._calm = False  # it was asked only to make sure
        self._settling_for = -1
        self._swallowed = False
        self._follows = False  # an `ok` has followed a request
        self._owed = False  # that of a request which was not believed is still to come
        self._late = 0  # requests in a row without it
        self._asked_for = (-1, 0)
        self._place = -1  # what an `Error:` said last: the number it wants next
        self._told = -1  # what was asked for once and is not believed yet
        self._locates = True  # answers a number too high with its place
        self._located = False  # has done so
        self._has = -1  # it has told that it has all up to this number
        self._answered = False  # something was heard that may have been the answer
        self._vague = 0  # answers in a row that did not tell the place
        self._move_s = ORDINARY_S  # patience for the next M110
        self._speaks = False  # `ok T:…` answers M105
        self._doubt = False  # an ok was lost, doubled or late since the last M105 that proved all before it
        self._listen_at = inf  # when an ok too many is listened for
        self._quiet_until = 0.0
        self._sent_at = 0.0
        self.in_flight: deque[Command] = deque()
        self.deadline = inf  # when `tick` has something to do
        self.failure = ""  # why nothing can be sent any more; for a person

    @property
    def last(self) -> int:
        """The number of the last line that has one."""
        return self._numbers.last

    @property
    def speaks(self) -> bool:
        """Whether an `ok` to M105 holds its answer."""
        return self._speaks

    def take_over(self, last: int, *, speaks: bool, patience_s: float) -> None:
        """Nothing was sent yet, but by an agent before this one: the printer has all up to number `last`. An `ok` of
        that may still come; `patience_s` is what all that may take before the first move to another space."""
        self._move_s = patience_s
        self._numbers.found(last)
        self._located = self._doubt = self._unproven = True
        self._speaks = speaks

    def write_with(self, write: Callable[[bytes], object]) -> None:
        """From now on bytes go to `write`."""
        self._write = write

    def free(self) -> bool:
        """Whether a new line may be sent, as far as that can be said without knowing which."""
        return (
            self._phase is Phase.OPEN
            and len(self.in_flight) < self.window.lines
            and not self._todo
            and self._numbers.cursor > self._numbers.last
        )

    def fits(self, command: Command) -> bool:
        """Whether `command` may be sent now."""
        if not self.in_flight:
            return self.free()
        follows = command.number == self._numbers.last + 1 and self.in_flight[-1].code != MOVE_TO
        return follows and self.free() and self._bytes + len(command.wire) <= self.window.bytes

    def quiet(self) -> bool:
        """Whether nothing is in flight and nothing waits to be sent again."""
        return not self.in_flight and self.free()

    def send(self, command: Command, now: float) -> None:
        """Take `command`; only when it `fits`. It is written at once, or after what must go before it."""
        numbers = self._numbers
        if 0 < command.number == numbers.last + 1 and now < self._listen_at:
            self._put(command, now)
            return
        self._plan(command, now)
        self._go_on(now)

    def send_again(self, now: float) -> None:
        """Send what was asked for again, as far as credits go. Call it in every round; it is cheap."""
        numbers = self._numbers
        while numbers.cursor <= numbers.last and self._phase is Phase.OPEN and not self.failure:
            command = numbers.at_cursor()
            if command is None:
                self._fail(f"line {numbers.cursor}: it cannot be sent again")
                return
            if self.in_flight and (len(self.in_flight) >= self.window.lines or self._moves()):
                return
            self._counters.resent += 1
            self._put(command, now)
        self._go_on(now)

    def urgent(self, code: bytes) -> None:
        """Write `code` before everything else: an emergency parser acts on it at once and gives no `ok` (docs/serial.md
        §23)."""
        self._write(code + b"\n")

    def _plan(self, command: Command, now: float) -> None:
        todo = self._todo
        if now >= self._listen_at:
            self._listen_at = now + self._timing.listen
            todo.append(Service.LISTEN)
        if command.code == RENUMBER and not command.gives_up and self._unproven:
            todo.append(Service.LOCATE)
        todo.extend(self._way_to(command))
        if command.code == DRAIN and command.number < 0:
            todo.append(Service.LISTEN)
            if self._doubt and self._speaks:
                todo.append(Service.BARRIER)
        todo.append(command)

    def _leave(self, base: int) -> list[Command | Service]:
        """The way to the space in which `base + 1` is the next number. An M105 after the M110 makes sure that no other
        `ok` is taken for its own: carried out in its turn, it would set the number back behind the next line's. On the
        way to the file the M105 goes before, because there the number must tell the file's place at every instant; a
        moment after the M110 shows whether its `ok` was its own."""
        numbers = self._numbers
        sure = not self._locates or (not self._unproven if numbers.host else numbers.last == numbers.base)
        sure = sure or self._has == numbers.last  # asked again it might not say: Repetier skips lines after a request
        way: list[Command | Service] = [] if sure else [Service.LOCATE]
        patience, self._move_s = self._move_s, ORDINARY_S
        if not self._speaks:
            return [*way, move_to(base, patience)]
        if base >= HOST:
            return [*way, move_to(base, patience), Service.BARRIER]
        if not numbers.ends_with(PROBE):
            way.append(Service.BARRIER)
        return [*way, move_to(base, patience), Service.LISTEN]

    def _go_on(self, now: float) -> None:
        """Do what is to be done before the next line, and send that."""
        numbers = self._numbers
        while self._todo and self._phase is Phase.OPEN and not self.in_flight and not self.failure:
            if numbers.cursor <= numbers.last or now < self._quiet_until:
                return
            item = self._todo.popleft()
            if item is Service.LOCATE:
                self._locate(now)
            elif item is Service.LISTEN:
                self._quiet_until = self.deadline = now + self._timing.straggle
            elif way := self._way_to(item):
                self._todo.extendleft((item, *reversed(way)))
            elif isinstance(item, Command):
                self._put(self._framed(item), now)
            else:
                number = numbers.last + 1
                self._put(Command(frame(number, PROBE), PROBE, number, ORDINARY_S), now)

    def _way_to(self, item: Command | Service) -> list[Command | Service]:
        """What has to go before `item` because it belongs to the other space."""
        numbers = self._numbers
        if isinstance(item, Command):
            if item.code in (MOVE_TO, RENUMBER):
                return []
            if item.number > 0:
                return [] if item.number == numbers.last + 1 else self._leave(item.number - 1)
            if not numberable(item.code):
                return []
        way = self._leave(numbers.host_base()) if not numbers.host or numbers.full() else []
        if way and way[-1] is Service.BARRIER and (not isinstance(item, Command) or item.code == PROBE):
            way.pop()
        return way

    def _framed(self, command: Command) -> Command:
        """A host's line as it is written; any other as it is."""
        if command.number >= 0:
            return command
        patience = command.patience
        if command.code == RENUMBER:
            written = Command(command.wire, MOVE_TO, 0, patience if command.gives_up else ORDINARY_S)
        elif self._numbers.host and numberable(command.code):
            number = self._numbers.last + 1
            written = Command(frame(number, command.code), command.code, number, patience)
        else:
            return command
        self._origin = (written, command)
        return written

    def _put(self, command: Command, now: float) -> None:
        self._write(command.wire)
        if not self.in_flight:
            self.deadline = now + self._due_after(command)
        self.in_flight.append(command)
        self._bytes += len(command.wire)
        self._sent_at = now
        self._counters.sent += 1
        if command.code == MOVE_TO and command.number != self._numbers.base:
            self._numbers.begin(command)
            self._unproven = False
            self._has = -1
        elif command.code == MOVE_TO and self._numbers.cursor > self._numbers.last:
            self._numbers.begin(command)
            self._has = -1
        elif command.number >= 0:
            self._numbers.keep(command)
            self._unproven = self._unproven or (self._numbers.host and command_word(command.code) not in _HARMLESS)

    def _given(self, command: Command) -> Command:
        """`command` as it was given to `send`."""
        return self._origin[1] if self._origin and self._origin[0] is command else command

    def _locate(self, now: float) -> None:
        if self._phase is not Phase.LOCATING:
            self._phase = Phase.LOCATING
            self._since = now
            self._calm = self._strikes == 0 and not self.in_flight and not self._limbo
        self._answered = False
        self._write(TOO_HIGH)
        until = max(now - self._since, self._due_after() if self.in_flight else self._ask_s)
        self.deadline = min(now + until, max(self._fails_at(), now + self._ask_s))

    def _moves(self) -> bool:
        return self.in_flight[-1].code == MOVE_TO or self._numbers.host

    def _due_after(self, command: Command | None = None) -> float:
        """Seconds without an `ok` after which `command`, by default the oldest in flight, is asked after."""
        command = command or self.in_flight[0]
        if command.patience == ORDINARY_S:
            return self._ask_s
        if self._given(command).gives_up:
            return command.patience * self._scale
        return asked_after(command.code, command.patience) * self._scale

    def _fails_at(self) -> float:
        """When the silence has lasted too long."""
        patience = self.in_flight[0].patience if self.in_flight else ORDINARY_S
        return self._since + patience * self._scale + self._timing.probe

    def _fail(self, why: str) -> None:
        self.failure = why
        self.deadline = inf
        self.in_flight.clear()
        self._todo.clear()

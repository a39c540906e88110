"""Writes lines as the window allows: the file's next at once, others after their preamble. Pure: bytes go to `write`.

A line of the file that follows the one before is written at once; a host's line, or the way back to the file, only when
nothing is in flight, after what must go before it (`preamble`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from agent.gcode.framing import frame
from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.locator import Locator
from drivers.gcode.protocol.numbering import NOWHERE, SET_LINE_NUMBER, Numbers, numberable
from drivers.gcode.protocol.ok_traits import OkTraits
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.phases import PROBE, Counters, Phase, Service, State
from drivers.gcode.protocol.preamble import Preamble
from drivers.gcode.protocol.steps import RENUMBER, OutgoingLine
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing

TOO_HIGH = b"\n" + frame(NOWHERE, PROBE)
"""A line number that no printer expects. After a newline, which ends a line whose own end was garbled."""


class Sender:
    """The only part that writes, beside `fast_path`. `write` takes whole lines. `counts_resends`: what is sent again
    was damaged on the way, or lost; not so after a question of ours, at which the printer drops what it has not read
    yet, or an M110, which Marlin carries out a second time in its turn."""

    __slots__ = (
        "_counters",
        "_flight",
        "_locator",
        "_numbers",
        "_preamble",
        "_state",
        "_straggle_s",
        "_traits",
        "_window",
        "counts_resends",
        "write",
    )

    def __init__(
        self,
        *,
        write: Callable[[bytes], object],
        state: State,
        counters: Counters,
        timing: Timing,
        window: Window,
        flight: InFlight,
        numbers: Numbers,
        locator: Locator,
        traits: OkTraits,
        preamble: Preamble,
    ) -> None:
        self.write = write
        self.counts_resends = True
        self._state = state
        self._counters = counters
        self._straggle_s = timing.straggle
        self._window = window
        self._flight = flight
        self._numbers = numbers
        self._locator = locator
        self._traits = traits
        self._preamble = preamble

    def free(self) -> bool:
        """Whether a new line may be sent, as far as that can be said without knowing which."""
        return (
            self._state.phase is Phase.OPEN
            and len(self._flight.lines) < self._window.lines
            and not self._preamble.queue
            and self._numbers.cursor > self._numbers.last
            and not self._state.failure
        )

    def fits(self, command: OutgoingLine) -> bool:
        """Whether `command` may be sent now."""
        flight = self._flight
        if not flight.lines:
            return self.free()
        follows = command.number == self._numbers.last + 1 and flight.lines[-1].code != SET_LINE_NUMBER
        return follows and self.free() and flight.bytes + len(command.wire) <= self._window.bytes

    def quiet(self) -> bool:
        """Whether nothing is in flight and nothing waits to be sent again."""
        return not self._flight.lines and self.free()

    def send(self, command: OutgoingLine, now: float) -> None:
        """Take `command`; only when it `fits`. It is written at once, or after what must go before it."""
        if 0 < command.number == self._numbers.last + 1 and now < self._traits.listen_at:
            self._put(command, now)
            return
        self._preamble.plan(command, now)
        self.resume(now)

    def send_again(self, now: float) -> None:
        """Send what was requested again, as far as credits go. Call it in every round; it is cheap."""
        numbers, lines = self._numbers, self._flight.lines
        while numbers.cursor <= numbers.last and self._state.phase is Phase.OPEN and not self._state.failure:
            command = numbers.at_cursor()
            if command is None:
                self.fail(f"line {numbers.cursor}: it cannot be sent again")
                return
            if lines and (len(lines) >= self._window.lines or self._one_at_a_time()):
                return
            self._counters.resent += self.counts_resends
            self._put(command, now)
        self.resume(now)

    def resume(self, now: float) -> None:
        """Do what is to be done before the next line, and send that."""
        state, flight, numbers, preamble = self._state, self._flight, self._numbers, self._preamble
        while preamble.queue and state.phase is Phase.OPEN and not flight.lines and not state.failure:
            if numbers.cursor <= numbers.last or now < preamble.quiet_until:
                return
            item = preamble.queue.popleft()
            if item is Service.LOCATE:
                self.locate(now)
            elif item is Service.LISTEN:
                preamble.quiet_until = flight.deadline = now + self._straggle_s
            elif way := preamble.way_to(item):
                preamble.queue.extendleft((item, *reversed(way)))
            elif isinstance(item, OutgoingLine):
                self._put(self._framed(item), now)
            else:
                number = numbers.last + 1
                self._put(OutgoingLine(frame(number, PROBE), PROBE, number, ORDINARY_S), now)

    def locate(self, now: float) -> None:
        """Ask where the printer is."""
        if self._state.phase is not Phase.LOCATING:
            self._state.phase = Phase.LOCATING
            self._locator.begin(now)
        self.write(TOO_HIGH)
        self._locator.wait_for_answer(now)

    def urgent(self, code: bytes) -> None:
        """Write `code` before everything else: an emergency parser acts on it at once. Most builds give an `ok` for it
        in its turn, so one too many is listened for before the next line (docs/serial.md §23)."""
        self.write(code + b"\n")
        self._traits.in_doubt = True
        self._traits.listen_at = -inf

    def fail(self, why: str) -> None:
        """End the exchange: nothing is waited for any more."""
        self._state.failure = why
        self._flight.deadline = inf
        self._flight.lines.clear()
        self._preamble.queue.clear()

    def _framed(self, command: OutgoingLine) -> OutgoingLine:
        """A host's line as it is written; any other as it is."""
        if command.number >= 0:
            return command
        patience = command.patience
        if command.code == RENUMBER:
            written = OutgoingLine(command.wire, SET_LINE_NUMBER, 0, patience if command.gives_up else ORDINARY_S)
        elif self._numbers.host and numberable(command.code):
            number = self._numbers.last + 1
            written = OutgoingLine(frame(number, command.code), command.code, number, patience)
        else:
            return command
        self._flight.remember(written=written, given=command)
        return written

    def _put(self, command: OutgoingLine, now: float) -> None:
        self.write(command.wire)
        self._flight.add(command, now)
        self._counters.sent += 1
        self._numbers.written(command)

    def _one_at_a_time(self) -> bool:
        """Whether nothing may be in flight beside what is: an M110, a host's line."""
        return self._flight.lines[-1].code == SET_LINE_NUMBER or self._numbers.host

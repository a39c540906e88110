"""Fast path of an `ok`: the file's next line is written before anything else is done, as long as nothing is unusual.

There are three ways of an `ok`, and all have the same effect:

    stream   as long as nothing but plain `ok`s is heard and nobody else is at work on the protocol, what could forbid
             the next line is looked at once for many lines
    quick    it is looked at for each line
    whole    `replies.parse`, `Protocol.ok`, `Pump.step`: any other case; where the first two do nothing

This module alone touches the insides of the protocol's parts, for speed: an attribute more per line costs about 0.3 %.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sized

from agent.core.driver import PrinterState
from agent.errors import DataError
from drivers.gcode.protocol.numbering import HISTORY, HOST, SET_LINE_NUMBER
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.phases import PROBE, Counters, Phase
from drivers.gcode.protocol.protocol import Protocol
from drivers.gcode.protocol.quality import SAMPLES
from drivers.gcode.protocol.running import Running
from drivers.gcode.protocol.steps import OutgoingLine

OKS = (b"ok\n", b"ok\r\n")


class Source(typing.Protocol):
    """Where the next line comes from: `running`, unless the answer to a question of `asker` is waited for; from
    `poll_at` on a poll goes first."""

    @property
    def running(self) -> Running | None: ...
    @property
    def asker(self) -> Running | None: ...
    @property
    def poll_at(self) -> float: ...
    def note_end(self, running: Running) -> None:
        """Note that `running` has ended, if it has."""


class Stack(typing.Protocol):
    """The protocol and the pump over it; new ones after each hello."""

    @property
    def protocol(self) -> Protocol: ...
    @property
    def pump(self) -> Source: ...


class OperationView(typing.Protocol):
    """What runs on the printer. `person_needed`: the printer waits for the person in front of it."""

    @property
    def state(self) -> PrinterState: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def person_needed(self) -> bool: ...


class FastPath:
    """Fast path of an `ok` on one connection. Used by the link's thread alone.

    `patience` scales that of all lines; `unreadable` is called with the error of a file that cannot be read any
    more."""

    def __init__(
        self,
        stack: Stack,
        operation: OperationView,
        patience: float,
        unreadable: Callable[[DataError], object],
    ) -> None:
        self._stack = stack
        self._operation = operation
        self._short_s = ORDINARY_S * patience
        self._unreadable = unreadable

    def flows(self, now: float) -> bool:
        """Whether short lines of the file go out one after the other: a request can wait for the next answer."""
        return self._operation.state is PrinterState.PRINTING and self._stack.protocol.deadline - now < self._short_s

    def stream(
        self, listen: Callable[[], bytes], now_is: Callable[[], float], until: float, mail: Sized
    ) -> tuple[float, bytes]:
        """The file's next line for each plain `ok` that `listen` gives, until there is `mail` or something else is
        heard. That, which is not dealt with, and when; nothing when nothing came. `until`: a moment after which it
        returns in any case, as `now_is` tells it. Raises PortError."""
        stack = self._stack
        pump, parts = stack.pump, stack.protocol.parts
        running = pump.running
        if running is None or pump.asker is not None or self._operation.person_needed or not _streams(parts):
            data = listen()
            return now_is(), data
        try:
            heard = _stream(parts, running, listen, now_is, min(until, pump.poll_at), mail)
        except DataError as error:
            self._unreadable(error)
            return now_is(), b""
        if running.next is None:
            pump.note_end(running)
        return heard

    def quickly(self, data: bytes, now: float) -> bytes:
        """`quick` for each `ok`, plain or with the number of the oldest line in flight, that `data` begins with; the
        rest of it."""
        while data[:2] == b"ok":
            line, end, rest = data.partition(b"\n")
            plain = line in (b"ok", b"ok\r")
            if not end or not (plain or self._means_oldest(line)) or not self.quick(now):
                break
            if not plain:
                printing = self._operation.state is PrinterState.PRINTING
                self._operation.counters.quality.planner(line.decode("ascii", "replace"), printing=printing)
            data = rest
        return data

    def quick(self, now: float) -> bool:
        """An `ok` for the oldest line in flight, while the file's next line is ready: acknowledge it, and send. False,
        and nothing done, where that is not so. Raises PortError."""
        stack = self._stack
        pump = stack.pump
        running = pump.running
        if running is None or pump.asker is not None or now >= pump.poll_at or self._operation.person_needed:
            return False
        command, parts = running.next, stack.protocol.parts
        if type(command) is not OutgoingLine or not _exchange(parts, command, now):
            return False
        lines, window, sender = parts.flight.lines, parts.window, parts.sender
        try:
            running.advance()
            while len(lines) < window.lines and type(command := running.next) is OutgoingLine and sender.fits(command):
                sender.send(command, now)
                running.advance()
        except DataError as error:
            self._unreadable(error)
            return True
        if running.next is None:
            pump.note_end(running)
        return True

    def _means_oldest(self, line: bytes) -> bool:
        """Whether `line`, an `ok N7 P15 B3`, is for the oldest line in flight and says nothing new."""
        parts = self._stack.protocol.parts
        lines = parts.flight.lines
        return bool(lines) and parts.window.known and line.startswith(b"ok N%d P" % lines[0].number)


def _exchange(parts: Parts, command: OutgoingLine, now: float) -> bool:
    """Just what `Protocol.ok` and `send` do; False, and nothing done, where it is not the usual case."""
    flight, numbers, window, number = parts.flight, parts.numbers, parts.window, command.number
    lines = flight.lines
    if parts.state.phase is not Phase.OPEN or not lines or number != numbers.cursor or parts.preamble.queue:
        return False
    if number != numbers.last + 1 or number > HOST or now >= parts.traits.listen_at or parts.guard.reported_next > 0:
        return False
    wire, oldest = command.wire, lines[0]
    size = flight.bytes - len(oldest.wire) + len(wire)
    count = len(lines)
    if (size > window.bytes and count > 1) or count > window.lines:
        return False
    if window.recovering or oldest.number <= 0 or oldest.code in (SET_LINE_NUMBER, PROBE):
        return False
    sender, counters = parts.sender, parts.counters
    sender.write(wire)
    flight.bytes = size
    lines.popleft()
    counters.line = max(counters.line, oldest.number)
    lines.append(command)
    if count == 1:  # with more of them it would be the time of the last one sent
        counters.quality.latencies[counters.sent % SAMPLES] = now - flight.sent_at
    counters.sent += 1
    parts.locator.probes_sent = 0
    flight.sent_at = now
    oldest = lines[0]
    flight.deadline = now + (flight.ask_s if oldest.patience == ORDINARY_S else flight.due_after(oldest))
    numbers.last = number
    numbers.cursor = number + 1
    numbers.ring[number % HISTORY] = command
    return True


def _streams(parts: Parts) -> bool:
    """Whether a line of the file is in flight by itself and nothing at all is unusual."""
    lines, numbers, window = parts.flight.lines, parts.numbers, parts.window
    if parts.state.phase is not Phase.OPEN or len(lines) != 1 or parts.preamble.queue or parts.guard.reported_next > 0:
        return False
    oldest = lines[0]
    if not parts.counters.line < oldest.number == numbers.last == numbers.cursor - 1 < HOST:
        return False
    usual = oldest.patience == ORDINARY_S and oldest.code not in (SET_LINE_NUMBER, PROBE)
    return usual and window.lines == 1 and not window.recovering and parts.locator.probes_sent == 0


def _stream(
    parts: Parts,
    running: Running,
    listen: Callable[[], bytes],
    now_is: Callable[[], float],
    until: float,
    mail: Sized,
) -> tuple[float, bytes]:
    """`_exchange` for line after line of `running`. Raises what `running` raises."""
    step, flight, numbers, counters = running.next, parts.flight, parts.numbers, parts.counters
    data = listen()
    now = now_is()
    write, take, ring, latencies = parts.sender.write, running.procedure.send, numbers.ring, counters.quality.latencies
    sent_at, until, last, command = flight.sent_at, min(until, parts.traits.listen_at), numbers.last, flight.lines[0]
    try:
        while data in OKS and now < until and not mail:
            if type(step) is not OutgoingLine or step.patience != ORDINARY_S or (number := step.number) != last + 1:
                break
            if step.code == PROBE:  # a plain `ok` may be another's, not that of an M105
                break
            write(step.wire)
            command = step
            counters.line = last
            last = number
            ring[number % HISTORY] = step
            sent = counters.sent
            latencies[sent % SAMPLES] = now - sent_at
            counters.sent = sent + 1
            sent_at = now
            running.next = step = take(None)
            data = listen()
            now = now_is()
    except StopIteration as end:
        running.next, running.end, data = None, end.value, b""
    finally:
        if last > numbers.last:  # else the deadline stays as `busy` or a garbled line has set it
            flight.sent_at = sent_at
            flight.lines[0] = command
            flight.bytes = len(command.wire)
            flight.deadline = sent_at + flight.ask_s
            numbers.last, numbers.cursor = last, last + 1
    return now, data

"""The ways of an `ok` (`fast_path`), each with a protocol and a pump of its own, and a clock in the test's hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from agent.core.driver import PrinterState
from agent.errors import DataError
from drivers.gcode.printing.pump import Pump
from drivers.gcode.protocol.fast_path import FastPath
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.phases import Counters
from drivers.gcode.protocol.protocol import Protocol
from drivers.gcode.protocol.replies import Event, ReplyKind, parse
from drivers.gcode.protocol.steps import End, Procedure, Step
from drivers.gcode.protocol.window import Window
from tests.unit.drivers.gcode.wire import TIMING


class Connection:
    """What the session gives the fast path, and the whole way as the session has it."""

    def __init__(self, steps: Iterator[Step], window: Window, poll_every: float = inf) -> None:
        self.now = 100.0
        self.written: list[bytes] = []
        self.counters = Counters()
        self.state = PrinterState.PRINTING
        self.person_needed = False
        self.unreadable: list[DataError] = []
        self.protocol = Protocol(self.written.append, self.counters, TIMING, window)
        self.pump = Pump(self.protocol, TIMING)
        self.fast = FastPath(self, self, TIMING.patience, self.unreadable.append)
        self._splitter = LineSplitter()
        self.pump.poll_every(poll_every, self.now)
        self.pump.run(procedure(steps))
        self.pump.step(self.now)

    def whole(self, data: bytes) -> None:
        for text in self._splitter.feed(data):
            for event in parse(text):
                self._heard(event)
            self._step()
        self._step()

    def quick(self, data: bytes) -> None:
        rest = data if self._splitter.pending else self.fast.quickly(data, self.now)
        if rest:
            self.whole(rest)

    def stream(self, script: Sequence[tuple[float, bytes]]) -> None:
        """All of `script`, as the link's thread would hear it."""
        left = list(script)

        def listen() -> bytes:
            data = b""
            if left:
                wait, data = left.pop(0)
                self.wait(wait)
            return data

        while left:
            if self._splitter.pending:
                self.whole(listen())
                continue
            _, data = self.fast.stream(listen, lambda: self.now, inf, ())
            self.whole(data)

    def wait(self, seconds: float) -> None:
        """Time passes; at most until something is due, where it would be done."""
        self.now += seconds

    def silence(self) -> None:
        self.now = max(self.now, min(self.pump.due(self.now), self.now + 60.0))
        self._step()

    def _heard(self, event: Event) -> None:
        protocol, command = self.protocol, None
        if event.text and event.kind is ReplyKind.OK:
            self.counters.quality.planner(event.text, printing=True)
        if event.kind is ReplyKind.OK:
            command = protocol.ok(event.text, self.now)
        elif event.kind is ReplyKind.RESEND:
            command = protocol.resend(event.number, self.now)
        elif event.kind is ReplyKind.ERROR:
            protocol.error(event.text, self.now)
        elif event.kind is ReplyKind.DAMAGED:
            protocol.damaged(self.now)
        elif event.kind is ReplyKind.BUSY:
            protocol.busy(self.now)
        elif event.kind is ReplyKind.TEMPERATURES:
            protocol.temperatures(self.now)
        else:
            protocol.other(self.now)
        if command is not None:
            self.pump.acknowledged(command, self.now)

    def _step(self) -> None:
        if self.now >= self.protocol.deadline:
            command = self.protocol.tick(self.now)
            if command is not None:
                self.pump.acknowledged(command, self.now, gave_up=command.gives_up)
        self.pump.step(self.now)


def procedure(steps: Iterator[Step]) -> Procedure:
    for step in steps:
        answer = yield step
        assert answer is None or isinstance(answer, list)
    return End.DONE

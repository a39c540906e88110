"""The number of the line that the printer accepted last tells, at every instant, which lines of the file were done: a
driver that knows nothing else goes on from there (`whereabouts`)."""

from __future__ import annotations

import random

import pytest

from agent.core.driver import Host, PrinterState
from benchmarks.serial_model import File, Model
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.numbering import file_line
from drivers.gcode.protocol.replies import parse
from drivers.gcode.requests import StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.session.port_identity import PortIdentity
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.session import Session
from drivers.gcode.session.session_parts import SessionContext
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

LINES = 120


class Watched:
    """A session and a model of a Marlin; after each line that the model takes, its number must tell the place."""

    def __init__(self, window: int, dice: random.Random) -> None:
        self.now = 10.0
        self.dice = dice
        self.model = Model(advanced=window > 1)
        self.slot = Slot()
        settings, host = DriverSettings(window=window), Host(wake=lambda: None)
        self.session = Session(
            SessionContext(
                write=self.write,
                slot=self.slot,
                settings=settings,
                timing=Timing(),
                checkpoints=CheckpointWriter(host.remember, PortIdentity(""), 0, host.log_keys),
                on_answer=lambda: None,
                resets=ResetWatch(),
                unsafe=False,
                log_keys=host.log_keys,
            )
        )
        self.splitter = LineSplitter()
        self.begun = False
        self.visits = 0

    def write(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            self.model.receive(line)
            while self.model.queue:
                self.model.execute()
                self.look()

    def look(self) -> None:
        done = len([body for _, body in self.model.file if body.startswith(b"G1 ")])
        number = self.model._last  # as the firmware would say it
        self.begun = self.begun or done > 0
        self.visits += self.begun and number != done
        assert not self.begun or file_line(number) == done, f"number {number} after line {done}"

    def turn(self) -> None:
        """One line that the model said, or time that passes."""
        if self.model.out:
            for line in self.splitter.feed(self.model.out.popleft() + b"\n"):
                for event in parse(line):
                    self.session.heard(event, self.now)
        elif self.dice.random() < 0.1:
            self.now += 2.1  # time for a poll
        else:
            self.now = max(self.now + 0.001, min(self.session.due(self.now), self.now + 0.05))
        self.session.step(self.now)


@pytest.mark.parametrize("window", [1, 3])
def test_the_printers_number_tells_the_files_place_at_every_instant(window: int) -> None:
    watched = Watched(window, random.Random(window))
    session = watched.session
    session.open(watched.now, watched.now)
    for _ in range(3000):
        state = session.operation.state
        if state is PrinterState.IDLE:
            session.control.start_print(StartPrint("p", File(LINES), ()), watched.now)
        elif state is PrinterState.PRINTING and watched.dice.random() < 0.05:
            session.control.pause("")
        elif state is PrinterState.PAUSED:
            session.control.resume()
        watched.turn()
        if watched.slot.read().last:
            break
    last = watched.slot.read().last
    assert last is not None
    assert last.outcome == "completed", last
    assert watched.visits > 5, "the host's space was visited"

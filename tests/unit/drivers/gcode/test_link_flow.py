"""The link's thread while the file flows, on a pty: it waits inside the read and still sees all that matters."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.core.driver import Host, Outcome, PrinterState, Telemetry
from agent.testing import Lines, SystemClock, moves
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.link.port import LISTEN_S, Port
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter

S = PrinterState


class Printer:
    """A driver with real patience, and the virtual printer it talks to."""

    def __init__(self, folder: Path, options: Options, window: int = 1) -> None:
        self.executed: list[bytes] = []
        self.virtual = VirtualPrinter(options, on_line=self.executed.append)
        self.virtual.start()
        link = str(options.link)
        self.driver = GcodeDriver(DriverSettings(port=link, baud=115200, window=window), clock=SystemClock())
        self._woken = threading.Event()
        self.driver.open(Host(self._woken.set))
        self.until(lambda t: t.state is S.IDLE)

    def until(self, true: Callable[[Telemetry], object], seconds: float = 10.0) -> Telemetry:
        end = time.monotonic() + seconds
        while not true(now := self.driver.telemetry()):
            left = end - time.monotonic()
            assert left > 0, now
            self._woken.wait(min(left, 0.002))  # the line does not wake
            self._woken.clear()
        return now

    def moved(self) -> list[bytes]:
        return [line for line in self.executed if line.startswith(b"G1 X1")]


@pytest.fixture(params=[1, 3])
def printer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Printer]:
    found = Printer(tmp_path, Options(link=tmp_path / "p", advanced_ok=request.param == 3), request.param)
    yield found
    found.driver.close()
    found.virtual.stop()


def test_a_whole_file_flows(printer: Printer) -> None:
    """docs/serial.md §6: one at a time and with a window, each line once and in order."""
    printer.driver.start_print("p", Lines(moves(3000)))
    now = printer.until(lambda t: t.last is not None)
    assert now.last is not None
    assert now.last.outcome is Outcome.COMPLETED, now.last.error
    assert printer.moved() == moves(3000)


def test_a_pause_is_heard_while_the_file_flows(printer: Printer) -> None:
    """docs/serial.md §27: within one acknowledgement."""
    printer.driver.start_print("p", Lines(moves(50_000)))
    for line in (100, 400, 900):
        printer.until(lambda t, line=line: t.line >= line)  # type: ignore[misc]
        printer.driver.pause()
        paused = printer.until(lambda t: t.state is S.PAUSED)
        assert len(printer.moved()) == paused.line
        printer.driver.resume()
        printer.until(lambda t: t.state is S.PRINTING)
    printer.driver.cancel()
    now = printer.until(lambda t: t.last is not None)
    assert now.last is not None
    assert now.last.outcome is Outcome.CANCELLED


def test_a_pulled_cable_is_noticed_while_the_file_flows(tmp_path: Path) -> None:
    """docs/serial.md §29: the read says so, or nothing and then the next one does."""
    printer = Printer(tmp_path, Options(link=tmp_path / "p", faults=("unplug@500:0.2",)))
    try:
        printer.driver.start_print("p", Lines(moves(2000)))
        now = printer.until(lambda t: t.last is not None)
        assert now.last is not None
        assert now.last.outcome is Outcome.FAILED
        assert "unplugged" in now.last.error
    finally:
        printer.driver.close()
        printer.virtual.stop()


def test_listening_waits_for_bytes_but_not_for_ever() -> None:
    """The thread must get to its mailbox and its limits."""
    master, slave = os.openpty()
    port = Port(os.ttyname(slave), 250000)
    try:
        began = time.monotonic()
        assert port.listen() == b""
        assert LISTEN_S / 2 < time.monotonic() - began < LISTEN_S + 1.0
        os.write(master, b"ok\n")
        assert port.listen() == b"ok\n"
        assert port.read() == b"", "and the other descriptor never waits"
    finally:
        port.close()
        os.close(master)
        os.close(slave)

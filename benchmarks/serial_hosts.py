"""What sends to the null firmware, each in a process of its own.

    python -m benchmarks.serial_hosts bare|driver|pause PORT FILE|COUNT WINDOW

Prints one line of JSON: `cpu` in seconds, or `lines`, a list of how many lines of the file followed each pause.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.driver import Host, LineSource, Outcome, PrinterState, Telemetry
from agent.gcode.framing import frame

if TYPE_CHECKING:
    from drivers.gcode.driver import GcodeDriver

LIMIT_S = 280.0


def codes(count: int) -> list[bytes]:
    """Moves as a slicer writes them, about 36 bytes each with number and checksum."""
    return [
        b"G1 X%d.%03d Y%d.%03d E%d.%d" % (n % 200, n % 1000, n % 180, n * 7 % 1000, n % 10, n % 10000)
        for n in range(1, count + 1)
    ]


class Lines:
    """`codes` as a file."""

    def __init__(self, count: int) -> None:
        self.codes = codes(count)

    @property
    def total_lines(self) -> int:
        return len(self.codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        return iter(self.codes[start - 1 :])


def source(what: str) -> LineSource:
    """A file as the agent reads it; a number is so many `codes`."""
    if what.isdecimal():
        return Lines(int(what))
    from agent.gcode import FileSource, Scanner

    scanner, path = Scanner(), Path(what)
    scanner.feed(path.read_bytes())
    return FileSource(path, scanner.finish())


class Clock:
    """The computer's."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


def until(driver: GcodeDriver, woken: threading.Event, true: Callable[[Telemetry], object]) -> Telemetry:
    """The first telemetry for which `true` is."""
    end = time.monotonic() + LIMIT_S
    while not true(now := driver.telemetry()):
        assert woken.wait(end - time.monotonic()), now
        woken.clear()
    return now


def _driver(port: str, window: str, woken: threading.Event) -> GcodeDriver:
    from drivers.gcode.driver import GcodeDriver
    from drivers.settings import DriverSettings

    settings = DriverSettings(port=port, baud=115200, window="auto" if window == "auto" else int(window))
    driver = GcodeDriver(settings, clock=Clock())
    driver.open(Host(woken.set))
    until(driver, woken, lambda t: t.state is PrinterState.IDLE)
    return driver


def bare(port: str, what: str, _window: str) -> dict[str, Any]:
    """One line at a time with os.write and os.read."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    lines = list(source(what).lines())
    began = time.process_time()
    os.write(fd, b"N0 M110 N0*125\n")
    os.read(fd, 4096)
    for number, code in enumerate(lines, 1):
        os.write(fd, frame(number, code))
        data = os.read(fd, 4096)
        while data[-1:] != b"\n":
            data = os.read(fd, 4096)
    return {"cpu": time.process_time() - began}


def driver(port: str, what: str, window: str) -> dict[str, Any]:
    """The G-code driver; the CPU seconds are of the print, all threads together."""
    woken = threading.Event()
    made = _driver(port, window, woken)
    lines = source(what)
    began = time.process_time()
    made.start_print("p", lines, [])
    last = until(made, woken, lambda t: t.last is not None).last
    taken = time.process_time() - began
    made.close()
    assert last is not None
    assert last.outcome is Outcome.COMPLETED, last.error
    return {"cpu": taken}


def pause(port: str, what: str, window: str) -> dict[str, Any]:
    """Pauses at random moments; for each the lines of the file that were written after it was heard."""
    from benchmarks.serial_noise import lines_after_pause

    return {"lines": lines_after_pause(port, int(what), window)}


HOSTS = {"bare": bare, "driver": driver, "pause": pause}


def main() -> int:
    """See the module."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    host, port, what, window = sys.argv[1:5]
    print(json.dumps(HOSTS[host](port, what, window)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One agent's driver in a process of its own, which may be killed at any time: `python -m benchmarks.driver_process`.

It reads one line of JSON from its standard input (`Orders`), then words (`pause`, `resume`, `cancel`, `leave`), and
writes one line of JSON for each change of the telemetry. What is remembered goes into a file, the port's descriptor to
whoever holds the other end of the socket `keeper`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog

from agent.core.driver import Host, NoKeeper, PortKeeper, Scripts, Telemetry, Unfinished
from agent.errors import NotReadyError
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

TIMING = Timing(
    patience=0.1,
    hello=0.5,
    probe=0.5,
    garbled=0.02,
    resend_ok=0.25,
    retry=0.05,
    retry_most=0.1,
    take_over=3.0,
    calm=0.03,
    poll=0.05,
)


class Orders(msgspec.Struct):
    """`kept`: a descriptor of the port that was left open, -1 for none; `keeper`: the socket to send one to, -1: nobody
    keeps it; `line`: known to be done."""

    port: str
    source: str
    memory: str
    window: int = 1
    kept: int = -1
    keeper: int = -1
    line: int = 0
    begin: bool = True
    scripts: Scripts = Scripts()


class File:
    """A G-code file whose lines are all sendable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.total_lines = sum(1 for _ in path.open("rb"))

    def lines(self, start: int = 1) -> Iterator[bytes]:
        with self._path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if number >= start:
                    yield line.strip()

    def settings_before(self, ordinal: int) -> Iterable[bytes]:
        settings, feed = [], None
        for number, line in enumerate(self.lines(), 1):
            if number >= ordinal:
                break
            if not line.startswith((b"G0 ", b"G1 ")):
                settings.append(line)
            elif b"F" in line:
                feed = line
        return [*settings, *([feed] if feed else [])]


class Keeper:
    """Sends descriptors to another process, which holds them."""

    def __init__(self, kept: int, keeper: int) -> None:
        self._kept = kept
        self._socket = socket.socket(fileno=keeper)

    def take(self) -> int | None:
        kept, self._kept = self._kept, -1
        return kept if kept >= 0 else None

    def keep(self, fd: int) -> None:
        socket.send_fds(self._socket, [b"keep"], [fd])

    def drop(self) -> None:
        self._socket.send(b"drop")


class Clock:
    """The computer's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


def main() -> int:
    """Run a driver until it is killed, told to leave, or its input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    settings = DriverSettings(port=orders.port, baud=115200, window=orders.window, scripts=orders.scripts)
    driver = GcodeDriver(settings, clock=Clock(), timing=TIMING)
    source, memory = File(Path(orders.source)), Path(orders.memory)
    woken = threading.Event()

    def remember(key: str, data: bytes) -> None:
        beside = memory.with_suffix(".new")
        beside.write_bytes(data)
        beside.replace(memory)

    keeper: PortKeeper = NoKeeper() if orders.keeper < 0 else Keeper(orders.kept, orders.keeper)
    unfinished = None
    if not orders.begin:
        unfinished = Unfinished("p", source, (), memory.read_bytes(), source.settings_before, orders.line)
    driver.open(Host(woken.set, lambda: None, remember, keeper), unfinished)
    words: list[str] = []
    threading.Thread(target=_listen, args=(words, woken), name="words", daemon=True).start()
    begun, said = not orders.begin, None
    while True:
        woken.wait(0.05)
        woken.clear()
        now = driver.telemetry()
        if not begun and now.state == "idle":
            begun = True
            driver.start_print("p", source)
        if _short(now) != said:
            said = _short(now)
            os.write(1, msgspec.json.encode(said) + b"\n")
        while words:
            word = words.pop(0)
            if word == "leave":
                driver.close(hand_over=True)
                return 0
            with contextlib.suppress(NotReadyError):  # the moment has passed
                getattr(driver, word)()


def _short(now: Telemetry) -> dict[str, object]:
    return {"state": now.state, "reason": now.reason, "line": now.line, "waiting": now.waiting, "last": now.last}


def _listen(words: list[str], woken: threading.Event) -> None:
    for line in sys.stdin:
        words.append(line.strip())
        woken.set()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

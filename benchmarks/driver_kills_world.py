"""The world of `driver_kills`: a virtual printer, the processes that print on it, and who keeps its port."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from agent.core.driver import Scripts
from agent.gcode.framing import frame
from benchmarks.driver_process import Orders
from drivers.simulated import Options, VirtualPrinter

PATIENCE = 30.0


@dataclass(frozen=True)
class Scenario:
    """`words`: what is said to an agent before it is killed, at random; `half`: half a line is written after a kill;
    `may_fail`: so bad a cable that the print may fail, but never do a line twice or out of its turn."""

    name: str
    window: int = 1
    kept: bool = True
    half: bool = False
    words: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    dialect: str = "marlin"
    speed: float = inf
    head: tuple[bytes, ...] = ()
    scripts: Scripts = field(default_factory=Scripts)
    lines: int = 4000
    may_fail: bool = False


class Agent:
    """One process of `driver_process`."""

    def __init__(self, orders: Orders) -> None:
        passed = [fd for fd in (orders.kept, orders.keeper) if fd >= 0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.driver_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=passed,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._rest = b""
        self.seen: dict[str, Any] = {"state": "", "line": 0, "last": None, "reason": ""}
        self._say(msgspec.json.encode(orders))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def say(self, word: str) -> None:
        self._say(word.encode())

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def until(self, true: Callable[[dict[str, Any]], object], seconds: float = PATIENCE) -> bool:
        """Whether `true` of what it said last came true within `seconds`."""
        end = time.monotonic() + seconds
        while not true(self.seen):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                return False
            data = os.read(self._out, 65536)
            assert data, "the agent ended by itself"
            *lines, self._rest = (self._rest + data).split(b"\n")
            if lines:
                self.seen = msgspec.json.decode(lines[-1])
        return True

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def leave(self) -> None:
        """Ask for a hand-over, as at an upgrade."""
        self.say("leave")
        self._end()

    def _end(self) -> None:
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Store:
    """A descriptor store as systemd's, as far as it matters here."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._fd = -1

    def holds(self) -> int:
        """The descriptor that is held by now; -1 for none."""
        while select.select([self.ours], [], [], 0)[0]:
            word, fds, _, _ = socket.recv_fds(self.ours, 16, 1)
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = fds[0] if word == b"keep" else -1
        return self._fd

    def close(self) -> None:
        if self.holds() >= 0:
            os.close(self._fd)
        self.ours.close()
        self.theirs.close()


class World:
    """One print, and the agents it outlives."""

    def __init__(self, folder: Path, scenario: Scenario, dice: random.Random) -> None:
        self.scenario = scenario
        self.dice = dice
        self.folder = folder
        self.codes = [*scenario.head]
        self.codes += [b"G1 X%d.%03d Y%d F6000" % (10 + n % 2, n % 1000, n // 1000) for n in range(scenario.lines)]
        (folder / "print.gcode").write_bytes(b"\n".join(self.codes) + b"\n")
        self.executed: list[bytes] = []
        seed = f"seed={dice.randrange(1000)}"
        options = Options(
            dialect=scenario.dialect, speed=scenario.speed, faults=(*scenario.faults, seed), link=folder / "printer",
            advanced_ok=scenario.window > 1,
        )  # fmt: skip
        self.printer = VirtualPrinter(options, on_line=self.executed.append)
        self.store = Store() if scenario.kept else None
        self.running: Agent | None = None

    def moved(self) -> list[bytes]:
        """The lines of the file that were executed, but for its head, which the host adds to as well."""
        file = set(self.codes[len(self.scenario.head) :])
        return [code for code in self.executed if code in file]

    def agent(self, *, begin: bool) -> Agent:
        store = self.store
        self.running = Agent(
            Orders(
                port=str(self.folder / "printer"), source=str(self.folder / "print.gcode"),
                memory=str(self.folder / "memory"), window=self.scenario.window,
                kept=store.holds() if store else -1,
                keeper=store.theirs.fileno() if store else -1,
                begin=begin, scripts=self.scenario.scripts,
            )
        )  # fmt: skip
        return self.running

    def check(self) -> None:
        """Check that what was executed is the beginning of the file."""
        moved, file = self.moved(), self.codes[len(self.scenario.head) :]
        for at, code in enumerate(moved):
            assert code == file[at], f"line {at + 1} is {code!r}, expected {file[at]!r}; {self.scenario.name}"

    def spoil(self) -> None:
        """Write half a line, as an agent leaves it that is killed while it writes."""
        done = len(self.moved()) + len(self.scenario.head)
        if not self.scenario.half or self.dice.random() < 0.3 or done >= len(self.codes):
            return
        line = frame(done + 1, self.codes[done])
        fd = os.open(self.folder / "printer", os.O_WRONLY | os.O_NOCTTY)
        os.write(fd, line[: self.dice.randrange(1, len(line))])
        os.close(fd)


@contextlib.contextmanager
def world(folder: Path, scenario: Scenario, dice: random.Random) -> Iterator[World]:
    made = World(folder, scenario, dice)
    try:
        with made.printer:
            yield made
    finally:
        if made.running and made.running.alive:
            made.running.kill()
        if made.store:
            made.store.close()

"""kill -9 of the agent's driver at random instants of a print, while the virtual printer lives on. What must hold: each
line of the file is executed once and in order, whoever sent it.

    python -m tests.bench.handover [KILLS] [SEED] [SCENARIO]…
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.core.ports import Scripts
from drivers.gcode.framing import frame
from drivers.simulated import Options, VirtualPrinter
from tests.bench.handover_agent import Orders

PATIENCE = 30.0


@dataclass(frozen=True)
class Scenario:
    """`words`: what is said to an agent before it is killed, at random; `half`: half a line is written after a kill."""

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


HEAD = (b"G28", b"M190 S40", b"M109 S60", b"G90", b"M82")
SCENARIOS = (
    Scenario("one at a time"),
    Scenario("one at a time, reopened, half lines", kept=False, half=True),
    Scenario("a window", window=3, half=True),
    Scenario("a window, reopened", window=3, kept=False),
    Scenario("pauses", words=("pause", "resume"), head=HEAD[:1]),
    Scenario("pauses in a window with scripts", window=3, words=("pause", "resume"),
             scripts=Scripts(pause=("M117 away", "G91", "G1 Z5", "G90"), resume=("M117 back",))),
    Scenario("heating", head=HEAD, speed=60.0, lines=1000, half=True),
    Scenario("a bad cable", faults=("corrupt=0.002", "corrupt-back=0.002"), lines=600, half=True),
    Scenario("a bad cable, a window", faults=("corrupt=0.002", "corrupt-back=0.002"), lines=600, window=3, kept=False),
    Scenario("a terrible cable", faults=("corrupt=0.01", "corrupt-back=0.01"), lines=100),
    Scenario("cancels", words=("cancel",), head=HEAD[:1]),
    Scenario("polls", dialect="marlin1", half=True),
    Scenario("prusa", dialect="prusa", window=3),
    Scenario("repetier", dialect="repetier", half=True),
    Scenario("smoothie", dialect="smoothie", half=True),
    Scenario("reprap", dialect="reprap", half=True, window=2),
)  # fmt: skip


class Agent:
    """One process of `handover_agent`."""

    def __init__(self, orders: Orders) -> None:
        passed = [fd for fd in (orders.kept, orders.keeper) if fd >= 0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.handover_agent"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=passed,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._rest = b""
        self.seen: dict[str, Any] = {"state": "", "line": 0, "last": None, "reason": ""}
        self._say(msgspec.json.encode(orders))

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
        """Hand over, as at an upgrade."""
        self.say("leave")
        self._end()

    def _end(self) -> None:
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Store:
    """systemd's descriptor store, as far as it matters here."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._fd = -1

    def holds(self) -> int:
        """What is held by now; -1: nothing."""
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
        self.kills = 0

    def moved(self) -> list[bytes]:
        """The lines of the file that were executed, but for its head, which the host adds to as well."""
        file = set(self.codes[len(self.scenario.head) :])
        return [code for code in self.executed if code in file]

    def agent(self, *, begin: bool) -> Agent:
        store = self.store
        return Agent(
            Orders(
                port=str(self.folder / "printer"), source=str(self.folder / "print.gcode"),
                memory=str(self.folder / "memory"), window=self.scenario.window,
                kept=store.holds() if store else -1,
                keeper=store.theirs.fileno() if store else -1,
                begin=begin, scripts=self.scenario.scripts,
            )
        )  # fmt: skip

    def check(self) -> None:
        """What was executed is the beginning of the file."""
        moved, file = self.moved(), self.codes[len(self.scenario.head) :]
        for at, code in enumerate(moved):
            assert code == file[at], f"line {at + 1} is {code!r}, expected {file[at]!r}; {self.scenario.name}"

    def spoil(self) -> None:
        """Half a line, as an agent leaves it that is killed while it writes."""
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
        if made.store:
            made.store.close()


def tear(folder: Path, scenario: Scenario, kills: int, dice: random.Random) -> dict[str, int]:
    """One print that is torn `kills` times at most, then left to its end. Raises AssertionError when a line was lost,
    executed twice, or out of its turn."""
    found = {"kills": 0, "half-way": 0, "left": 0, "before": 0, "cancelled": 0}
    with world(folder, scenario, dice) as made:
        begin = True
        cancelling = False
        while True:
            agent = made.agent(begin=begin)
            last = found["kills"] >= kills
            if not last:
                ended = _live(agent, made, dice)
                cancelling = cancelling or (agent.seen["state"] == "cancelling")
            else:
                ended = _finish(agent, scenario)
            seen = agent.seen
            if ended and not _never_began(made, seen):
                outcome = seen["last"]["outcome"]
                agent.kill()
                made.check()
                if "cancel" in scenario.words:
                    assert outcome == "cancelled", seen
                    found["cancelled"] += 1
                    assert b"M104 S0" in made.executed
                else:
                    assert outcome == "completed", seen
                    assert len(made.moved()) == scenario.lines, seen
                return found
            leave = not ended and dice.random() < 0.15
            (agent.leave if leave else agent.kill)()
            found["left" if leave else "kills"] += 1
            made.check()
            begin = not (folder / "memory").exists()
            if ended:
                begin = True
                found["before"] += 1
                (folder / "memory").unlink()
            found["half-way"] += 0 < len(made.moved()) < scenario.lines
            made.spoil()


def _never_began(made: World, seen: dict[str, Any]) -> bool:
    """A kill between the M110 and the first line looks like a reset: the print fails, and nothing of it was done."""
    return seen["last"]["outcome"] == "failed" and "restarted" in seen["last"]["error"] and not made.moved()


def _live(agent: Agent, made: World, dice: random.Random) -> bool:
    """A while of an agent's life, with a word or two said to it; whether its print has ended."""
    words = made.scenario.words
    if dice.random() < 0.15:
        return agent.until(lambda t: t["last"], dice.uniform(0.1, 0.5))  # killed while it begins
    agent.until(lambda t: t["last"] or t["state"] in ("printing", "paused", "pausing", "cancelling"))
    if not made.moved() and dice.random() < 0.8:
        agent.until(lambda t: t["last"] or t["line"] > len(made.scenario.head) or t["state"] != "printing", 5.0)
    if agent.seen["state"] == "paused" and dice.random() < 0.8:
        agent.say("resume")
    elif words and dice.random() < 0.6:
        agent.say(words[0])
        if words[0] == "pause" and dice.random() < 0.5:
            agent.until(lambda t: t["last"] or t["state"] == "paused", 1.0)
            agent.say("resume")
    return agent.until(lambda t: t["last"], dice.choice((0.0, 0.003, 0.02, dice.uniform(0.0, 0.2))))


def _finish(agent: Agent, scenario: Scenario) -> bool:
    """Until the print's end."""
    while not agent.seen["last"]:
        if "cancel" in scenario.words and agent.seen["state"] == "printing":
            agent.say("cancel")
        elif agent.seen["state"] == "paused":
            agent.say("resume")
        assert agent.until(_another(agent.seen["state"])), agent.seen
    return True


def _another(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda seen: bool(seen["last"]) or seen["state"] != state


def torn(folder: Path, kills: int, seed: int, names: Sequence[str] = (), say: Callable[[str], None] = print) -> int:
    """`kills` in all, over all scenarios or those named; how many there were."""
    dice = random.Random(seed)
    chosen = [s for s in SCENARIOS if not names or s.name in names]
    done = turn = 0
    while done < kills:
        scenario = chosen[turn % len(chosen)]
        place = folder / str(turn)
        place.mkdir()
        began = time.monotonic()
        found = tear(place, scenario, min(kills - done, 5 if kills < 100 else 12), dice)
        say(f"{scenario.name}: {found} in {time.monotonic() - began:.1f} s")
        done += max(1, found["kills"])
        turn += 1
    return done


def main() -> int:
    """1 when the promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="handover-") as folder:
        try:
            torn(Path(folder), arguments.kills, arguments.seed, arguments.names)
        except AssertionError as error:
            sys.stdout.write(f"BROKEN: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

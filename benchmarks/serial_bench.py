"""Everything about speed that docs/measured.md tells, as one table with goals and verdicts.

    python -m benchmarks.serial_bench [--quick] [--peers auto|no] [--only PART ...]     a table in Markdown on stdout

The driver beside a bare loop, PrusaLink and OctoPrint in the same run; windows over links with latency; noise; pauses
and cancels; the whole agent (`printer-agent run`) between the local cloud and the null firmware: processor time,
memory, a file of 1 GB, how soon a command is taken, and its start. Each figure is the median of alternating rounds: the
machine may be shared, so ratios of one run say more than absolute figures. Less than 20 minutes, --quick less than 2
once the environments of `serial_venvs` are there. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import structlog

from agent.errors import AgentError
from agent.gcode.framing import frame
from benchmarks import serial_noise, serial_venvs, serial_whole
from benchmarks.serial_daemon import daemon
from benchmarks.serial_hosts import LIMIT_S, Clock, Lines, codes, until
from benchmarks.serial_null import ROOT, Firmware, Link, Seen, compiled, sliced

__all__ = ["Clock", "Lines", "Table", "until"]

PEERS = {
    "PrusaLink 0.8.1's serial stack": serial_venvs.PRUSALINK,
    "OctoPrint 1.11.8's comm layer": serial_venvs.OCTOPRINT,
}
EX_SOFTWARE = 70  # the measurement could not be carried through
AHEAD = {"PrusaLink 0.8.1's serial stack": 2.0, "OctoPrint 1.11.8's comm layer": 3.0}
"""How many times as fast as each peer the driver has to be."""


class Table:
    """Rows of Markdown, printed as they come."""

    def __init__(self) -> None:
        self.missed = 0
        print("| what | measured | goal | met |\n|---|---|---|---|", flush=True)  # noqa: T201

    def row(self, what: str, measured: str, goal: str = "", met: bool | None = None) -> None:
        """`met` is None where there is no goal."""
        self.missed += met is False
        told = "" if met is None else "yes" if met else "**no**"
        print(f"| {what} | {measured} | {goal} | {told} |", flush=True)  # noqa: T201


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    lines: int
    rounds: int
    wire_lines: int
    wire_rounds: int
    noisy_lines: int
    stops: int
    commands: int
    large: int
    starts: int


FULL = Size(100_000, 5, 10_000, 3, 100_000, 20, 300, 1_000_000_000, 7)
QUICK = Size(10_000, 2, 1_000, 1, 10_000, 3, 60, 50_000_000, 3)


@dataclass(frozen=True)
class Result:
    """`cpu` in seconds per 100,000 lines."""

    seen: Seen
    cpu: float


def host(program: Path, name: str, what: str, link: Link, window: str = "1") -> tuple[Seen, dict[str, Any]]:
    """One of `serial_hosts` against one firmware."""
    with Firmware(program, link) as firmware:
        command = [sys.executable, "-m", "benchmarks.serial_hosts", name, firmware.port, what, window]
        return _run(command, firmware)


def guest(program: Path, peer: serial_venvs.Peer, file: Path, folder: Path) -> tuple[Seen, dict[str, Any]]:
    """A peer against one firmware."""
    folder.mkdir(exist_ok=True)
    with Firmware(program, Link()) as firmware:
        script = Path(__file__).parent / "peers" / peer.script
        return _run([str(peer.python), str(script), firmware.port, str(file), str(folder)], firmware)


def _run(command: list[str], firmware: Firmware) -> tuple[Seen, dict[str, Any]]:
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=LIMIT_S, check=False)
    assert said.returncode == 0, f"{command}: {said.stderr[-3000:]}"
    return firmware.seen(), json.loads(said.stdout.splitlines()[-1])


def against_others(table: Table, program: Path, size: Size, peers: dict[str, serial_venvs.Peer]) -> None:
    """One line at a time against a firmware that answers at once."""
    folder = program.parent
    file = sliced(folder / "sliced.gcode", size.lines)
    runs: dict[str, Callable[[], tuple[Seen, dict[str, Any]]]] = {
        "bare Python loop": lambda: host(program, "bare", str(file), Link()),
        "driver": lambda: host(program, "driver", str(file), Link()),
    }
    for name, peer in peers.items():
        runs[name] = lambda peer=peer: guest(program, peer, file, folder / peer.name)  # type: ignore[misc]
    found: dict[str, list[Result]] = {name: [] for name in runs}
    for _ in range(size.rounds):
        for name, measure in runs.items():
            seen, told = measure()
            assert seen.executed >= size.lines, f"{name}: {seen}"
            assert not seen.resends, f"{name}: {seen}"
            found[name].append(Result(seen, told["cpu"] * 100_000 / size.lines))
    ours = found["driver"]
    for name, results in found.items():
        rate = statistics.median(result.seen.rate for result in results)
        cpu = statistics.median(result.cpu for result in results)
        row = f"one at a time, {size.lines:,} sliced lines: {name}"
        table.row(row, f"{rate:,.0f} lines/s, {cpu:.2f} CPU s per 100,000")
        if name == "driver":
            continue
        ratio = statistics.median(o.seen.rate / r.seen.rate for o, r in zip(ours, results, strict=True))
        less = statistics.median(o.cpu / r.cpu for o, r in zip(ours, results, strict=True))
        goal = AHEAD.get(name, 0.8)
        row = f"{ratio:.2f} × the lines/s, {less:.2f} × the CPU (medians of {size.rounds} pairs)"
        table.row(f"driver beside {name}", row, f"≥ {goal:g} ×", ratio >= goal)


def windows(table: Table, program: Path, size: Size) -> None:
    """With latency and a baud rate."""
    slow, fast = (Link(baud, 1.0) for baud in (250_000, 1_000_000))
    shown = Link(1_000_000, 1.0, rx=2048, queue=16, advanced=True)
    runs = {
        "slow/1": (slow, "1", size.wire_lines // 2),
        "slow/3": (slow, "3", size.wire_lines),
        "slow/auto": (Link(250_000, 1.0, advanced=True), "auto", size.wire_lines),
        "fast/1": (fast, "1", size.wire_lines),
        "fast/3": (fast, "3", 2 * size.wire_lines),
        "shown": (shown, "auto", 2 * size.wire_lines),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    lost = resends = 0
    for _ in range(size.wire_rounds):
        for name, (link, window, count) in runs.items():
            seen, _ = host(program, "driver", str(count), link, window)
            assert seen.executed == count, f"{name}: {seen}"
            found[name].append((seen.rate, link.baud / 10 / _bytes(count)))
            lost, resends = lost + seen.overflows, resends + seen.resends
    rate = {name: statistics.median(rate for rate, _ in rates) for name, rates in found.items()}
    share = {name: statistics.median(rate / limit for rate, limit in rates) for name, rates in found.items()}
    table.row("250,000 baud, 1 ms, one at a time", f"{rate['slow/1']:,.0f} lines/s, {share['slow/1']:.1%} of the wire")
    for name, what in (("slow/3", "window = 3"), ("slow/auto", "window = auto, ADVANCED_OK")):
        told = f"{rate[name]:,.0f} lines/s, {share[name]:.1%} of the wire"
        table.row(f"250,000 baud, 1 ms, {what}", told, "≥ 97 %", share[name] >= 0.97)
    table.row("1,000,000 baud, 1 ms, one at a time", f"{rate['fast/1']:,.0f} lines/s")
    ratio = rate["fast/3"] / rate["fast/1"]
    told = f"{rate['fast/3']:,.0f} lines/s, {ratio:.2f} × one at a time"
    table.row("1,000,000 baud, 1 ms, window = 3", told, "≥ 2.9 ×", ratio >= 2.9)
    told = f"{rate['shown']:,.0f} lines/s, {share['shown']:.1%} of the wire"
    table.row("the same, emergency parser and 16 commands shown", told, "≥ 95 %", share["shown"] >= 0.95)
    table.row("bytes lost, lines asked for again, in all of these", f"{lost}, {resends}", "0", not lost + resends)


def _bytes(count: int) -> float:
    """Of one line on the wire, on average."""
    return sum(len(frame(number, code)) for number, code in enumerate(codes(count), 1)) / count


def pauses(table: Table, program: Path) -> None:
    """From a pause that the driver has heard to the last line of the file."""
    links = {"1": ("one at a time, full speed", Link()), "3": ("window = 3, 1,000,000 baud", Link(1_000_000, 1.0))}
    for window, (what, link) in links.items():
        _, told = host(program, "pause", "1000000", link, window)
        most = max(told["lines"])
        named = f"file lines after the driver heard a pause, {what}"
        table.row(named, f"at most {most} ({len(told['lines'])} pauses)", "≤ 1", most <= 1)


def available(*, wanted: bool, install: bool, table: Table) -> dict[str, serial_venvs.Peer]:
    """The peers that are here; a row for each that is not."""
    found = {}
    for name, peer in PEERS.items():
        missing = serial_venvs.peer(peer, install=install) if wanted else "not wanted"
        if missing:
            table.row(name, f"not installed: {missing}")
        else:
            found[name] = peer
    return found


def main() -> int:
    """See the module."""
    parts = ("driver", "windows", "noise", "pauses", "start", "processor", "memory", "stops", "receipts")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer lines and rounds: less than two minutes")
    parser.add_argument("--peers", choices=("auto", "no"), default="auto", help="other hosts, installed where possible")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, metavar="PART", help=", ".join(parts))
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    table = Table()
    try:
        measure(table, options, QUICK if options.quick else FULL)
    except (AssertionError, AgentError, subprocess.SubprocessError, requests.RequestException, OSError) as error:
        print(f"\nThe measurement ended here: {error}")  # noqa: T201
        return EX_SOFTWARE
    return 1 if table.missed else 0


def measure(table: Table, options: argparse.Namespace, size: Size) -> None:
    """Measure the parts that were asked for. Raises what ends a measurement: AssertionError for what did not happen,
    AgentError, OSError, and the errors of subprocess and requests."""
    began = time.monotonic()
    programs, missing = serial_venvs.agent()
    if missing:
        table.row("the agent without extras", f"not installed: {missing}; with the tests' extras instead")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        program = compiled(Path(name))
        if "driver" in options.only:
            peers = available(wanted=options.peers != "no", install=not options.quick, table=table)
            against_others(table, program, size, peers)
        if "windows" in options.only:
            windows(table, program, size)
        if "noise" in options.only:
            serial_noise.measure(table, size.noisy_lines)
        if "pauses" in options.only:
            pauses(table, program)
        with daemon(Path(name), program, programs) as world:
            if "start" in options.only:
                serial_whole.startup(table, world, programs, size.starts)
            if "processor" in options.only:
                serial_whole.processor(table, world, size.lines, size.rounds)
            if "memory" in options.only:
                serial_whole.memory(table, world, large=size.large, lines=2 * size.lines)
            if "stops" in options.only:
                serial_whole.stops(table, world, size.stops, max(2, size.stops // 3))
            if "receipts" in options.only:
                serial_whole.receipts(table, world, size.commands)
    table.row(
        "others on this machine meanwhile",
        f"load average {os.getloadavg()[2]:.1f} at the end, {len(os.sched_getaffinity(0))} cores",
    )
    table.row("seconds that this took", f"{time.monotonic() - began:.0f}")


if __name__ == "__main__":
    sys.exit(main())

"""Rows for `serial_bench` about the whole agent: processor time, memory, how soon a command is taken and acted on."""

from __future__ import annotations

import random
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.gcode import Scanner
from agent.local.local_requests import CommandRequest
from agent.local.socket_client import ask
from benchmarks.serial_daemon import Agent, Daemon
from benchmarks.serial_null import Link, sliced

if TYPE_CHECKING:
    from benchmarks.serial_bench import Table

VASE_LINES = 111_000
IDLE_S = 5.0  # until an idle agent's memory is looked at
SLOW = Link(115_200, 1.0)
GOAL_MB = 45.0


def share(values: Sequence[float], part: float) -> float:
    """The value that `part` of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, round(part * len(values)))]


def startup(table: Table, world: Daemon, programs: Path, rounds: int) -> None:
    """`--version`, and from the start to READY=1."""
    taken, ready = [], []
    for _ in range(2 * rounds + 1):
        began = time.monotonic()
        subprocess.run([str(programs / "printer-agent"), "--version"], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - began)
    for _ in range(rounds):
        with world.life(Link()) as agent:
            ready.append(agent.ready)
    version, start = statistics.median(taken), statistics.median(ready)
    table.row("`printer-agent --version`", f"{version:.3f} s, median of {len(taken)}", "≤ 0.1 s", version <= 0.1)
    table.row("start → READY", f"{start:.2f} s, median of {rounds}", "≤ 0.6 s", start <= 0.6)


def processor(table: Table, world: Daemon, count: int, rounds: int) -> None:
    """A print of `count` lines at full speed, all reports going out."""
    sliced(world.hosted("lines.gcode"), count)
    cpu, rates, reports = [], [], 0
    with world.life(Link()) as agent:
        for _ in range(rounds):
            task, _ = world.print_file("lines.gcode")
            world.published(task)
            agent.firmware.until("the first line", lambda seen: 0 < seen.executed < count)
            before = agent.cpu()
            done = world.ended(task)
            cpu.append((agent.cpu() - before) * 100_000 / count)
            seen = agent.firmware.seen()
            assert seen.executed == count, seen
            assert done.body["body"]["job_status"] == "completed", done
            rates.append(seen.rate)
        reports = sum(event.body["event"] in ("report", "status") for event in world.events)
    mine, rate = statistics.median(cpu), statistics.median(rates)
    what = f"whole agent, {count:,} lines at full speed, {reports} reports and heartbeats sent"
    table.row(what, f"{mine:.2f} CPU s per 100,000 lines ({min(cpu):.2f} to {max(cpu):.2f})", "≤ 3 s", mine <= 3.0)
    table.row("the same, lines a second", f"{rate:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})")


def megabytes(kib: int) -> str:
    """In both units."""
    return f"{kib * 1024 / 1e6:.1f} MB ({kib:,} KiB)"


def grown(path: Path, size: int) -> Path:
    """A file of at least `size` bytes: a real one over and over."""
    piece = sliced(path.with_suffix(".piece"), VASE_LINES).read_bytes()
    with path.open("wb") as file:
        for _ in range(-(-size // len(piece))):
            file.write(piece)
    path.with_suffix(".piece").unlink()
    return path


def memory(table: Table, world: Daemon, *, large: int, lines: int) -> None:
    """Resident memory idle, and at most over a start and a print of a small file and of one of `large` bytes."""
    with world.life(Link()) as agent:
        time.sleep(IDLE_S)
        idle = agent.memory("VmRSS")
    small = world.hosted("small.gcode")
    sliced(small, 30_000)
    with world.life(Link()) as agent:
        task, _ = world.print_file(small.name)
        world.ended(task)
        little = agent.memory("VmHWM")
    name = f"{large / 1e9:g} GB"
    file = grown(world.hosted("large.gcode"), large)
    try:
        with world.life(Link()) as agent:
            much = _print_large(table, world, agent, file, lines, name)
    finally:
        file.unlink()
    table.row("resident memory, idle", megabytes(idle), f"≤ {GOAL_MB:.0f} MB", idle * 1024 <= GOAL_MB * 1e6)
    what = f"the same, at most, from the start over a print of {small.stat().st_size / 1e6:.1f} MB"
    table.row(what, megabytes(little), f"≤ {GOAL_MB:.0f} MB", little * 1024 <= GOAL_MB * 1e6)
    table.row(f"of {name}", megabytes(much), f"≤ {GOAL_MB:.0f} MB", much * 1024 <= GOAL_MB * 1e6)
    more = (much - little) / 1024
    table.row(f"more for {name} than for the small file", f"{more:+.1f} MiB", "≤ 1 MiB", more <= 1.0)


def _print_large(table: Table, world: Daemon, agent: Agent, file: Path, lines: int, name: str) -> int:
    """Fetch, scan, print `lines` lines and cancel; the most memory, in KiB."""
    shift, before = time.time() - time.monotonic(), agent.cpu()
    task, job = world.print_file(file.name)
    began = world.published(task).at
    first = agent.firmware.until("the first line", lambda seen: seen.executed > 0, within=300.0).first_at
    taken = agent.cpu() - before
    here = (world.folder / "state" / "jobs" / f"{task}.gcode").stat()
    renamed, written = here.st_ctime - shift, here.st_mtime - shift
    size = file.stat().st_size / 1e6
    what = f"{name} fetched on loopback, checked and scanned meanwhile"
    table.row(what, f"{written - began:.1f} s, {size / (written - began):.0f} MB/s, {taken:.1f} CPU s")
    table.row("the scan alone", f"{_scan_rate(file):.0f} MB a CPU second")
    what = f"first line of {name} after the file is here"
    told = f"{first - renamed:.3f} s; {first - written:.2f} s after its last byte, before it was on the disk"
    table.row(what, told, "≤ 0.3 s", first - renamed <= 0.3)
    agent.firmware.until(f"{lines} lines", lambda seen: seen.executed >= lines, within=120.0)
    world.ended(world.member.command(world.printer_id, "cancel", job_id=job))
    world.ended(task)
    return agent.memory("VmHWM")


def _scan_rate(file: Path, size: int = 64 << 20) -> float:
    scanner = Scanner()
    with file.open("rb") as source:
        began, left = time.process_time(), size
        while left > 0 and (block := source.read(65536)):
            scanner.feed(block)
            left -= len(block)
    return (size - left) / 1e6 / (time.process_time() - began)


def stops(table: Table, world: Daemon, pauses: int, cancels: int) -> None:
    """From a pause or cancel that is published, or told to the local socket, to the last line of the file."""
    grown(world.hosted("long.gcode"), 100_000_000)
    sliced(world.hosted("again.gcode"), VASE_LINES)
    for link, name in ((SLOW, "115,200 baud, 1 ms"), (Link(), "full speed")):
        with world.life(link) as agent:
            task, job = world.print_file("long.gcode")
            for way in ("published", "local socket"):
                found = [_paused(world, agent, job, way) for _ in range(pauses)]
                _stop_row(table, f"pause, {way}, {name}", found)
            world.ended(world.member.command(world.printer_id, "cancel", job_id=job))
            world.ended(task)
            found = [_cancelled(world, agent) for _ in range(cancels)]
            _stop_row(table, f"cancel, published, {name}", found)
    world.hosted("long.gcode").unlink()


def _stop_row(table: Table, what: str, found: list[tuple[int, float]]) -> None:
    lines = [lines for lines, _ in found]
    told = f"{statistics.median(lines):.0f} lines, at most {max(lines)}; "
    told += f"{statistics.median(ms for _, ms in found):.1f} ms to the last one (median of {len(found)})"
    table.row(f"{what}: lines of the file after it", told, "≤ 1", max(lines) <= 1)


def _after(agent: Agent, at: float, line: int) -> tuple[int, float]:
    """How many lines, and how many milliseconds until the last of them."""
    seen = agent.firmware.seen()
    return seen.executed - line, max(0.0, seen.last_at - at) * 1000


def _paused(world: Daemon, agent: Agent, job: str, way: str) -> tuple[int, float]:
    begun = agent.firmware.seen().executed
    agent.firmware.until("it prints", lambda seen: seen.executed > begun)
    time.sleep(random.random() * 0.1)
    if way == "published":
        task = world.member.command(world.printer_id, "pause", job_id=job)
        event = world.published(task)
        at, line = event.at, event.line
        world.ended(task)
    else:
        at, line = time.monotonic(), agent.firmware.seen().executed
        ask(agent.socket, CommandRequest("pause"))
        agent.until("paused", lambda: agent.status()["printer_status"] == "paused")
    found = _after(agent, at, line)
    world.ended(world.member.command(world.printer_id, "resume", job_id=job))
    return found


def _cancelled(world: Daemon, agent: Agent) -> tuple[int, float]:
    task, job = world.print_file("again.gcode")
    began = world.published(task).at
    agent.firmware.until("it prints", lambda seen: seen.first_at > began and seen.executed > 100)
    time.sleep(random.random() * 0.1)
    event = world.published(world.member.command(world.printer_id, "cancel", job_id=job))
    world.ended(task)
    return _after(agent, event.at, event.line)


def receipts(table: Table, world: Daemon, count: int) -> None:
    """From a command's publication to its receipt, while a print goes at full speed."""
    grown(world.hosted("long.gcode"), 400_000 * count)
    taken = []
    with world.life(Link()) as agent:
        task, job = world.print_file("long.gcode")
        agent.firmware.until("the first line", lambda seen: seen.executed > 1000)
        for _ in range(count):
            time.sleep(0.5 + random.random() * 0.1)  # the inbox takes 2 a second for long (docs/bounds.md)
            asked = world.member.command(world.printer_id, "request_settings")
            taken.append((world.receipt(asked).at - world.published(asked).at) * 1000)
            world.ended(asked)
        rate = agent.firmware.seen().rate
        world.ended(world.member.command(world.printer_id, "cancel", job_id=job))
        assert world.ended(task).body["body"]["job_status"] == "canceled", "the print was over too soon"
    world.hosted("long.gcode").unlink()
    half, most = share(taken, 0.5), share(taken, 0.99)
    what = f"published → receipt at the cloud, while printing {rate:,.0f} lines/s"
    told = f"p50 {half:.1f} ms, p99 {most:.1f} ms, longest {max(taken):.1f} ms of {count}"
    table.row(what, told, "≤ 10, ≤ 40 ms", half <= 10.0 and most <= 40.0)

"""How fast the G-code driver sends, beside a bare loop in the same run.

    python -m tests.bench.serial_bench [--quick | --full]     a table in Markdown on stdout

Each figure is the median of alternating rounds: the machine is shared, so only ratios of one run mean anything. The
firmware is `null_firmware.c`, compiled here; each host is a process of its own. Goals are those of the project's
performance page.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.core.ports import Host, Outcome, PrinterState, Telemetry
from drivers.gcode.framing import frame

if TYPE_CHECKING:
    from drivers.gcode.driver import GcodeDriver

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LIMIT_S = 280.0


def codes(count: int) -> list[bytes]:
    """Moves as a slicer writes them, about 36 bytes each with number and checksum."""
    return [
        b"G1 X%d.%03d Y%d.%03d E%d.%d" % (n % 200, n % 1000, n % 180, n * 7 % 1000, n % 10, n % 10000)
        for n in range(1, count + 1)
    ]


@dataclass(frozen=True)
class Link:
    """How the firmware is reached: `baud` 0 is without limit, `ms` of latency; `ms` 0 and no baud: at once."""

    baud: int = 0
    ms: float = 0.0
    rx: int = 128
    queue: int = 4
    advanced: bool = False

    def arguments(self) -> list[str]:
        if not self.ms:
            return ["now"]
        return ["link", *(str(v) for v in (self.baud, self.ms, self.rx, self.queue, int(self.advanced)))]

    def limit(self, count: int) -> float:
        """Lines per second that the wire carries."""
        size = sum(len(frame(n, code)) for n, code in enumerate(codes(count), 1)) / count
        return self.baud / 10 / size


@dataclass(frozen=True)
class Result:
    """`rate` in lines per second by the firmware's clock; `cpu` in seconds per 100,000 lines, or another figure."""

    rate: float
    cpu: float
    executed: int
    resends: int
    overflows: int


def compiled(folder: Path) -> Path:
    """The firmware's program."""
    program = folder / "null_firmware"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(program), str(HERE / "null_firmware.c")], check=True)
    return program


def run(program: Path, host: str, count: int, link: Link, window: str = "1") -> Result:
    """One host against one firmware."""
    with subprocess.Popen([str(program), *link.arguments()], stdout=subprocess.PIPE, text=True) as firmware:
        assert firmware.stdout is not None
        port = firmware.stdout.readline().strip()
        command = [sys.executable, "-m", "tests.bench.serial_bench", "--host", host, port, str(count), window]
        try:
            said = subprocess.run(
                command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=LIMIT_S, env=os.environ
            )
            seen = dict(pair.split("=") for pair in firmware.stdout.readline().split())
        finally:
            firmware.kill()
    executed, seconds = int(seen["executed"]), float(seen["seconds"])
    figure = float(json.loads(said.stdout.splitlines()[-1])["figure"])
    if host != "pause":
        figure *= 100_000 / count
    return Result(executed / seconds, figure, executed, int(seen["resends"]), int(seen["overflows"]))


# --- hosts, each in a process of its own


def bare_host(port: str, count: int, _window: str) -> float:
    """One line at a time with os.write and os.read; CPU seconds."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    lines = codes(count)
    began = time.process_time()
    os.write(fd, b"N0 M110 N0*125\n")
    os.read(fd, 4096)
    for number, code in enumerate(lines, 1):
        os.write(fd, frame(number, code))
        data = os.read(fd, 4096)
        while data[-1:] != b"\n":
            data = os.read(fd, 4096)
    return time.process_time() - began


class Lines:
    """`codes` as a file."""

    def __init__(self, count: int) -> None:
        self.codes = codes(count)

    @property
    def total_lines(self) -> int:
        return len(self.codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        return iter(self.codes[start - 1 :])


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


def driver_host(port: str, count: int, window: str) -> float:
    """The G-code driver; CPU seconds of the print, all its threads together."""
    from drivers.gcode.driver import GcodeDriver
    from drivers.settings import DriverSettings

    woken = threading.Event()
    settings = DriverSettings(port=port, baud=115200, window="auto" if window == "auto" else int(window))
    driver = GcodeDriver(settings, clock=Clock())
    driver.open(Host(woken.set))
    source = Lines(count)
    until(driver, woken, lambda t: t.state is PrinterState.IDLE)
    began = time.process_time()
    driver.start_print("p", source)
    last = until(driver, woken, lambda t: t.last is not None).last
    taken = time.process_time() - began
    driver.close()
    assert last is not None
    assert last.outcome is Outcome.COMPLETED, last.error
    return taken


def pause_host(port: str, count: int, window: str) -> float:
    """The most lines of the file that were written after a pause was heard."""
    from tests.bench.serial_noise import lines_after_pause

    return max(lines_after_pause(port, count, window))


HOSTS = {"bare": bare_host, "driver": driver_host, "pause": pause_host}


# --- the table


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


def median(results: list[Result]) -> Result:
    """The medians of what varies; the sum of what should be zero."""
    return Result(
        statistics.median(r.rate for r in results),
        statistics.median(r.cpu for r in results),
        min(r.executed for r in results),
        sum(r.resends for r in results),
        sum(r.overflows for r in results),
    )


def against_bare(table: Table, program: Path, count: int, rounds: int) -> None:
    """One line at a time against a firmware that answers at once."""
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(run(program, "bare", count, Link()))
        ours.append(run(program, "driver", count, Link()))
    ratio = statistics.median(o.rate / b.rate for o, b in zip(ours, bare, strict=True))
    b, o = median(bare), median(ours)
    table.row("bare Python loop, one at a time", f"{b.rate:,.0f} lines/s, {b.cpu:.2f} CPU s per 100,000")
    table.row("driver, one at a time", f"{o.rate:,.0f} lines/s, {ratio:.0%} of the bare loop", "≥ 80 %", ratio >= 0.8)
    table.row("driver, CPU per 100,000 lines", f"{o.cpu:.2f} s", "≤ 3 s", o.cpu <= 3.0)


def windows(table: Table, program: Path, count: int, rounds: int) -> None:
    """With latency and a baud rate."""
    usual = [Link(baud, 1.0) for baud in (250_000, 1_000_000)]
    shown = Link(1_000_000, 1.0, rx=2048, queue=16, advanced=True)
    rates: dict[str, list[Result]] = {}
    for _ in range(rounds):
        for link in usual:
            for window in ("1", "3"):
                result = run(program, "driver", count if link.baud > 250_000 else count // 2, link, window)
                rates.setdefault(f"{link.baud}/{window}", []).append(result)
        auto = run(program, "driver", count // 2, Link(250_000, 1.0, advanced=True), "auto")
        rates.setdefault("auto", []).append(auto)
        rates.setdefault("shown", []).append(run(program, "driver", count, shown, "auto"))
    found = {name: median(results) for name, results in rates.items()}
    slow, fast = usual[0].limit(count // 2), usual[1].limit(count)
    quiet = f"; {sum(r.overflows for r in found.values())} bytes lost in all rounds"
    table.row("250,000 baud, 1 ms, one at a time", f"{found['250000/1'].rate:,.0f} lines/s of {slow:,.0f}")
    for name, what in (("250000/3", "window = 3"), ("auto", "window = auto, ADVANCED_OK")):
        share = found[name].rate / slow
        table.row(f"250,000 baud, 1 ms, {what}", f"{share:.1%} of the wire", "≥ 97 %", share >= 0.97)
    one, three = found["1000000/1"].rate, found["1000000/3"].rate
    table.row("1,000,000 baud, 1 ms, one at a time", f"{one:,.0f} lines/s of {fast:,.0f}")
    table.row("1,000,000 baud, 1 ms, window = 3", f"{three / one:.2f} × one at a time", "≥ 2.9 ×", three / one >= 2.9)
    share = found["shown"].rate / fast
    table.row("the same, emergency parser and 16 commands", f"{share:.1%} of the wire{quiet}", "≥ 95 %", share >= 0.95)


def pauses(table: Table, program: Path) -> None:
    """From a pause that was heard to the last line of the file."""
    links = {"1": ("one at a time, at once", Link()), "3": ("window = 3, 1,000,000 baud", Link(1_000_000, 1.0))}
    for window, (what, link) in links.items():
        most = int(run(program, "pause", 1_000_000, link, window).cpu)
        table.row(f"file lines after a pause was heard, {what}", f"at most {most} (20 pauses)", "≤ 1", most <= 1)


def main() -> int:
    """See the module."""
    if sys.argv[1:2] == ["--host"]:
        host, port, size, window = sys.argv[2:6]
        import structlog

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        print(json.dumps({"figure": HOSTS[host](port, int(size), window)}))  # noqa: T201
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer lines and rounds: about a minute")
    parser.add_argument("--full", action="store_true", help="100,000 lines also where noise is added")
    options = parser.parse_args()
    count, rounds = (20_000, 3) if options.quick else (100_000, 5)
    with tempfile.TemporaryDirectory(prefix="serial-bench-") as folder:
        program = compiled(Path(folder))
        table = Table()
        against_bare(table, program, count, rounds)
        windows(table, program, count // 10, min(rounds, 3))
        pauses(table, program)
    from tests.bench import serial_noise

    serial_noise.measure(table, 100_000 if options.full else 3_000 if options.quick else 10_000)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())

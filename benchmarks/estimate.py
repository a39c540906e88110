"""Time left of a print, measured: `python -m benchmarks.estimate [--quick]`, `make bench-estimate`.

Each file is printed by simulated printers (benchmarks/estimate_truth.py) at 100 and 50 percent of the speed. After a
quarter, a half and three quarters of the printing time it is compared what is said to be left with what was: by the
agent, by OctoPrint and by PrusaLink (in environments of their own) on the same runs. Errors are percent of the print.
The exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agent.core.time_left import Pace, Reckoned, TimeLeft, TimeSource
from agent.gcode import Index, Scanner
from benchmarks.estimate_files import Sliced, files
from benchmarks.estimate_truth import MACHINES, Machine, Run, run
from benchmarks.serial_venvs import OCTOPRINT, PRUSALINK, Peer, peer

SHARES = (0.25, 0.5, 0.75)
SPEEDS = (100, 50)
STEP_S = 1.0
PEER_STEP_S = 0.5
PEER_LIMIT_S = 600.0
GOALS = {(True, 100): 3.0, (False, 100): 8.0, (True, 50): 5.0, (False, 50): 5.0}
"""(with times in the file, percent of the speed) → mean error in percent of the print, at most."""


@dataclass
class Print:
    """One print, and what was said to be left at SHARES of it: program → seconds, None for nothing."""

    file: Sliced
    machine: Machine
    speed: int
    run: Run
    said: dict[str, list[float | None]]

    def points(self) -> list[float]:
        """The seconds at which SHARES of it are done."""
        return [self.run.when(share) for share in SHARES]

    def errors(self, program: str) -> list[float]:
        """In percent of the print, where something was said."""
        total = self.run.printed(self.run.end)
        return [
            100.0 * (said - (self.run.end - at)) / total
            for said, at in zip(self.said[program], self.points(), strict=True)
            if said is not None
        ]


def scan(data: bytes) -> Index:
    """The index of a file."""
    scanner = Scanner()
    scanner.feed(data)
    return scanner.finish()


def agents_estimates(index: Index, printed: Run, speed: float) -> list[float | None]:
    """What the agent says at SHARES of a print that it looks at each second."""
    estimate, said, at = TimeLeft(Pace()), [], 0.0
    for point in (printed.when(share) for share in SHARES):
        while at < point:
            at = min(at + STEP_S, point)
            line = printed.line(at)
            left = index.seconds_left(line)
            reckoned = Reckoned(
                left=left,
                progress=index.position(line).progress,
                source=TimeSource(index.left_from),
                speed=100.0 if index.own_speed and line >= index.own_speed else speed,
                begun=line >= index.first_layer,
            )
            estimate.update(at, reckoned, runs=not printed.heats(at))
        said.append(None if estimate.seconds is None else float(estimate.seconds))
    return said


def prints(sliced: Iterable[Sliced], machines: Iterable[Machine]) -> list[Print]:
    """All of them, with the agent's estimates."""
    found = []
    for file in sliced:
        codes, index = file.codes(), scan(file.data)
        for machine in machines:
            for speed in SPEEDS:
                printed = run(codes, machine, speed)
                found.append(Print(file, machine, speed, printed, {"agent": agents_estimates(index, printed, speed)}))
    return found


def ask_peer(which: Peer, script: str, lines: Iterable[str], arguments: list[str]) -> list[list[float | None]]:
    """The estimates of a peer's program for runs as lines of JSON."""
    program = Path(__file__).parent / "peers" / script
    done = subprocess.run(
        [str(which.python), str(program), *arguments],
        input="".join(line + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=PEER_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask_peers(every: list[Print]) -> None:
    """Add what OctoPrint and PrusaLink say of each print."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, one in enumerate(every):
            if one.file.name not in paths:
                paths[one.file.name] = str(Path(folder) / f"{number}.gcode")
                Path(paths[one.file.name]).write_bytes(one.file.data)
        if missing := peer(OCTOPRINT):
            _write(f"OctoPrint: not measured: {missing}")
        else:
            lines = (json.dumps(_for_octoprint(one, paths[one.file.name])) for one in every)
            for one, said in zip(every, ask_peer(OCTOPRINT, "octoprint_estimate.py", lines, [folder]), strict=True):
                one.said["OctoPrint"] = said
        if missing := peer(PRUSALINK):
            _write(f"PrusaLink: not measured: {missing}")
        else:
            lines = (json.dumps(_for_prusalink(one, paths[one.file.name])) for one in every)
            for one, said in zip(every, ask_peer(PRUSALINK, "prusalink_estimate.py", lines, []), strict=True):
                one.said["PrusaLink"] = said


def _for_octoprint(one: Print, path: str) -> dict[str, object]:
    offsets, size = one.file.offsets(), len(one.file.data)
    progress, at = [], 0.0
    while at < one.run.end * SHARES[-1] + 200.0:
        line = one.run.line(at)
        progress.append(round(offsets[line - 1] / size, 5) if line else 0.0)
        at += PEER_STEP_S
    return {"file": path, "heating": one.run.heating, "progress": progress, "points": one.points()}


def _for_prusalink(one: Print, path: str) -> dict[str, object]:
    return {"file": path, "acknowledged": [round(at, 1) for at in one.run.acknowledged], "points": one.points()}


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")


def mean(numbers: list[float]) -> float:
    """Of their absolute values."""
    return sum(map(abs, numbers)) / len(numbers) if numbers else 0.0


def report(every: list[Print]) -> bool:
    """Print the tables; whether each goal is met."""
    programs = list(every[0].said)
    _write(f"{'mean error in % of the print, 25/50/75 %':44}{''.join(f'{program:>22}' for program in programs)}")
    for file in dict.fromkeys(one.file.name for one in every):
        cells = []
        for program in programs:
            errors = [error for one in every if one.file.name == file for error in one.errors(program)]
            cells.append(f"{mean(errors):22.1f}" if errors else f"{'nothing':>22}")
        _write(f"{file:44}{''.join(cells)}")
    met = True
    for (timed, speed), goal in GOALS.items():
        group = [one for one in every if one.file.timed is timed and one.speed == speed]
        kind = f"{'with' if timed else 'without'} times, at {speed} %"
        for program in programs:
            errors = [error for one in group for error in one.errors(program)]
            silent = len(SHARES) * len(group) - len(errors)
            sizes = sorted(map(abs, errors)) or [0.0]
            _write(
                f"{kind}: {program}: mean {mean(errors):.2f} %, median {median(sizes):.2f} %, most {sizes[-1]:.1f} %"
                f" of {len(group)} prints" + (f", nothing said {silent} times" if silent else "")
            )
        errors = [error for one in group for error in one.errors("agent")]
        good = bool(errors) and mean(errors) <= goal
        _write(f"{kind}: goal {goal} %: {'met' if good else 'MISSED'}")
        met = met and good
    return met


def scan_cost(data: bytes, rounds: int) -> float:
    """CPU seconds of a scan, the best of some."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        scan(data)
        best = min(best, time.process_time() - begin)
    return best


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimate", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one printer, small files, no peers")
    arguments = parser.parse_args()
    sliced = files()
    if arguments.quick:
        sliced = [file for file in sliced if len(file.data) < 1_000_000]
    every = prints(sliced, MACHINES[1:2] if arguments.quick else MACHINES)
    if not arguments.quick:
        ask_peers(every)
    met = report(every)
    for file in sliced:
        cost = scan_cost(file.data, 3)
        _write(f"scan of {file.name}: {cost:.3f} s of CPU, {len(file.data) / cost / 1e6:.1f} MB/s")
    _write("all goals met" if met else "a goal was missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""PrusaLink's estimate of the time left in runs that are over; run by the Python of PrusaLink's own environment.

    python prusalink_estimate.py

Each line of the input is a run as JSON: `file`, `acknowledged` (the second of each line), `points` (seconds). For each
it prints a list of the seconds that it said were left at these points, null for none. A file with M73 tells its own
time, which PrusaLink hears from the printer; for others its `PrintStats`, with our clock, reckons as its `FilePrinter`
asks it to.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_LEFT = re.compile(r"M73 .*?R(\d+)")


class Clock:
    """A clock in the run's hands."""

    now = 0.0

    def time(self) -> float:
        """Seconds."""
        return self.now


def estimates(run: dict[str, Any], clock: Clock, stats: Any, every: int) -> list[float | None]:
    """What it says at each of the run's points."""
    clock.now = 0.0
    stats.start_time_segment()
    stats.track_new_print(run["file"])
    codes = (line.partition(";")[0].strip() for line in Path(run["file"]).read_text(encoding="utf-8").splitlines())
    sent = [code for code in codes if code]
    said: list[float | None] = []
    points = list(run["points"])
    left: float | None = None
    for number, (code, at) in enumerate(zip(sent, run["acknowledged"], strict=True), 1):
        while points and at >= points[0]:
            said.append(left)
            points.pop(0)
        if stats.data.has_inbuilt_stats:
            if mark := _LEFT.match(code):
                left = int(mark[1]) * 60.0
        elif number % every == 0:
            clock.now = at
            left = stats.get_stats(number)[1] * 60.0
    return said + [left] * len(points)


def main() -> int:
    """See the module."""
    prctl = ModuleType("prctl")
    prctl.set_name = lambda _name: None  # type: ignore[attr-defined]
    sys.modules["prctl"] = prctl
    module = import_module("prusa.link.printer_adapter.print_stats")
    every = import_module("prusa.link.const").STATS_EVERY
    clock = Clock()
    vars(module)["time"] = clock.time
    for line in sys.stdin:
        sys.stdout.write(
            json.dumps(estimates(json.loads(line), clock, module.PrintStats(SimpleNamespace()), every)) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

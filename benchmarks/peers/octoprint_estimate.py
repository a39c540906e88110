"""OctoPrint's estimate of the time left in runs that are over; run by the Python of OctoPrint's own environment.

    python octoprint_estimate.py FOLDER

Each line of the input is a run as JSON: `file`, `heating` (pairs of seconds), `progress` (the share of the file's bytes
that was sent, each half second) and `points` (seconds). For each it prints a list of the seconds that it said were left
at these points, null for none. Its `PrintTimeEstimator` with its defaults gets what `octoprint.printer.standard` gives
it, with the time that its own analysis of the file finds.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

STEP_S = 0.5


def analysed(path: str) -> float:
    """Seconds that OctoPrint's analysis of a file finds."""
    interpreter = import_module("octoprint.util.gcodeInterpreter").gcode()
    interpreter.load(path)
    return float(interpreter.get_result()["total_time"]) * 60.0


def estimates(run: dict[str, Any], total: float, estimator: Any) -> list[float | None]:
    """What it says at each of the run's points."""
    said: list[float | None] = []
    points = list(run["points"])
    left = None
    for step, progress in enumerate(run["progress"]):
        now = step * STEP_S
        while points and now >= points[0]:
            said.append(left)
            points.pop(0)
        heated = sum(max(0.0, min(now, end) - begin) for begin, end in run["heating"])
        left = estimator.estimate(progress, now, now - heated, total or None, "analysis")[0]
    return said + [left] * len(points)


def main() -> int:
    """See the module."""
    folder = Path(sys.argv[1])
    import_module("octoprint.settings").settings(init=True, basedir=str(folder))
    estimator = import_module("octoprint.printer.estimation").PrintTimeEstimator
    totals: dict[str, float] = {}
    for line in sys.stdin:
        run = json.loads(line)
        if run["file"] not in totals:
            totals[run["file"]] = analysed(run["file"])
        sys.stdout.write(json.dumps(estimates(run, totals[run["file"]], estimator("local"))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

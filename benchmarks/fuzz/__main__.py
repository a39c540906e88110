"""Fuzz each parser that reads from outside (`make fuzz`).

    python -m benchmarks.fuzz [--seconds S] [--only NAME…] [--count N] [--seed N]

Without --seconds each target has its full number of trials, a million for the replies of Faye. With it, all of them
together take about so long. A finding ends the run with exit code 1, the input and what repeats it.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time

import structlog

from benchmarks.fuzz.table import TARGETS
from benchmarks.fuzz.target import Target


def main() -> int:
    """Run the chosen targets."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="Fuzz the parsers.")
    options.add_argument("--seconds", type=float, help="for all targets together")
    options.add_argument("--only", nargs="+", choices=sorted(TARGETS), default=list(TARGETS))
    options.add_argument("--count", type=int, help="trials of each target")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    share = given.seconds / len(given.only) if given.seconds else None
    return max(run(TARGETS[name], given.seed, share, given.count) for name in given.only)


def run(target: Target, seed: int, seconds: float | None, count: int | None) -> int:
    """Run one target for a time or a number of trials, and say how it went."""
    choose = random.Random(seed)
    enough = count or (target.count if seconds is None else sys.maxsize)
    began, done = time.monotonic(), 0
    with target.prepare() as trial:
        while done < enough and (seconds is None or time.monotonic() - began < seconds):
            try:
                trial(choose)
            except AssertionError as error:
                sys.stderr.write(f"{target.name}: trial {done}: {error}\n")
                sys.stderr.write(
                    f"again: python -m benchmarks.fuzz --only {target.name} --seed {seed} --count {done + 1}\n"
                )
                return 1
            done += 1
    result = {"fuzz": target.name, "trials": done, "seed": seed, "seconds": round(time.monotonic() - began, 1)}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

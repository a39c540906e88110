"""Nothing lost, nothing twice: the figures. `python -m benchmarks.torture [--quick] [PART]…`"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from agent.errors import AgentError
from benchmarks.agent_kills import torture
from benchmarks.commit_kills import points
from benchmarks.disk_writes import writes
from benchmarks.full_disk import full_disk
from benchmarks.prerequisites import missing_faye
from benchmarks.reporter_outages import storm, week

SEED = 20160301


PARTS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "points": lambda folder, quick: points(folder, range(1, 4) if quick else None),
    "storm": lambda folder, quick: storm(folder, 3 if quick else 72, SEED),
    "week": lambda folder, quick: week(folder, 1 if quick else 7),
    "fulldisk": lambda folder, _quick: full_disk(folder),
    "writes": lambda folder, quick: writes(folder, 10.0 if quick else 60.0, 10.0 if quick else 180.0),
}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _kills(folder: Path, count: int) -> dict[str, Any]:
    reason = missing_faye()
    return {"skipped": reason} if reason else torture(folder, count, count // 5, SEED, _say)


def main() -> int:
    """Run the parts; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a slice of each")
    parser.add_argument("--kills", type=int, default=0, help="how many (default: 1000, or 20); a fifth while printing")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, kills (default: all)")
    arguments = parser.parse_args()
    count = arguments.kills or (20 if arguments.quick else 1000)
    parts = PARTS | {"kills": lambda folder, _quick: _kills(folder, count)}
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    failed = False
    unknown = set(arguments.parts) - set(parts)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in arguments.parts or parts:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            try:
                found = parts[name](Path(folder), arguments.quick)
            except AssertionError as error:
                failed = True
                _say(f"{name}: BROKEN: {error}")
                continue
            except (AgentError, OSError, subprocess.SubprocessError) as error:
                failed = True
                _say(f"{name}: not measured: {error}")
                continue
        _say(
            f"{name}: {', '.join(f'{key} {value}' for key, value in found.items())} ({time.monotonic() - began:.0f} s)"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Attacks on an agent that prints: `python -m benchmarks.hostile [--quick] [NAME]…`

Each case is a row: who attacks, with what. While the attack runs the agent prints; what the printer executes is
compared with the file, and a cancel (or a pause) is timed from its publication to the driver. One line a case and a
summary; exit code 1 when a figure is beyond its limit or a print lost a line.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import structlog

from benchmarks.hostile.groups import GROUPS, QUICK
from benchmarks.hostile.host import memory_limit
from benchmarks.hostile.run import Selection, run_groups


def main() -> int:
    """Run the cases; 1 when one is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some of the cases, a minute at most")
    parser.add_argument("--list", action="store_true", help="the table of cases, and nothing is done")
    parser.add_argument("names", nargs="*", metavar="NAME", help="groups or cases (default: all)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    known = {group.name for group in GROUPS} | {one.name for group in GROUPS for one in group.cases}
    if unknown := set(arguments.names) - known:
        parser.error(f"no such group or case: {', '.join(sorted(unknown))}")
    if arguments.list:
        for group in GROUPS:
            for one in group.cases:
                say(f"{group.name} | {one.name} | {one.attacker} | {one.what} | {one.expected}")
        return 0
    limit = memory_limit()
    say(f"memory: {'held to 128 MiB by systemd' if limit else 'watched (VmHWM); no limit can be held here'}")
    names = frozenset(arguments.names) or (QUICK if arguments.quick else frozenset())
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        summary = run_groups(GROUPS, Selection(names), Path(folder), say)
    say(summary.text(load=os.getloadavg()[0]))
    return int(bool(summary.broken))


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

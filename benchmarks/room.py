"""The figures of the room that nobody is in: random histories of the bed, curves of heaters, forms of G-code.

    make room [ARGS=--quick]

Each part prints one line of figures; exit code 1 when one of them does not hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from benchmarks import room_histories

QUICK = 300  # histories
PARTS = ("room_curves", "room_forms")


def main(arguments: list[str]) -> int:
    """Run the three parts, all of them whatever the first says; the exit code."""
    codes = [room_histories.main(QUICK if "--quick" in arguments else room_histories.HISTORIES)]
    for name in PARTS:
        part: Callable[[], int] = import_module(f"benchmarks.{name}").main
        codes.append(part())
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""The files that are printed under attack."""

from __future__ import annotations

from functools import cache

from tests.support.prints import gcode

LONG, SHORT = 20_000, 200  # moves of a print that is cancelled, and of one that comes to its end


@cache
def long_print() -> list[str]:
    """A print that nobody waits for."""
    return gcode(LONG)


@cache
def short_print() -> list[str]:
    """A print that comes to its end."""
    return gcode(SHORT)

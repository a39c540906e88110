"""Growth of the time that something takes with the size of its input, by multiplying the size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
NOTICEABLE = 0.01
"""Seconds below which nothing is said about growth."""
SUPERLINEAR = 9.0
"""Times as long for four times the size: 4 would be linear, 16 is quadratic."""
TRIES = 5
ROUNDS = 3


def superlinear(make: Callable[[int], T], use: Callable[[T], object], sizes: Sequence[int]) -> float:
    """How many times as long four times the size takes, where that is more than linear; else 0.

    `sizes` grow: where a smaller one takes long already, no larger one is tried. Time that the machine spent on
    something else does not count: it is CPU time, the best of several tries, and what it says must be so each time."""
    for size in sizes:
        data = make(size)
        began = time.perf_counter()
        use(data)
        if time.perf_counter() - began > NOTICEABLE:
            return min(_growth(make(size // 4), data, use) for _ in range(ROUNDS))
    return 0.0


def _growth(quarter: T, whole: T, use: Callable[[T], object]) -> float:
    took = _least(whole, use)
    if took < NOTICEABLE:
        return 0.0
    times = took / max(_least(quarter, use), 1e-6)
    return times if times > SUPERLINEAR else 0.0


def _least(data: T, use: Callable[[T], object]) -> float:
    least = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        use(data)
        least = min(least, time.thread_time() - began)
    return least

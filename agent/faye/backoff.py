"""Exponential back-off with jitter: the wait after the n-th failure in a row."""

from __future__ import annotations

from collections.abc import Callable

BASE = 2.0
"""Seconds: the ceiling of the first wait."""
CAP = 60.0
"""Seconds: the ceiling of any wait (docs/faye.md §12)."""
FLOOR = 1 / 8
"""The least wait, as a share of the ceiling. Pure full jitter may draw zero many times in a row; with this floor
thirteen tries need more than 60 s whatever is drawn."""


class Backoff:
    """Exponential back-off with full jitter: the n-th wait is drawn evenly from 0 to min(60 s, 2 s x 2^n), and is never
    less than an eighth of that ceiling. `rng` gives a number in [0, 1)."""

    def __init__(self, rng: Callable[[], float], *, base: float = BASE, cap: float = CAP) -> None:
        self._rng = rng
        self._base = base
        self._cap = cap
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures since the last reset."""
        return self._failures

    def next(self) -> float:
        """Count one more failure and return the wait in seconds."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(ceiling * FLOOR, ceiling * self._rng())

    def reset(self) -> None:
        """Forget the failures: the next one is the first again."""
        self._failures = 0

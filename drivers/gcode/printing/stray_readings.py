"""Readings of a heater that are further from the one before than a temperature can go: garbled, or a broken sensor."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from drivers.settings import HeatLimits

AGREE = 3
"""So many strays in a row that agree with each other are the sensor's, not the cable's…"""
AGREE_S = 4.0
"""…when they are so many seconds apart."""
WINDOW_S = 120.0
WINDOW_MOST = 8
WINDOW_SHARE = 1 / 3
"""A sensor with a loose contact: so many strays, and such a share of all readings, in the last WINDOW_S."""
SLOWEST_S = 5.0
"""Seconds between two readings for which the rate is taken into account, at most."""


class Stray(Enum):
    """What a reading is."""

    NO = auto()  # as it may be
    ONE = auto()  # too far away, and nothing confirms it
    AGREED = auto()  # too far away, as those before it are
    FREQUENT = auto()  # too far away, as too many are


class StrayReadings:
    """Counts them for one heater. A stray that nothing confirms is dropped."""

    def __init__(self, limits: HeatLimits) -> None:
        self._limits = limits
        self._row: list[tuple[float, float]] = []  # of strays that agree: instant, °C
        self._window: deque[tuple[float, bool]] = deque(maxlen=int(WINDOW_S / 0.5))

    def forget(self) -> None:
        """Begin anew: there is nothing to compare with."""
        self._row.clear()
        self._window.clear()

    def judge(self, now: float, gap: float, actual: float, last: float | None) -> Stray:
        """Judge a reading of `actual` °C, `gap` seconds after the one before; `last` is the last one that was believed,
        None: anything is."""
        allowed = self._limits.jump_c + self._limits.jump_rate * min(max(gap, 0.0), SLOWEST_S)
        stray = last is not None and abs(actual - last) > allowed
        self._window.append((now, stray))
        if not stray:
            self._row.clear()
            return Stray.NO
        if self._row and abs(actual - self._row[-1][1]) > allowed:
            self._row.clear()
        self._row.append((now, actual))
        if len(self._row) >= AGREE and now - self._row[0][0] >= AGREE_S:
            self._row.clear()
            return Stray.AGREED
        if len(self._row) > 1:  # a temperature of its own rather than a loose contact: AGREE_S will tell
            return Stray.ONE
        return Stray.FREQUENT if self._frequent(now) else Stray.ONE

    def _frequent(self, now: float) -> bool:
        window = self._window
        while window and window[0][0] < now - WINDOW_S:
            window.popleft()
        strays = sum(stray for _at, stray in window)
        return strays >= WINDOW_MOST and strays >= len(window) * WINDOW_SHARE

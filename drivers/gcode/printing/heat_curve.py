"""The curve of a heater over the last minutes, bounded, for the report and the black box of an alarm."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

KEPT_S = 300.0
"""Seconds of a curve."""
APART_S = 2.0
"""Seconds between two points, at least."""


class HeatHistory:
    """Points of one heater: time on the monotonic clock, °C, target in °C or None; of the last KEPT_S."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float | None] | None = None
        self._points: deque[tuple[float, float, float | None]] = deque(maxlen=int(KEPT_S / APART_S))

    def add(self, now: float, actual: float, target: float | None) -> None:
        """Record a reading, unless the last one is hardly older."""
        points, self._last = self._points, (now, actual, target)
        if not points or not 0.0 <= now - points[-1][0] < APART_S:
            points.append((now, actual, target))

    def points(self, now: float) -> Iterator[tuple[float, float, float | None]]:
        """Seconds before `now` (so negative), °C, target in °C or None; oldest first."""
        points = [*self._points]
        if self._last is not None and points[-1:] != [self._last]:
            points.append(self._last)
        for at, actual, target in points:
            if now - KEPT_S <= at <= now:
                yield at - now, actual, target

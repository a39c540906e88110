"""How well the link does: the time from a line to its acknowledgement, and how often the planner ran dry."""

from __future__ import annotations

import re
from array import array

SAMPLES = 512
"""The last ones that percentiles are made of; a power of two."""

_PLANNER = re.compile(r"\bP([0-9]{1,3})\b")


class Quality:
    """Written by the link's thread alone, read by any. `latencies` is a ring, in seconds, indexed by the count of lines
    sent modulo SAMPLES; it is written in place, without a call, where lines go by. A line counts only when it was alone
    in flight: with more of them its `ok` waits for those before it, and says nothing about the link."""

    def __init__(self) -> None:
        self.latencies = array("d", [-1.0]) * SAMPLES
        self.starved: int | None = None
        self._most = 0  # free planner blocks when it is empty: the most that was ever said
        self._dry = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quality) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def planner(self, text: str, *, printing: bool) -> None:
        """An `ok` said `text`. With ADVANCED_OK (docs/serial.md §6) `P` counts the free planner blocks: as many as
        there are means that nothing is left to move. Only the step from some to none counts, and only during a
        print."""
        found = _PLANNER.search(text)
        if found is None:
            return
        free = int(found[1])
        self.starved = self.starved or 0
        dry = free >= self._most
        self._most = max(self._most, free)
        if dry and not self._dry and printing:
            self.starved += 1
        self._dry = dry

    def percentiles(self) -> tuple[float | None, float | None]:
        """The 50th and the 99th percentile of the latencies, in ms; None before the first line."""
        known = sorted(value for value in self.latencies.tolist() if value >= 0.0)
        if not known:
            return None, None
        return _ms(known[len(known) // 2]), _ms(known[min(len(known) - 1, len(known) * 99 // 100)])


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 2)

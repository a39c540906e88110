"""Rate limit of the REST API, to try a client's answer to 429: so many calls of one caller in so many seconds. Pure but
for the clock."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from agent.errors import ConfigError

MAX_CALLERS = 1000
"""Callers that are counted at once; beyond that all counts are forgotten."""

_SPEC = re.compile(r"([1-9][0-9]{0,5})(?:/([1-9][0-9]{0,4}))?", re.ASCII)


class RateLimit:
    """At most `calls` calls of each caller in `seconds`, counted from its first one. Any thread."""

    def __init__(self, calls: int, seconds: float, monotonic: Callable[[], float]) -> None:
        self._calls = calls
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}  # caller → (when its time is over, calls so far)

    def seconds_to_wait(self, caller: str) -> float:
        """Count a call; returns the seconds after which it may be made again, 0 when it may be made now."""
        now = self._monotonic()
        with self._lock:
            end, calls = self._counted.get(caller, (0.0, 0))
            if now >= end:
                end, calls = now + self._seconds, 0
            if calls >= self._calls:
                return end - now
            if caller not in self._counted and len(self._counted) >= MAX_CALLERS:
                self._counted.clear()
            self._counted[caller] = (end, calls + 1)
        return 0.0


def parse_rate_limit(text: str) -> tuple[int, float]:
    """Parse `N` (calls a minute) or `N/SECONDS`. Raises ConfigError."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise ConfigError(f"the rate limit {text!r} is not CALLS or CALLS/SECONDS, for example 10/60")
    return int(found[1]), float(found[2] or 60)

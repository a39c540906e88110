"""A clock for tests that stands still until it is advanced."""

from __future__ import annotations


class FakeClock:
    """`agent.core.clock.Clock` without waiting. `wall` begins at 2016-03-01 12:00:00 UTC."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.epoch = 1456833600.0

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin."""
        return self.now

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        return self.epoch

    def advance(self, seconds: float) -> None:
        """Let `seconds` go by."""
        self.now += seconds
        self.epoch += seconds

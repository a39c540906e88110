"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """`agent.core.ports.Clock` on the machine's clocks."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, never going back."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        return time.time()

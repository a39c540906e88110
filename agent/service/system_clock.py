"""The real clock."""

from __future__ import annotations

import time
from pathlib import Path


class SystemClock:
    """`agent.core.clock.Clock` on the machine's clocks."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, never going back."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        return time.time()


def boot_id() -> str:
    """The name of the machine's present boot, within which the monotonic clock means one thing; "" where there is
    none (not Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""

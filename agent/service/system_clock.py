"""System clock: the machine's monotonic and wall clocks, and its boot id."""

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
    """The id of the machine's current boot, within which monotonic times can be compared; "" where there is none (not
    Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""

"""Virtual clock: simulated seconds that run `speed` times as fast as real ones."""

from __future__ import annotations

import math
from collections.abc import Callable


class VirtualClock:
    """Maps real seconds to simulated ones. With an infinite speed it runs as fast as the real clock, and the firmware
    itself leaps over every wait (`VirtualFirmware` with `leap=True`)."""

    def __init__(self, monotonic: Callable[[], float], speed: float) -> None:
        self._monotonic = monotonic
        self._origin = monotonic()
        self._factor = 1.0 if math.isinf(speed) else speed

    def now(self) -> float:
        """Simulated seconds since the clock was made."""
        return (self._monotonic() - self._origin) * self._factor

    def real_until(self, instant: float) -> float:
        """Real seconds from now until the simulated `instant`; 0 when it has passed."""
        return max(0.0, instant - self.now()) / self._factor

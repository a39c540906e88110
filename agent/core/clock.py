"""The interface of the clock that is injected into the core and the drivers."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Monotonic and wall-clock time. Only `monotonic` decides anything; `wall` is for what people read."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, never going back."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""

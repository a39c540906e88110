"""The clock that the core and the drivers are given, so that time can be injected."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, injected. Only `monotonic` decides anything; `wall` is for what people read."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, never going back."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump."""

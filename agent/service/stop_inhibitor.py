"""Inhibitor of a stop: work that must not be interrupted holds it, and the agent's end waits until nobody does."""

from __future__ import annotations

import threading

from agent.core.clock import Clock


class StopInhibitor:
    """Held by one at a time, each for a limited time. Any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        self._holder: tuple[str, float] | None = None  # the reason, and until when

    def hold(self, reason: str, seconds: float) -> bool:
        """Have a stop wait for the holder, `seconds` at most; `reason` tells a person what it waits for. Whether that
        was granted: not when a stop has begun, or another holds it."""
        with self._changed:
            if self._closed or self._holder:
                return False
            self._holder = (reason, self._clock.monotonic() + seconds)
            return True

    def release(self) -> None:
        """Let a stop go on."""
        with self._changed:
            self._holder = None
            self._changed.notify_all()

    def close(self) -> None:
        """Grant nobody a hold any more: a stop has begun."""
        with self._changed:
            self._closed = True

    def wait(self, seconds: float) -> str:
        """Wait at most `seconds` for the holder. What is still waited for; empty when nobody holds it, or not within
        the time that was granted."""
        with self._changed:
            if self._holder:
                self._changed.wait(seconds)
            reason, until = self._holder or ("", 0.0)
            return reason if self._clock.monotonic() < until else ""

"""The server's clock, as its answers tell it (`Date`, RFC 9110 §6.6.1), carried on with the monotonic clock.

What is old is measured by the server's own time: the board's wall clock may be years off, or jump, without a command
being refused for it.
"""

from __future__ import annotations

from agent.core.answer import http_date
from agent.core.clock import Clock

FAR = 300.0  # seconds; more apart, and certificates and log times cannot be trusted


class ServerTime:
    """One server's clock. Any thread: the pair is replaced as a whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: tuple[float, float] | None = None  # the server's time, and the monotonic clock then

    def heard(self, date: str | None) -> None:
        """An answer's `Date` header; one that cannot be read says nothing."""
        found = http_date(date)
        if found is not None:
            self._heard = (found, self._clock.monotonic())

    def now(self) -> float | None:
        """Seconds since the Unix epoch at the server, to about a second; None before its first answer."""
        if self._heard is None:
            return None
        time, then = self._heard
        return time + self._clock.monotonic() - then

    def trouble(self) -> str:
        """What is wrong with our own wall clock, for a person; empty for nothing, and while nothing is known."""
        now = self.now()
        apart = self._clock.wall() - now if now is not None else 0.0
        if abs(apart) <= FAR:
            return ""
        return f"the clock is {_words(abs(apart))} {'ahead of' if apart > 0 else 'behind'} the server's"


def _words(seconds: float) -> str:
    """Coarse, so that it does not change at each look."""
    for size, name in ((86400.0 * 365, "years"), (86400.0, "days"), (3600.0, "hours")):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {name}"
    return "minutes"

"""The server's clock, set by the `Date` of its answers (RFC 9110 §6.6.1) and continued by the monotonic clock.

The age of a command is measured by the server's own time: the board's wall clock may be years off, or jump, without a
command being refused for it.
"""

from __future__ import annotations

from agent.core.answer import http_date
from agent.core.clock import Clock

MAX_SKEW = 300.0  # seconds; beyond that neither certificates nor log times can be trusted


class ServerClock:
    """Time at one server. Any thread: the pair is replaced as a whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._observed: tuple[float, float] | None = None  # the server's time, and the monotonic clock at that moment

    def observe(self, date: str | None) -> None:
        """Set the clock by an answer's `Date` header; one that cannot be read is ignored."""
        time = http_date(date)
        if time is not None:
            self._observed = (time, self._clock.monotonic())

    def now(self) -> float | None:
        """Seconds since the Unix epoch at the server, to about a second; None before its first answer."""
        if self._observed is None:
            return None
        time, observed_at = self._observed
        return time + self._clock.monotonic() - observed_at

    def describe_skew(self) -> str:
        """What is wrong with our own wall clock, for a person; empty when nothing is, or nothing is known yet."""
        now = self.now()
        apart = self._clock.wall() - now if now is not None else 0.0
        if abs(apart) <= MAX_SKEW:
            return ""
        return f"the clock is {_coarse(abs(apart))} {'ahead of' if apart > 0 else 'behind'} the server's"


def _coarse(seconds: float) -> str:
    """A duration in words, coarse so that the text does not change from call to call."""
    for size, name in ((86400.0 * 365, "years"), (86400.0, "days"), (3600.0, "hours")):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {name}"
    return "minutes"

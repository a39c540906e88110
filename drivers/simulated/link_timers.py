"""Timers of an idle link: silence that ends, a person who comes, `wait`, a repeated resend request."""

from __future__ import annotations

import math

from drivers.simulated.dialect import Dialect


class LinkTimers:
    """Timers of the link, which go by the host's time; set `now` before each use. `second` is a second of the host in
    simulated ones (`Options.real_second`)."""

    def __init__(self, dialect: Dialect, second: float, now: float) -> None:
        self.now = now
        self.silent_until = -math.inf  # infinity: until a reset
        self.person_at = math.inf
        self.ready_at = math.inf  # it has started then
        self._dialect = dialect
        self._second = second
        self._since = now

    @property
    def silent(self) -> bool:
        """Whether the board neither takes nor sends anything."""
        return self.silent_until > self.now

    def restart(self) -> None:
        """Restart the timers of an idle link at `now`."""
        self._since = self.now

    def fall_silent(self, seconds: float | None) -> None:
        """Fall silent for so many seconds of the host, None for ever."""
        self.silent_until = math.inf if seconds is None else self.now + seconds * self._second

    def expect_person(self, seconds: float | None) -> None:
        """Expect a person in so many seconds of the host, None for never."""
        self.person_at = math.inf if seconds is None else self.now + seconds * self._second

    def start(self, seconds: float) -> None:
        """Be ready in so many seconds of the host."""
        self.ready_at = self.now + seconds * self._second

    def due(self, *, waiting: bool, idle: bool) -> float:
        """The instant of the next timer: for a board that waits for the rest of something, or has nothing to do."""
        if self.silent:
            return self.silent_until
        if waiting and self._dialect.nag is not None:
            return min(self.person_at, self._since + self._dialect.nag * self._second)
        if idle and self._dialect.idle_wait is not None:
            return min(self.person_at, self._since + self._dialect.idle_wait * self._second)
        return self.person_at

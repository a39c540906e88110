"""What happens on the link when nobody speaks: silence that ends, a person who comes, `wait`, a repeated request."""

from __future__ import annotations

import math

from drivers.simulated.dialect import Dialect


class Quiet:
    """The clock of the link, which goes by the host's time: `now` is to be told. `second` is a second of the host in
    simulated ones (`Options.real_second`)."""

    def __init__(self, family: Dialect, second: float, now: float) -> None:
        self.now = now
        self.silent_until = -math.inf  # infinity: until a reset
        self.person_at = math.inf
        self._family = family
        self._second = second
        self._since = now

    @property
    def silent(self) -> bool:
        """Does the board neither hear nor say anything?"""
        return self.silent_until > self.now

    def begin(self) -> None:
        """From now on it has been quiet."""
        self._since = self.now

    def fall_silent(self, seconds: float | None) -> None:
        """For so many seconds of the host, None for ever."""
        self.silent_until = math.inf if seconds is None else self.now + seconds * self._second

    def expect_person(self, seconds: float | None) -> None:
        """In so many seconds of the host, None for never."""
        self.person_at = math.inf if seconds is None else self.now + seconds * self._second

    def due(self, *, waiting: bool, idle: bool) -> float:
        """The instant of what comes next: for a board that waits for the rest of something, or has nothing to do."""
        if self.silent:
            return self.silent_until
        if waiting and self._family.nag is not None:
            return min(self.person_at, self._since + self._family.nag * self._second)
        if idle and self._family.idle_wait is not None:
            return min(self.person_at, self._since + self._family.idle_wait * self._second)
        return self.person_at

"""Heat that an operation left on: while nothing runs, which heaters are on, and whether a person has set them. Pure.

    an operation runs                                    what is on from now on counts as its own
    idle, and every heater is off                        nothing is left
    idle, and a heater gets another target, not 0        a person at the printer heats; nothing of ours is left
    idle, and a heater is on as it was                   left

The printer's readings are a little old when an operation ends: what they say within `settle_s` is the operation's
doing.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.core.driver import Heater


def targets(heaters: Iterable[Heater]) -> dict[str, float]:
    """Targets in °C of the heaters that are on, by name."""
    return {heater.name: heater.target for heater in heaters if heater.target > 0}


class LeftHeat:
    """`left`: heat of an operation may still be on. `idle_since`: the time since which nothing runs, None while
    something does or before that was seen."""

    def __init__(self, *, left: bool, settle_s: float) -> None:
        self.left = left
        self.idle_since: float | None = None
        self._settle_s = settle_s
        self._seen: dict[str, float] = {}

    def run(self) -> None:
        """Note that an operation runs, or is about to: it may switch heaters on."""
        self.left, self.idle_since = True, None

    def settled(self, now: float) -> bool:
        """Whether readings of `now` tell of what is set since the operation's end."""
        return self.idle_since is not None and now - self.idle_since >= self._settle_s

    def idle(self, heaters: Iterable[Heater], now: float) -> None:
        """Note that nothing runs, with the heaters as they were reported last."""
        on = targets(heaters)
        if self.idle_since is None:
            self.idle_since = now
        elif self.settled(now) and _chosen(self._seen, on):
            self.left = False
        if not on and self.settled(now):
            self.left = False
        self._seen = on


def _chosen(before: dict[str, float], now: dict[str, float]) -> bool:
    """Whether somebody has set a heater to another temperature, not only switched one off."""
    return any(before.get(name) != target for name, target in now.items())

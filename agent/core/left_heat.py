"""Heat that an operation left on: while nothing runs, which heaters are on, and whether a person has set them. Pure.

    an operation runs                                    what is on from now on counts as its own
    idle, and every heater is reported off               nothing is left
    idle, and a heater gets another target, not 0        a person at the printer heats; nothing of ours is left
    idle, and a heater is on as it was                   left

What was reported before the operation's end tells nothing: its last lines may have switched something on or off.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.core.driver import Heater


def targets(heaters: Iterable[Heater]) -> dict[str, float]:
    """Targets in °C of the heaters that are on, by name."""
    return {heater.name: heater.target for heater in heaters if heater.target > 0}


class LeftHeat:
    """`left`: heat of an operation may still be on."""

    def __init__(self, *, left: bool) -> None:
        self.left = left
        self._before: dict[str, float] | None = None  # the report before, since nothing runs

    def run(self) -> None:
        """Note that an operation runs, or is about to: it may switch heaters on."""
        self.left, self._before = True, None

    def idle(self, heaters: Iterable[Heater]) -> None:
        """Note what the printer reports while nothing runs."""
        on = targets(heaters)
        if not on or (self._before is not None and _chosen(self._before, on)):
            self.left = False
        self._before = on


def _chosen(before: dict[str, float], now: dict[str, float]) -> bool:
    """Whether somebody has set a heater to another temperature, not only switched one off."""
    return any(before.get(name) != target for name, target in now.items())

"""Waiting for heat on the host's side, so that pause and cancel never wait for the firmware (docs/serial.md §24)."""

from __future__ import annotations

import msgspec

from agent.core.driver import Heater
from agent.gcode.waiting import HeatWait, heat_wait
from drivers.gcode.protocol.replies import Reading
from drivers.gcode.protocol.steps import Hold, Step, plain
from drivers.gcode.timing import Timing

NEAR = 2.0
"""°C from the target at which the file's own waiting line is sent; the firmware does the rest."""


class Heat:
    """The heaters as last heard, by name, and what is waited for."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.heaters: dict[str, Heater] = {}

    def learn(self, readings: tuple[Reading, ...]) -> tuple[Heater, ...]:
        """Take new readings in; all heaters, in the order they were first heard. A target that was not said stays."""
        for name, actual, target in map(msgspec.structs.astuple, readings):
            known = self.heaters.get(name)
            if target is None:
                target = known.target if known else 0.0  # noqa: PLW2901
            self.heaters[name] = Heater(name, actual, target)
        return tuple(self.heaters.values())

    def targets(self) -> dict[str, float]:
        """The heaters that are on, and their targets."""
        return {heater.name: heater.target for heater in self.heaters.values() if heater.target > 0}

    def before(self, code: bytes, tool: int = 0) -> list[Step]:
        """What goes before `code`: when it waits for heat, its target is set and its time waited out here."""
        wait = heat_wait(code, tool)
        if wait is None or (wait.target <= 0 and not wait.cooling):
            return []
        return [plain(wait.setter), self.hold(wait)]

    def hold(self, wait: HeatWait) -> Hold:
        """Until the heater is near its target; not for long when no reading of it is known."""

        def reached() -> bool:
            heater = self.heaters.get(wait.heater)
            if heater is None:
                return False
            return heater.actual >= wait.target - NEAR and not (wait.cooling and heater.actual > wait.target + NEAR)

        known = wait.heater in self.heaters
        return Hold(reached, "heating", self._timing.heat_limit if known else self._timing.heat_unknown)

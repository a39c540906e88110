"""Waiting for heat on the host's side, so that pause and cancel never wait for the firmware (docs/serial.md §24)."""

from __future__ import annotations

from agent.core.driver import Heater
from agent.gcode.waiting import HeatWait, heat_wait
from drivers.gcode.protocol.replies import Reading
from drivers.gcode.protocol.steps import Hold, Step, unnumbered
from drivers.gcode.timing import Timing

NEAR = 2.0
"""°C from the target at which the file's own waiting line is sent; the firmware does the rest."""


class Heaters:
    """The heaters of one connection as last heard: `known` by name, with actual and target temperature in °C."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.known: dict[str, Heater] = {}

    def learn(self, readings: tuple[Reading, ...]) -> tuple[Heater, ...]:
        """Update the heaters by new readings; return all of them in the order they were first heard. A reading without
        a target keeps the target that was known."""
        for reading in readings:
            target = reading.target
            if target is None:
                known = self.known.get(reading.name)
                target = known.target if known else 0.0
            self.known[reading.name] = Heater(reading.name, reading.actual, target)
        return tuple(self.known.values())

    def active_targets(self) -> dict[str, float]:
        """Targets in °C of the heaters that are on, by name."""
        return {heater.name: heater.target for heater in self.known.values() if heater.target > 0}

    def steps_before(self, code: bytes, tool: int = 0) -> list[Step]:
        """Steps to take before `code`: for a line that waits for heat, set its target and wait on the host's side."""
        wait = heat_wait(code, tool)
        if wait is None or (wait.target <= 0 and not wait.cooling):
            return []
        return [unnumbered(wait.setter), self.hold(wait)]

    def hold(self, wait: HeatWait) -> Hold:
        """Wait until the heater is near its target; at most `heat_limit` seconds, `heat_unknown` without a reading."""

        def reached() -> bool:
            heater = self.known.get(wait.heater)
            if heater is None:
                return False
            return heater.actual >= wait.target - NEAR and not (wait.cooling and heater.actual > wait.target + NEAR)

        known = wait.heater in self.known
        return Hold(reached, "heating", self._timing.heat_limit if known else self._timing.heat_unknown)

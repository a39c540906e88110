"""Heaters: bounded power towards a target, Newtonian cooling to the ambient temperature.

Closed formulas, so that a state after an hour costs as much as one after a millisecond, and does not depend on how
often somebody looked."""

from __future__ import annotations

import math

FULL_POWER = 127
"""What the firmware prints after `@:` when a heater is fully on (PID_MAX 255, halved)."""


class SimulatedHeater:
    """One heater with its sensor. Temperatures in degrees Celsius, instants in simulated seconds."""

    def __init__(self, ambient: float, rise: float, tau: float, highest: float) -> None:
        """`rise` is the warming in °C/s at full power from `ambient`, `tau` the time constant of cooling in seconds,
        `highest` the highest target that is taken. It must be reachable: `ambient + rise * tau` is the limit."""
        self.target = 0.0
        self.ambient = ambient
        self._limit = ambient + rise * tau
        self._tau = tau
        self._highest = min(highest, self._limit - 10.0)
        self._since = 0.0
        self._from = ambient

    def set_target(self, now: float, target: float) -> None:
        """Aim at `target` from `now` on; 0 or less is off, more than the highest is clamped to it."""
        self._from = self.at(now)
        self._since = now
        self.target = min(max(target, 0.0), self._highest)

    def at(self, now: float) -> float:
        """The temperature at `now`, which is not before the last `set_target`."""
        decay = math.exp(-max(0.0, now - self._since) / self._tau)
        if self._from < self.target:
            return min(self.target, self._limit - (self._limit - self._from) * decay)
        return max(self.target, self.ambient + (self._from - self.ambient) * decay)

    def power(self, now: float) -> int:
        """The heater's duty at `now`, 0 to FULL_POWER."""
        if self.target <= 0:
            return 0
        gap = self.target - self.at(now)
        if gap > 0:
            return FULL_POWER
        if gap < 0:
            return 0
        return round(FULL_POWER * max(0.0, self.target - self.ambient) / (self._limit - self.ambient))


def nozzle(ambient: float, highest: float) -> SimulatedHeater:
    """A usual 40 W hot end: from room temperature to 200 °C in a little over a minute."""
    return SimulatedHeater(ambient, rise=3.2, tau=160.0, highest=highest)


def bed(ambient: float, highest: float) -> SimulatedHeater:
    """A usual mains bed: from room temperature to 60 °C in a minute."""
    return SimulatedHeater(ambient, rise=0.7, tau=420.0, highest=highest)

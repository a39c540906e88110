"""Heaters: bounded power towards a target, Newtonian cooling to the ambient temperature; faults as real ones have them.

Closed formulas, so that a state after an hour costs as much as one after a millisecond, and does not depend on how
often somebody looked."""

from __future__ import annotations

import math

from drivers.simulated.heater_fault import HeaterBreak, HeaterPhase, PlannedHeaterFault

FULL_POWER = 127
"""What the firmware prints after `@:` when a heater is fully on (PID_MAX 255, halved)."""
FALLS_S = 8.0
"""Time constant in seconds of a sensor that hangs in the air."""
OPEN_READS, SHORT_READS = -14.0, 450.0
"""°C that a thermistor reads without its wires, and with them touching (docs/serial.md §22a)."""
GUARD_S = 40.0
"""Seconds for which the firmware's own protection looks at a heater that does not do what it is told."""


class SimulatedHeater:
    """One heater with its sensor. Temperatures in degrees Celsius, instants in simulated seconds."""

    def __init__(self, ambient: float, rise: float, tau: float, highest: float) -> None:
        """`rise` is the warming in °C/s at full power from `ambient`, `tau` the time constant of cooling in seconds,
        `highest` the highest target that is taken. It must be reachable: `ambient + rise * tau` is the limit."""
        self.target = 0.0
        self.ambient = ambient
        self.fault: PlannedHeaterFault | None = None
        self._limit = ambient + rise * tau
        self._tau = tau
        self._highest = min(highest, self._limit - 10.0)
        self._since = 0.0
        self._from = ambient
        self._at_break = ambient  # what it read when it broke

    def set_target(self, now: float, target: float) -> None:
        """Aim at `target` from `now` on; 0 or less is off, more than the highest is clamped to it."""
        self._from = self._warmth(now)
        self._since = now
        self.target = min(max(target, 0.0), self._highest)

    def at(self, now: float) -> float:
        """What the sensor reads at `now`, which is not before the last `set_target`."""
        fault = self.fault
        if fault is None or fault.began is None:
            return self._warmth(now)
        match fault.kind:
            case HeaterBreak.FALLEN:
                return self.ambient + (self._at_break - self.ambient) * math.exp(-(now - fault.began) / FALLS_S)
            case HeaterBreak.OPEN:
                return OPEN_READS
            case HeaterBreak.SHORT:
                return SHORT_READS
            case HeaterBreak.SILENT:
                return math.nan
            case _:
                return self._warmth(now)

    def look(self, now: float) -> str:
        """Break, if that is due; the name of the fault for which the firmware's own protection, where it has one,
        stops the printer now, empty for none."""
        fault = self.fault
        if fault is None:
            return ""
        if fault.began is None:
            reading = self._warmth(now)
            if fault.is_due(reading, self.target, self.ambient):
                self._from, self._since, self._at_break = reading, now, reading
                fault.began = now
            return ""
        if fault.kind in (HeaterBreak.OPEN, HeaterBreak.SHORT, HeaterBreak.SILENT):
            return "mintemp"
        if fault.kind is HeaterBreak.STUCK:
            return "thermal-runaway" if self.at(now) > self._highest + 15 else ""
        if self.target <= 0 or now < fault.began + GUARD_S:
            return ""
        return "heating-failed" if fault.phase is HeaterPhase.HEATING else "thermal-runaway"

    def _warmth(self, now: float) -> float:
        """How warm it really is."""
        decay = math.exp(-max(0.0, now - self._since) / self._tau)
        broken = self.fault.kind if self.fault is not None and self.fault.began is not None else None
        full = broken is HeaterBreak.STUCK or (broken is HeaterBreak.FALLEN and self.target > 0)
        if full:
            return self._limit - (self._limit - self._from) * decay
        if self._from < self.target and broken is not HeaterBreak.DEAD:
            return min(self.target, self._limit - (self._limit - self._from) * decay)
        lowest = 0.0 if broken is HeaterBreak.DEAD else self.target
        return max(lowest, self.ambient + (self._from - self.ambient) * decay)

    def power(self, now: float) -> int:
        """The heater's duty at `now` as the firmware knows it, 0 to FULL_POWER."""
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

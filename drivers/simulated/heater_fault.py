"""Faults of a simulated heater or its sensor, which come in some phase of its work, from specs such as
`tool0:dead:heating`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class HeaterBreak(Enum):
    """What breaks."""

    DEAD = "dead"  # the heater gives no heat any more
    FALLEN = "fallen"  # the sensor hangs in the air: the firmware heats with all it has
    STUCK = "stuck"  # the transistor conducts, whatever the firmware wants
    OPEN = "open"  # a wire of the sensor is broken
    SHORT = "short"  # the sensor's wires touch
    SILENT = "silent"  # the sensor reads `nan`


class HeaterPhase(Enum):
    """When it breaks."""

    HEATING = "heating"  # a third of the way up
    HOLDING = "holding"  # at its target
    COOLING = "cooling"  # on, and warmer than its target
    OFF = "off"


HEATERS = ("tool0", "bed")
HEATER_FORM = "heater=NAME:FAULT:PHASE"
HEATER_MEANING = (
    f"{' or '.join(HEATERS)} or its sensor is {', '.join(kind.value for kind in HeaterBreak)} from a PHASE on: "
    f"{', '.join(phase.value for phase in HeaterPhase)}"
)


@dataclass(slots=True)
class PlannedHeaterFault:
    """A fault of one heater. `began` is the simulated instant from which on it is there, None before."""

    heater: str
    kind: HeaterBreak
    phase: HeaterPhase
    began: float | None = None

    def is_due(self, reading: float, target: float, ambient: float) -> bool:
        """Whether a heater that reads so many °C is in the phase in which it breaks."""
        if target <= 0:
            return self.phase is HeaterPhase.OFF
        if self.phase is HeaterPhase.HEATING:
            return ambient + (target - ambient) / 3 <= reading < target - 10
        if self.phase is HeaterPhase.HOLDING:
            return abs(reading - target) < 1
        return self.phase is HeaterPhase.COOLING and reading > target + 10


def parse_heater_fault(text: str) -> PlannedHeaterFault:
    """Parse `NAME:FAULT:PHASE`. Raises ValueError."""
    heater, _, rest = text.partition(":")
    kind, _, phase = rest.partition(":")
    if heater not in HEATERS:
        raise ValueError(f"no heater {heater!r}; there are {' and '.join(HEATERS)}")
    return PlannedHeaterFault(heater, HeaterBreak(kind), HeaterPhase(phase))

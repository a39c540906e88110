"""Guard over the heat: feeds the heat monitor of one connection with what the printer reports, asks where nothing is
reported, and acts on an alarm: heaters off, then the emergency stop (docs/heat-monitor.md)."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import structlog

from agent.core.driver import HeatCurve
from drivers.gcode.printing.heat_monitor import HeatMonitor
from drivers.gcode.printing.heat_rules import Action
from drivers.gcode.printing.heater_watch import Alarm
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.replies import Reading
from drivers.gcode.session.interfaces import HeatOwner
from drivers.gcode.session.operation_control import OperationControl
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.slot import Slot
from drivers.settings import WatchSettings

OFF_S = 5.0
"""Seconds for the firmware to report every target as 0, before it is stopped."""
LOOK_S = 5.0
"""Seconds between two looks at the time, as long as a heater is on."""
CURVE_POINTS = 40
"""Points of a curve in a report."""

_log = structlog.get_logger(part="gcode")


class HeatGuard:
    """Used by the link's thread alone. `owner` is the session."""

    def __init__(
        self,
        *,
        settings: WatchSettings,
        heaters: Heaters,
        stack: ProtocolStack,
        control: OperationControl,
        operation: OperationState,
        slot: Slot,
        owner: HeatOwner,
    ) -> None:
        self._settings = settings
        self._heaters = heaters
        self._stack = stack
        self._control = control
        self._operation = operation
        self._slot = slot
        self._owner = owner
        self.restart()

    def restart(self) -> None:
        """Begin anew, with a printer of which nothing is known."""
        self._monitor = HeatMonitor(self._settings)
        self._alarm: Alarm | None = None
        self._stop_at = inf
        self._look_at = inf

    def due(self) -> float:
        """When `step` has something to do, if nothing is heard before; `inf`: never."""
        return min(self._look_at, self._stop_at)

    def heard(self, readings: Iterable[Reading], now: float) -> None:
        """Take a report of temperatures, which `Heaters` knows already. Raises PortError."""
        if self._alarm is not None:
            if self._stop_at < inf and not self._heaters.active_targets():
                self._finish(self._alarm, now, stop=False)
            return
        alarm = self._monitor.report(now, readings, complete=not self._waits)
        if alarm is not None:
            self._act(alarm, now)
        elif not self._monitor.on:
            self._look_at = inf
        elif self._look_at == inf:
            self._look_at = now + LOOK_S

    def note_busy(self, now: float) -> None:
        """The firmware says that it is busy."""
        self._monitor.tick(now, busy=True)

    def step(self, now: float) -> None:
        """Act on time that has passed. Raises PortError."""
        if self._alarm is not None:
            if now >= self._stop_at:
                self._finish(self._alarm, now, stop=True)
            return
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        alarm = self._monitor.tick(now, busy=self._waits)
        if alarm is not None:
            self._act(alarm, now)
        elif self._monitor.blind(now):
            self._stack.pump.poll_at = now  # a file may have switched the reports off

    @property
    def _waits(self) -> bool:
        """Whether a line is in flight that may take long."""
        return any(command.patience >= LONG_S for command in self._stack.protocol.in_flight)

    def _act(self, alarm: Alarm, now: float) -> None:
        """Heaters off; what runs does not go on."""
        self._alarm = alarm
        _log.error(
            "heat alarm", **self._operation.task_keys(), heater=alarm.heater, kind=alarm.kind.value, error=alarm.text
        )
        self._owner.heaters_off()
        if alarm.action is Action.STOP:
            self._finish(alarm, now, stop=True)
            return
        self._control.drop()
        self._stop_at = now + OFF_S
        self._stack.pump.poll_every(1.0, now)
        self._stack.pump.poll_at = now

    def _finish(self, alarm: Alarm, now: float, *, stop: bool) -> None:
        self._stop_at = self._look_at = inf
        curves = self._monitor.curves(now)
        points = thinned(curves.get(alarm.heater, []))
        self._slot.heat_curve = HeatCurve(alarm.heater, alarm.kind.value, points)
        self._slot.facts = {f"curve-{name}": _line(curve) for name, curve in curves.items()}
        done = "emergency stop" if stop else "the heaters are off"
        self._owner.overheated(f"heat alarm: {alarm.text}; {done}", stop=stop)


def thinned(points: list[tuple[float, float, float | None]]) -> tuple[tuple[float, float, float | None], ...]:
    """At most CURVE_POINTS of the points, the last one among them, rounded."""
    step = max(1, -(-len(points) // CURVE_POINTS))
    kept = points[::-1][::step][::-1]
    return tuple((round(at, 1), round(actual, 1), target) for at, actual, target in kept)


def _line(points: Iterable[tuple[float, float, float | None]]) -> str:
    """A curve as a line of the black box: seconds before the alarm, °C, target."""
    return " ".join(
        f"{at:.0f}:{actual:.1f}/{'?' if target is None else f'{target:g}'}" for at, actual, target in points
    )

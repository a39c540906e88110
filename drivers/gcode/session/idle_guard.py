"""Guard over an idle printer: heat that an operation left on, and the firmware's own watch (`M85`), which stays armed
until every heater is reported off (docs/serial.md §31)."""

from __future__ import annotations

from agent.core.driver import PrinterState
from agent.core.left_heat import LeftHeat
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.routines import Routines
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.protocol_stack import ProtocolStack

_S = PrinterState


class IdleGuard:
    """Used by the link's thread alone. `unsafe` of the operation is its word on whether heat may be left on."""

    def __init__(
        self, *, operation: OperationState, heaters: Heaters, routines: Routines, stack: ProtocolStack
    ) -> None:
        self._operation = operation
        self._heaters = heaters
        self._routines = routines
        self._stack = stack
        self._left = LeftHeat(left=operation.unsafe)
        self._leaving = False
        self._read_at = -1  # the count of readings that was looked at last; -1: before the printer was idle

    def step(self, now: float) -> bool:
        """Look at readings that came since the printer is idle; whether there is something to send."""
        operation, heaters, pump = self._operation, self._heaters, self._stack.pump
        if operation.state is not _S.IDLE:
            self._read_at = -1
            if operation.unsafe:
                self._left.run()
            return False
        if self._read_at < 0:  # what was heard before may be older than the operation's last line
            self._read_at = heaters.readings
            if self._routines.armed:
                pump.poll_at = now
            return self._routines.armed
        if self._read_at == heaters.readings:
            return False
        self._read_at = heaters.readings
        self._left.idle(heaters.known.values())
        operation.unsafe = operation.unsafe and self._left.left
        if not self._routines.armed or pump.running is not None or heaters.active_targets():
            return False
        pump.run(self._routines.disarm())
        return True

    def leave(self) -> bool:
        """Before the agent stops: switch off what an operation may have left on, and end the firmware's watch; whether
        that still takes its time."""
        if self._operation.state is not _S.IDLE:
            return False
        pump = self._stack.pump
        if self._operation.unsafe and not self._leaving:
            self._leaving = True
            pump.run(self._routines.cool_if_hot())
        return self._operation.unsafe or (self._routines.armed and pump.running is not None)

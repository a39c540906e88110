"""Hello: from a port that is open to a printer that is known and ready (OFFLINE → IDLE)."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.driver import PrinterState
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.printing.procedures import is_starting, old_lines_s
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.steps import End
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.slot import Slot

_S = PrinterState


class Hello:
    """The hello of one connection. `answered`: whether the printer ever answered one, or was recovered; `on_answer` is
    called each time."""

    def __init__(
        self,
        *,
        stack: ProtocolStack,
        operation: OperationState,
        routines: Routines,
        identity: PrinterIdentity,
        resets: ResetWatch,
        slot: Slot,
        on_answer: Callable[[], None],
    ) -> None:
        self.answered = False
        self._stack = stack
        self._operation = operation
        self._routines = routines
        self._identity = identity
        self._resets = resets
        self._slot = slot
        self._on_answer = on_answer
        self._refusal = ""  # why a printer that answers is not ready

    def begin(self) -> None:
        """Ask the printer what it is, with a protocol that knows nothing."""
        self._stack.renew()
        self._identity.clear_capabilities()
        self._operation.enter(_S.OFFLINE, "waiting for the printer's answer")
        unsafe = self._operation.unsafe
        self._stack.pump.run(self._routines.hello(self._learn, self._note_refusal, unsafe=unsafe))

    def end(self, end: End) -> bool:
        """Act on the end of a hello that was answered; whether the printer is ready."""
        if end is End.REFUSED:
            self._resets.conclude()
            self._operation.fail(self._refusal, _S.ERROR)
            return False
        self._operation.unsafe = False
        self.note_answer()
        if self._resets.pending:
            self._slot.update(reset_error=self._resets.conclude())
        self._operation.enter(_S.IDLE)
        return True

    def recover(self, checkpoint: DriverCheckpoint, last: int) -> None:
        """Begin with a printer that an agent before this one knew; `last` is the number that it accepted last."""
        firmware = checkpoint.identity()
        self._stack.renew()
        self._identity.recover(firmware)
        self._apply(firmware)
        self._stack.protocol.take_over(
            last, ok_carries_temps=checkpoint.ok_carries_temps, patience_s=old_lines_s(firmware)
        )

    def note_answer(self) -> None:
        """Note that the printer has answered, or was recovered."""
        self.answered = True
        self._on_answer()

    def _note_refusal(self, refusal: str) -> None:
        """The printer answers the hello, and refuses all else."""
        self._refusal = refusal
        if not self.answered:
            self.note_answer()
        if is_starting(refusal):
            self._slot.update(reason=f"{self._identity.firmware.name} is starting", starting=True)

    def _learn(self, texts: list[str]) -> Firmware:
        firmware = self._identity.identify(texts)
        self._apply(firmware)
        return firmware

    def _apply(self, firmware: Firmware) -> None:
        """Adapt the protocol to `firmware`, and publish it."""
        self._stack.protocol.window.parses_emergencies(firmware.emergency)
        self._slot.update(firmware=firmware.name, machine=firmware.machine, dialect=firmware.dialect.name)
        if firmware.dialect.checksums:
            self._stack.add_checksums()

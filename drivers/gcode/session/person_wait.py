"""The printer's wait for the person in front of it: what it asks, and the answer from afar (docs/serial.md §25b).

The printer asks by `busy: paused for user`, or by a prompt with a button that does more than dismiss it. A cancel or a
resume from afar then presses the button, `M108`, and the prompt's, `M876 S1`, where an emergency parser reads them at
once, until a line is acknowledged. A filament change asks twice, so it is pressed again and again, at most
`Timing.presses` times; after that, and at once where nothing is read in time, it is said that a person has to confirm.
"""

from __future__ import annotations

from math import inf

import structlog

from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.timing import Timing

PRESS = b"M108"
FIRST_BUTTON_BUT_ONE = b"M876 S1"
"""`Continue` of `PurgeMore, Continue`; a prompt with one button takes any answer."""
HAS_TO_CONFIRM = "has to confirm"

_log = structlog.get_logger(part="gcode")


class PersonWait:
    """Used by the link's thread alone."""

    def __init__(
        self,
        *,
        operation: OperationState,
        identity: PrinterIdentity,
        stack: ProtocolStack,
        timing: Timing,
    ) -> None:
        self._operation = operation
        self._identity = identity
        self._stack = stack
        self._timing = timing
        self._text = ""
        self._asked = False
        self._answering = False
        self._presses = 0
        self._press_at = inf

    @property
    def answering(self) -> bool:
        """Whether a cancel or a resume answers whatever is asked now."""
        return self._answering and self._press_at < inf

    def busy(self, *, for_person: bool) -> None:
        """The printer works, or waits for a person."""
        self._asked = for_person
        self._operation.need_person(for_person, self._text, otherwise=self._stack.pump.waiting)

    def begin_prompt(self, text: str) -> None:
        """A prompt is shown, in place of the one before."""
        self._text, self._asked = text, False
        self._operation.need_person(True, text)

    def add_button(self, text: str) -> None:
        """The prompt has this button."""
        self._asked = self._asked or text != "Dismiss"

    def end(self) -> None:
        """The prompt was taken away, or the printer has gone on by itself: nobody is waited for."""
        self._text, self._asked = "", False
        self._operation.need_person(False, otherwise=self._stack.pump.waiting)

    def acknowledged(self) -> None:
        """A line was acknowledged: nothing is asked any more, also where no end of the prompt came."""
        if self._answering or self._operation.person_needed:
            self._answering = False
            self.end()

    def answer(self) -> None:
        """Answer what is asked now, and until a line is acknowledged."""
        self._answering = True
        self._presses = 0
        self._press_at = -inf
        if not self._identity.firmware.emergency:
            self._leave_to_person()

    def due(self) -> float:
        """When `step` has something to do."""
        return self._press_at if self._answering and self._asked else inf

    def step(self, now: float) -> None:
        """Press the buttons when it is time to."""
        if now < self.due():
            return
        if self._presses >= self._timing.presses:
            self._leave_to_person()
            return
        self._presses += 1
        self._press_at = now + self._timing.press
        protocol = self._stack.protocol
        protocol.urgent(PRESS)
        if "PROMPT_SUPPORT" in self._identity.firmware.capabilities:
            protocol.urgent(FIRST_BUTTON_BUT_ONE)

    def _leave_to_person(self) -> None:
        self._press_at = inf
        text = f"{HAS_TO_CONFIRM} on its display" + (f": {self._text}" if self._text else "")
        _log.warning("confirmation needed at the printer", **self._operation.task_keys(), prompt=self._text)
        self._operation.need_person(True, text)

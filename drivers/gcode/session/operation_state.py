"""What a connection stands at: the printer's state, the operation that runs, and how it ends."""

from __future__ import annotations

import structlog

from agent.core.driver import Outcome, PrinterState
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.slot import Slot

_S = PrinterState
RUNNING = (_S.BUSY, _S.PRINTING, _S.PAUSING, _S.PAUSED, _S.RESUMING, _S.CANCELLING)
_log = structlog.get_logger(part="gcode")


class Standing:
    """Used by the link's thread alone. `unsafe`: heaters may be on because a print ended without its end."""

    def __init__(self, slot: Slot, notes: CheckpointWriter, *, unsafe: bool) -> None:
        self.state = _S.OFFLINE
        self.key = ""
        self.unsafe = unsafe
        self.firmware = Firmware()
        self.slot = slot
        self.notes = notes
        self.counters = slot.new_counters()
        self._verdict = (Outcome.CANCELLED, "")

    @property
    def prints(self) -> bool:
        """Whether there is a print that another agent could go on with."""
        return self.state in RUNNING and self.state is not _S.BUSY

    def link(self) -> dict[str, int]:
        """The link's counts, for the log."""
        return {"line": self.counters.line, "sent": self.counters.sent, "resent": self.counters.resent}

    def enter(self, state: PrinterState, reason: str = "") -> None:
        """The printer is in `state` now."""
        self.state = state
        self.slot.change(state=state, reason=reason, waiting="")

    def fail(self, error: str, state: PrinterState) -> None:
        """What ran has failed; the printer is in `state` now, and `error` says why."""
        key, self.key = self.key, ""
        self.notes.end()
        if key:
            _log.warning("failed", key=key, error=error, **self.link())
            self.slot.end(key, Outcome.FAILED, state, error, reason=error)
        else:
            self.slot.change(state=state, reason=error, waiting="")

    def _begin_operation(self, key: str, state: PrinterState) -> None:
        self.key, self.state, self.unsafe = key, state, True
        self._verdict = (Outcome.CANCELLED, "")

    def _finish(self, outcome: Outcome, error: str) -> None:
        key, self.key, self.state = self.key, "", _S.IDLE
        self.unsafe = False
        self.notes.end()
        _log.info("ended", key=key, outcome=outcome.value, error=error, **self.link())
        self.slot.end(key, outcome, _S.IDLE, error)

    def _refused(self, key: str) -> bool:
        if self.state is _S.IDLE:
            return False
        now = self.slot.read()
        self.slot.end(key, Outcome.FAILED, self.state, "the printer was lost before it could begin", now.reason)
        return True

"""State of the printer and of the operation that runs on it: the one place where the driver's state is set."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.core.driver import Outcome, PrinterState, QueryAnswer
from drivers.gcode.protocol.protocol import Counters
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.slot import Slot

_S = PrinterState
RUNNING = (_S.BUSY, _S.PRINTING, _S.PAUSING, _S.PAUSED, _S.RESUMING, _S.CANCELLING)
"""States in which an operation runs."""

_log = structlog.get_logger(part="gcode")


class OperationState:
    """Used by the link's thread alone, which tells everybody else by `slot`.

    `task_id` is that of the running operation, empty without one. `unsafe`: heaters may be on that an
    operation has switched on. `person_needed`: the printer waits for the person in front of it."""

    def __init__(
        self,
        *,
        slot: Slot,
        checkpoints: CheckpointWriter,
        counters: Counters,
        unsafe: bool,
        log_keys: Callable[[str], dict[str, str]],
    ) -> None:
        """`log_keys` gives the keys of a log event on a task (`Host.log_keys`)."""
        self.task_id = ""
        self.unsafe = unsafe
        self.person_needed = False
        self._person = ""  # what telemetry says of that
        self.counters = counters
        self._slot = slot
        self._checkpoints = checkpoints
        self._log_keys = log_keys
        self._state = _S.OFFLINE

    @property
    def state(self) -> PrinterState:
        """What the printer is doing, as this connection knows it."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it is in that state, as telemetry says it."""
        return self._slot.read().reason

    @property
    def running(self) -> bool:
        """Whether an operation runs."""
        return self._state in RUNNING

    @property
    def prints(self) -> bool:
        """Whether a print runs that another agent could resume."""
        return self.running and self._state is not _S.BUSY

    def task_keys(self) -> dict[str, str]:
        """The task and the job of the running operation, as keys of a log line."""
        return self._log_keys(self.task_id)

    def link_counts(self) -> dict[str, int]:
        """The link's counts, as keys of a log line."""
        return {"line": self.counters.line, "sent": self.counters.sent, "resent": self.counters.resent}

    def enter(self, state: PrinterState, reason: str | None = "") -> None:
        """Go to `state` and publish it; a `reason` of None leaves the one before."""
        self._set(state)
        if reason is None:
            self._slot.update(state=state, waiting=self._person, starting=False)
        else:
            self._slot.update(state=state, reason=reason, waiting=self._person, starting=False)

    def begin(self, task_id: str, state: PrinterState) -> None:
        """Begin the operation of `task_id`; its caller has claimed and published `state` already."""
        self.own(task_id)
        self._set(state)

    def own(self, task_id: str) -> None:
        """Make the operation of `task_id` this connection's to end. From now on heaters may be on."""
        self.task_id, self.unsafe = task_id, True

    def finish(self, outcome: Outcome, error: str) -> None:
        """End the running operation with the printer idle; `error` says why it FAILED."""
        task_id = self._end(_S.IDLE)
        ended = {"outcome": outcome.value, "error": error, **self.link_counts()}
        _log.info("operation ended", **self._log_keys(task_id), **ended)
        self._slot.end(task_id, outcome, _S.IDLE, error)

    def fail(self, error: str, state: PrinterState) -> None:
        """Go to `state` because of `error`; the running operation, if there is one, has failed."""
        task_id = self._end(state)
        if task_id:
            _log.warning("operation failed", **self._log_keys(task_id), error=error, **self.link_counts())
            self._slot.end(task_id, Outcome.FAILED, state, error, reason=error)
        else:
            self._slot.update(state=state, reason=error, waiting="", starting=False)

    def refuse(self, task_id: str) -> bool:
        """Fail the operation of `task_id`, accepted before this connection was lost, unless the printer is idle;
        whether it was refused."""
        if self._state is _S.IDLE:
            return False
        self._slot.refuse(task_id, self._state)
        return True

    def need_person(self, needed: bool, text: str = "", *, otherwise: str = "") -> None:
        """Publish that the printer waits for the person in front of it, who is asked `text`, or `otherwise` when it
        does not any more."""
        person = "the person at the printer" + (f": {text}" if text else "") if needed else ""
        if person != self._person:
            self.person_needed, self._person = needed, person
            self._slot.update(waiting=person or otherwise)

    def answer(self, answer: QueryAnswer) -> None:
        """Publish what the printer answered to a query."""
        self._slot.update(query=answer)

    def _end(self, state: PrinterState) -> str:
        task_id, self.task_id = self.task_id, ""
        self.person_needed, self._person = False, ""
        self._set(state)
        self._checkpoints.end()
        return task_id

    def _set(self, state: PrinterState) -> None:
        self._state = state

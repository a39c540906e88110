"""What a print waits for before its first line: the bed to be confirmed clear, then the printer to be idle, and all of
it within the time that a start has (`[job] start_within_s`).
"""

from __future__ import annotations

import structlog

from agent.core.bed import Start, refusal
from agent.core.command_age import AgeLimits
from agent.core.driver import PrinterState, Telemetry
from agent.errors import RefusedError, UnavailableError
from agent.runner.activity import Context, Deadline, task_keys
from agent.state.store import Task

HELLO_MAY_TAKE = 30.0  # seconds that a printer which is offline has to be there, unless it says that it is starting

log = structlog.get_logger(part="print")


class StartGate:
    """The gate of one print."""

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._task = task
        self._within = start_limits(context).of(task.command)
        self._deadline = Deadline(context.clock, self._within - task.age)
        self._waited = False
        self.await_printer()

    def require_in_time(self, waiting_for: str) -> None:
        """Raise RefusedError (410) when the print must not begin any more."""
        if not self._deadline.expired():
            return
        name, key = self._task.command.raw_name, "[job] start_within_s"
        raise RefusedError(410, f"{name}: not begun within {self._within:.0f} s ({key}); it waited for {waiting_for}")

    def is_open(self) -> bool:
        """Whether the bed lets the print begin; False while it waits. Raises RefusedError (409) where it does not wait.

        A state folder that gives no row keeps it waiting."""
        try:
            bed = self._context.store.bed()
        except UnavailableError as error:
            log.warning("bed state not read", error=str(error), **task_keys(self._task))
            return False
        decision = bed.start(self._context.config.job.bed)
        if decision is Start.REFUSE:
            raise RefusedError(409, refusal(self._task.command.raw_name, bed))
        if decision is Start.WAIT and not self._waited:
            self._waited = True
            log.warning("print waits for the bed", last_job_id=bed.job_id, **task_keys(self._task))
        return decision is Start.BEGIN

    def await_printer(self) -> None:
        """Begin to wait for the printer."""
        self._printer_deadline = Deadline(self._context.clock, HELLO_MAY_TAKE)

    def has_printer_timed_out(self) -> bool:
        """Whether the printer, or the disk for it, was waited for long enough."""
        return self._printer_deadline.expired()

    def is_printer_ready(self, telemetry: Telemetry) -> bool:
        """Whether the printer is idle; False while it is waited for: one that is just being opened gets some time, one
        that says that it is starting all the time that the print has. Raises RefusedError (503)."""
        if telemetry.state is PrinterState.IDLE:
            return True
        if telemetry.starting:
            self.await_printer()
        elif not telemetry.state.absent or self.has_printer_timed_out():
            raise RefusedError(503, f"the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
        return False


def start_limits(context: Context) -> AgeLimits:
    """The ages at which commands are not begun any more."""
    job = context.config.job
    return AgeLimits(other=job.max_age_s, start=job.start_within_s)

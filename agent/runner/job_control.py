"""pause, resume and cancel of a print: requested at once, done when the printer has done it.

While a print is recovered they wait for it, and so do those that an agent before this one had begun.
"""

from __future__ import annotations

import structlog

from agent.core.command import Name
from agent.core.driver import PrinterState, Telemetry
from agent.core.job import JobState
from agent.core.printer_status import AWAITING_BED, WAITS_FOR_BED
from agent.errors import NotReadyError, RefusedError
from agent.runner.activity import Context, Deadline, require_running_job, task_keys
from agent.runner.print_activity import PrintActivity
from agent.state.store import Task

log = structlog.get_logger(part="runner")

PRINTER_MAY_TAKE = 3600.0  # seconds for a pause, resume or cancel to be done: a heat-up, a long retract script
_DONE = {Name.PAUSE: PrinterState.PAUSED, Name.RESUME: PrinterState.PRINTING}
_UNDER_WAY = {
    Name.PAUSE: (PrinterState.PAUSING, PrinterState.PAUSED),
    Name.RESUME: (PrinterState.RESUMING, PrinterState.PRINTING),
}


class JobControlActivity:
    """pause, resume or cancel. Raises RefusedError, and NotReadyError from the driver."""

    exclusive = False
    busy = ""
    outlives = True

    def __init__(self, context: Context, task: Task, running: PrintActivity | None) -> None:
        require_running_job(task.command, running.view if running is not None else None)
        if running is None:
            raise RefusedError(409, f"{task.command.raw_name}: no job is running")
        self._context = context
        self._print = running
        self._deadline = Deadline(context.clock, PRINTER_MAY_TAKE)
        self._requested = False
        self.task = task
        self.ended = False
        if not running.recovering or task.command.name is Name.CANCEL:
            self._request()

    def step(self, telemetry: Telemetry) -> None:
        """Complete when the printer has done it; fail when the job ended before."""
        command = self.task.command
        job = self._print.view
        if command.name is Name.CANCEL and self._print.ended:
            if job.state is JobState.CANCELED:
                self._end()
            else:
                self._fail(f"the job had already ended: {job.state}")
        elif self._print.ended:
            self._fail(f"the job ended first: {job.state}")
        elif not self._requested:
            if not self._print.recovering:
                self._request_again(self._context.driver.telemetry())
        elif command.name in _DONE and telemetry.state is _DONE[command.name]:
            self._end()
        elif self._deadline.expired():
            self._fail("the printer did not do it in time")

    def supersede(self) -> None:
        """Fail: too many newer ones wait beside it. What it requested of the printer stays requested."""
        self._fail("newer commands took its place")

    def stop(self, reason: str) -> None:
        """Fail: the agent goes down."""
        self._fail(reason)

    def hand_over(self) -> None:
        """Nothing to do: the next agent requests it again."""

    def _request(self) -> None:
        self._requested = True
        name = self.task.command.name
        if name is Name.CANCEL:
            self._print.cancel()
        elif self._print.busy:
            why = f"; it {WAITS_FOR_BED}" if self._print.busy == AWAITING_BED else ""
            raise RefusedError(409, f"{self.task.command.raw_name}: the job has not begun to print{why}")
        elif name is Name.PAUSE:
            self._context.driver.pause()
        else:
            self._context.driver.resume()
        log.info("job control requested", command=str(name), **task_keys(self.task, self._print.view))

    def _request_again(self, telemetry: Telemetry) -> None:
        """Request it of a print that was recovered just now, unless the agent before did: the printer is at it then."""
        name = self.task.command.name
        if name in _UNDER_WAY and telemetry.state in _UNDER_WAY[name]:
            self._requested = True
            return
        try:
            self._request()
        except (RefusedError, NotReadyError) as error:
            self._fail(str(error))

    def _end(self) -> None:
        self._context.complete(self.task, self._print.view)
        self.ended = True

    def _fail(self, message: str) -> None:
        self._context.fail(self.task, 409, f"{self.task.command.raw_name}: {message}", self._print.view)
        self.ended = True

"""print_data from the file to the end of the print; pause, resume and cancel of it.

    fetching ── file here ──▶ starting ── printer idle ──▶ following ──▶ ended
The job's own states are core.job's table; this says who moves it on.
"""

from __future__ import annotations

import msgspec
import structlog

from agent.core import report, settings
from agent.core.command import Name
from agent.core.job import JobEvent, JobState, JobView, advance, follow
from agent.core.ports import Operation, Outcome, PrinterState, Telemetry
from agent.errors import AgentError, DataError, NotReadyError, RefusedError, UnavailableError
from agent.gcode import FileSource, Index
from agent.jobfile import JobFile, fetch
from agent.runner.activity import Context, Limit, matches
from agent.runner.worker import Worker
from agent.store import Task

log = structlog.get_logger(part="print")

HELLO_MAY_TAKE = 30.0  # seconds from the command until a printer that is offline must be there
PRINTER_MAY_TAKE = 3600.0  # seconds for a pause, resume or cancel to be done: a heat-up, a long retract script
_DONE = {Name.PAUSE: PrinterState.PAUSED, Name.RESUME: PrinterState.PRINTING}


class PrintActivity:
    """One print job. `view` is the job as others see it."""

    exclusive = True

    def __init__(self, context: Context, task: Task) -> None:
        command = task.command
        self._context = context
        self.task = task
        self.ended = False
        self.view = JobView(
            job_id=command.job_id or command.task_id,
            task_id=command.task_id,
            state=JobState.ACCEPTED,
            name=command.job_name,
        )
        self._preamble = _preamble(context, task)
        self._file = JobFile(context.jobs, command.task_id)
        self._index: Index | None = None
        self._patience = Limit(context.clock, HELLO_MAY_TAKE)
        self._cancelling = False
        self._progress = 0.0
        self._last_report = 0.0
        self._fetch: Worker[Index] = Worker(
            "fetch", lambda cancelled: fetch(command, self._file, context.config, cancelled), context.wake
        )

    @property
    def busy(self) -> str:
        """The agent works on the file until the printer prints it."""
        return "print_data" if self.view.state in (JobState.ACCEPTED, JobState.RECEIVED) else ""

    def cancel(self) -> None:
        """Stop as soon as can be; `step` sees the end. Raises NotReadyError from the driver."""
        self._cancelling = True
        self._fetch.cancel()
        if self._started():
            self._context.driver.cancel()

    def step(self, telemetry: Telemetry) -> None:
        """Go on with the job."""
        if self._cancelling and self.view.state in (JobState.ACCEPTED, JobState.RECEIVED):
            self._end(JobEvent.CANCEL)  # at once: a fetch that hangs on a silent server ends by itself, with its file
        elif self.view.state is JobState.ACCEPTED:
            self._look_at_fetch()
        if self.view.state is JobState.RECEIVED:
            self._start(telemetry)
        if self._started():
            self._follow(telemetry)

    def stop(self, reason: str) -> None:
        """The agent goes down. The driver cancels what runs when it is closed."""
        if not self._fetch.end(timeout=2.0):
            log.warning("the download did not end in time")
        self._fail(500, reason)

    def _started(self) -> bool:
        return self.view.state in (JobState.PRINTING, JobState.PAUSED)

    def _look_at_fetch(self) -> None:
        if not self._fetch.done:
            return
        try:
            index = self._fetch.result()
        except DataError as error:
            self._fail(422, str(error))
        except UnavailableError as error:
            self._fail(502, str(error))
        except AgentError as error:
            self._fail(500, str(error))
        else:
            self._index = index
            self._move(JobEvent.FILE_HERE)
            self._place(0)
            self._report(self._context.driver.telemetry(), 0.0, milestone=True, message=index.caution())

    def _start(self, telemetry: Telemetry) -> None:
        """Begin when the printer is idle; one that is just saying hello gets some time."""
        assert self._index is not None  # noqa: S101 RECEIVED means that the scan has ended
        if telemetry.state is not PrinterState.IDLE:
            if telemetry.state is not PrinterState.OFFLINE or self._patience.over():
                self._fail(503, f"the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
            return
        try:
            source = FileSource(self._file.path, self._index)
            self._context.driver.start_print(self.view.task_id, source, self._preamble)
        except NotReadyError as error:
            self._fail(409, str(error))
            return
        except OSError as error:
            self._fail(500, f"the file cannot be read: {error.strerror}")
            return
        self._move(JobEvent.START)
        self._report(telemetry, self.view.progress)
        log.info("printing", job_id=self.view.job_id, lines=self.view.total_lines, layers=self.view.total_layers)

    def _follow(self, telemetry: Telemetry) -> None:
        last = telemetry.last
        ended = last is not None and last.key == self.view.task_id
        if not ended and telemetry.key != self.view.task_id:
            return
        self._place(telemetry.line)
        if last is not None and ended:
            self._finish(last)
            return
        event = follow(self.view.state, telemetry.state)
        if event is not None:
            self._move(event)
        now = self._context.clock.monotonic()
        if event is not None or now - self._last_report >= self._context.config.reports.progress_s:
            self._report(telemetry, self.view.progress)

    def _finish(self, last: Operation) -> None:
        if last.outcome is Outcome.COMPLETED:
            self._place(self.view.total_lines)
            if self.view.state is JobState.PAUSED:  # the resume and the end between two looks
                self._move(JobEvent.RESUME)
            self._end(JobEvent.COMPLETE)
        elif last.outcome is Outcome.CANCELLED:
            self._end(JobEvent.CANCEL)
        else:
            self._fail(500, last.error)

    def _place(self, line: int) -> None:
        """Where the job is; progress never goes back."""
        assert self._index is not None  # noqa: S101 as in _start
        place = self._index.position(line)
        self.view = msgspec.structs.replace(
            self.view,
            line=line,
            total_lines=self._index.total_lines,
            layer=place.layer,
            total_layers=place.total_layers,
            progress=report.advance(self.view.progress, place.progress),
            seconds_left=place.seconds_left,
        )

    def _move(self, event: JobEvent) -> None:
        self.view = msgspec.structs.replace(self.view, state=advance(self.view.state, event))
        self._context.tell()

    def _report(self, telemetry: Telemetry, value: float, *, milestone: bool = False, message: str = "") -> None:
        self._last_report = self._context.clock.monotonic()
        self._progress = report.advance(self._progress, value)
        body = report.progress(self.task.command, self._progress, self.view, telemetry, message)
        self._context.ledger.progress(self.task, self._progress, body, milestone=milestone)
        self._context.tell()

    def _end(self, event: JobEvent) -> None:
        self._move(event)
        if event is JobEvent.COMPLETE:
            self.view = msgspec.structs.replace(self.view, progress=1.0, seconds_left=0)
        extra = {"message": "canceled"} if event is JobEvent.CANCEL else None
        self._context.complete(self.task, self.view, extra)
        self._close()

    def _fail(self, code: int, message: str) -> None:
        where = f" at layer {self.view.layer}, line {self.view.line}" if self.view.line else ""
        self.view = msgspec.structs.replace(self.view, error=message)
        self._move(JobEvent.FAIL)
        self._context.fail(self.task, code, f"{message}{where}", self.view)
        self._close()

    def _close(self) -> None:
        self.ended = True
        self._file.remove()


class StepActivity:
    """pause, resume or cancel: asked for at once, done when the printer has done it."""

    exclusive = False
    busy = ""

    def __init__(self, context: Context, task: Task, running: PrintActivity | None) -> None:
        matches(task.command, running.view if running is not None else None)
        if running is None:
            raise RefusedError(409, f"{task.command.said}: no job is running")
        self._context = context
        self._print = running
        self._limit = Limit(context.clock, PRINTER_MAY_TAKE)
        self.task = task
        self.ended = False
        name = task.command.name
        if name is Name.CANCEL:
            running.cancel()
        elif running.busy:
            raise RefusedError(409, f"{task.command.said}: the job has not begun to print")
        elif name is Name.PAUSE:
            context.driver.pause()
        else:
            context.driver.resume()

    def step(self, telemetry: Telemetry) -> None:
        """Done when the printer has done it; failed when the job ended before."""
        command = self.task.command
        job = self._print.view
        if command.name is Name.CANCEL and self._print.ended:
            if job.state is JobState.CANCELED:
                self._end()
            else:
                self._fail(f"the job had already ended: {job.state}")
        elif self._print.ended:
            self._fail(f"the job ended first: {job.state}")
        elif command.name in _DONE and telemetry.state is _DONE[command.name] and not self._print.ended:
            self._end()
        elif self._limit.over():
            self._fail("the printer did not do it in time")

    def stop(self, reason: str) -> None:
        """The agent goes down."""
        self._fail(reason)

    def _end(self) -> None:
        self._context.complete(self.task, self._print.view)
        self.ended = True

    def _fail(self, message: str) -> None:
        self._context.fail(self.task, 409, f"{self.task.command.said}: {message}", self._print.view)
        self.ended = True


def _preamble(context: Context, task: Task) -> list[str]:
    """The settings of the printer with those of the job over them, as G-code. Raises RefusedError."""
    wanted = {**context.store.settings(), **task.command.settings}
    try:
        settings.check(wanted)
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    return settings.gcode(wanted)

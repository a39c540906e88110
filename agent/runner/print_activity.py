"""print_data from the file to the end of the print.

    fetching ── file here ──▶ starting ── printer idle ──▶ following ──▶ ended
    taking over, after a restart ── the driver has it ────────┘
The job's own states are core.job's table; this says who moves it on.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from agent.core import report, settings
from agent.core.driver import Operation, Outcome, PrinterState, Telemetry
from agent.core.job import JobEvent, JobState, JobView, advance, follow
from agent.errors import AgentError, DataError, NotReadyError, RefusedError, UnavailableError
from agent.files.job_file import JobFile, fetch
from agent.gcode import FileSource, Index
from agent.runner.activity import Context, Limit
from agent.runner.print_recovery import TakeOver
from agent.runner.worker import Worker
from agent.state.store import Checkpoint, Task

log = structlog.get_logger(part="print")

HELLO_MAY_TAKE = 30.0  # seconds from the command until a printer that is offline must be there


class PrintActivity:
    """One print job, from its beginning or from its `checkpoint`. `view` is the job as others see it."""

    exclusive = True
    outlives = True

    def __init__(self, context: Context, task: Task, checkpoint: Checkpoint | None = None) -> None:
        """Raises RefusedError for settings that cannot be."""
        command = task.command
        self._context = context
        self.task = task
        self.ended = False
        job_id = command.job_id or command.task_id
        job = checkpoint.job if checkpoint else JobView(job_id, command.task_id, JobState.ACCEPTED)
        self.view = msgspec.structs.replace(job, job_id=job_id, name=command.job_name)
        self._file = JobFile(context.jobs, command.task_id)
        self._index: Index | None = None
        self._patience = Limit(context.clock, HELLO_MAY_TAKE)
        self._cancelling = False
        self._progress = task.progress
        self._last_report = 0.0
        self._lost = ""  # why the file of a print that is taken over is of no use
        self._take_over: TakeOver | None = None
        self._fetch: Worker[Index] | None = None
        self._preamble: Sequence[str] = ()
        if checkpoint is not None:
            self._take_over = TakeOver(context, self._file, checkpoint)
        else:
            self._preamble = _preamble(context, task)
            self._fetch = Worker(
                "fetch", lambda cancelled: fetch(command, self._file, context.config, cancelled), context.wake
            )

    @property
    def busy(self) -> str:
        """The agent works on the file until the printer prints it."""
        if self.taking_over:
            return report.TAKING_OVER
        return "print_data" if self.view.state in (JobState.ACCEPTED, JobState.RECEIVED) else ""

    @property
    def taking_over(self) -> bool:
        """Whether the driver has yet to say what became of the print."""
        return self._take_over is not None

    def cancel(self) -> None:
        """Stop as soon as can be; `step` sees the end. Raises NotReadyError from the driver."""
        self._cancelling = True
        if self._fetch is not None:
            self._fetch.cancel()
        if self._started() and not self.taking_over:
            self._context.driver.cancel()

    def step(self, telemetry: Telemetry) -> None:
        """Go on with the job."""
        if self._take_over is not None:
            telemetry = self._look_at_printer(self._take_over)
        elif self._cancelling and self.view.state in (JobState.ACCEPTED, JobState.RECEIVED):
            self._end(JobEvent.CANCEL)  # at once: a fetch that hangs on a silent server ends by itself, with its file
        elif self.view.state is JobState.ACCEPTED:
            self._look_at_fetch()
        if self.view.state is JobState.RECEIVED:
            self._start(telemetry)
        if self._started() and not self.taking_over:
            self._follow(telemetry)

    def stop(self, reason: str) -> None:
        """The agent goes down. The driver cancels what runs when it is closed."""
        if self._take_over is not None:
            self._take_over.stop(reason)
        if self._fetch is not None and not self._fetch.end(timeout=2.0):
            log.warning("the download did not end in time")
        self._fail(500, reason)

    def hand_over(self) -> None:
        """The agent goes down and the print does not: where it is, for the next agent and whoever watches."""
        if self._started() and not self.taking_over:
            telemetry = self._context.driver.telemetry()
            if telemetry.task_id == self.view.task_id:
                self._place(telemetry.line)
            self._report(telemetry, self.view.progress)
        log.info("left for the next agent", job_id=self.view.job_id, line=self.view.line)

    def _look_at_printer(self, take_over: TakeOver) -> Telemetry:
        """Until the driver says what became of the print. The printer as it is now."""
        has_it = take_over.step()
        telemetry = self._context.driver.telemetry()
        if not has_it:
            return telemetry
        ended = telemetry.last is not None and telemetry.last.task_id == self.view.task_id
        if self._cancelling and not ended:
            try:
                self._context.driver.cancel()
            except NotReadyError:
                log.debug("the cancel waits until the print is taken over")
            else:
                self._cancelling = False
        absent = telemetry.state in (PrinterState.OFFLINE, PrinterState.RECOVERING)
        there = telemetry.task_id == self.view.task_id and not absent
        if ended or there:
            self._take_over, self._index, self._lost = None, take_over.index, take_over.lost
            log.info("taken over", job_id=self.view.job_id, state=str(telemetry.state), line=telemetry.line)
        elif take_over.overdue():
            self._take_over = None
            self._fail(500, "the printer did not say what became of the print")
        return telemetry

    def _started(self) -> bool:
        return self.view.state in (JobState.PRINTING, JobState.PAUSED)

    def _look_at_fetch(self) -> None:
        if self._fetch is None or not self._fetch.done:
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
            if self.task.told is not report.Kind.MILESTONE:  # not said by an agent before this one
                self._report(self._context.driver.telemetry(), 0.0, milestone=True, message=index.caution())

    def _start(self, telemetry: Telemetry) -> None:
        """Begin when the printer is idle; one that is just saying hello gets some time."""
        assert self._index is not None  # noqa: S101 RECEIVED means that the scan has ended
        if telemetry.state is not PrinterState.IDLE:
            if telemetry.state not in (PrinterState.OFFLINE, PrinterState.RECOVERING) or self._patience.over():
                self._fail(503, f"the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
            return
        try:
            source = FileSource(self._file.path, self._index)
            begun = msgspec.structs.replace(self.view, state=advance(self.view.state, JobEvent.START))
            self._context.store.begin_print(begun, self._file.mark(self._index), self._preamble)
            self._context.driver.start_print(self.view.task_id, source, self._preamble)
        except NotReadyError as error:
            self._fail(409, str(error))
            return
        except UnavailableError as error:  # a print that nobody could take over, or tell from one that has not begun
            if self._patience.over():
                self._fail(503, str(error))
            return
        except DataError as error:
            self._fail(500, str(error))
            return
        except OSError as error:
            self._fail(500, f"the file cannot be read: {error.strerror}")
            return
        self._move(JobEvent.START)
        self._report(telemetry, self.view.progress)
        log.info("printing", job_id=self.view.job_id, lines=self.view.total_lines, layers=self.view.total_layers)

    def _follow(self, telemetry: Telemetry) -> None:
        last = telemetry.last
        ended = last is not None and last.task_id == self.view.task_id
        if not ended and telemetry.task_id != self.view.task_id:
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
            self._fail(500, self._lost or last.error)

    def _place(self, line: int) -> None:
        """Where the job is; it never goes back."""
        line = max(line, self.view.line)
        if self._index is None:  # of a lost file: as it was reported last
            self.view = msgspec.structs.replace(self.view, line=line)
            return
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
        self._context.ledger.progress(self.task, self._progress, body, milestone=milestone, job=self.view)
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


def _preamble(context: Context, task: Task) -> list[str]:
    """The settings of the printer with those of the job over them, as G-code. Raises RefusedError."""
    wanted = {**context.store.settings(), **task.command.settings}
    try:
        settings.check(wanted)
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    return settings.gcode(wanted)

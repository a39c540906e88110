"""print_data, from the file to the end of the print.

    fetching ── file here ──▶ awaiting bed ── it is clear ──▶ starting ── printer idle ──▶ following ──▶ ended
    recovering, after a restart ── the driver has the print ───────────────────────┘
    fetching, awaiting bed, starting ── cancel ──▶ cancelling ──▶ ended
                                     ── start_within_s ──▶ ended

The job's own states are core.job's table; a phase is what this activity waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec
import structlog

from agent.core.bed import BedEvent
from agent.core.driver import HeatCurve, Operation, Outcome, Telemetry
from agent.core.job import JobEvent, JobState, JobView, advance, follow
from agent.core.printer_status import AWAITING_BED, TAKING_OVER
from agent.core.report_bodies import Kind, Result
from agent.errors import AgentError, DataError, NotReadyError, RefusedError, UnavailableError
from agent.files.fetch_progress import FetchProgress
from agent.files.job_file import JobFile, fetch
from agent.gcode import FileSource, Index
from agent.runner.activity import Context, task_keys
from agent.runner.print_phase import BEFORE_PRINTING, TO_BEGIN, PrintPhase
from agent.runner.print_progress import PrintProgress
from agent.runner.print_recovery import PrintRecovery, RecoveryState
from agent.runner.print_settings import PrintSettings
from agent.runner.start_gate import StartGate
from agent.runner.worker import Worker
from agent.state.store import Checkpoint, Task

log = structlog.get_logger(part="print")


class PrintActivity:
    """One print job, from its beginning or from its `checkpoint`."""

    exclusive = True
    outlives = True

    def __init__(self, context: Context, task: Task, checkpoint: Checkpoint | None = None) -> None:
        """Raises RefusedError for settings that cannot be."""
        command = task.command
        self._context = context
        self.task = task
        self._job = PrintProgress(context, task, checkpoint)
        self._file = JobFile(context.jobs, command.task_id)
        self._gate = StartGate(context, task)
        self._wait_reported = False
        self._lost = ""  # why the file of a recovered print is of no use
        self._recovery: PrintRecovery | None = None
        self._fetch: Worker[Index] | None = None
        self._transfer = FetchProgress()
        self._settings: PrintSettings | None = None
        if checkpoint is not None:
            self._phase = PrintPhase.RECOVERING
            self._recovery = PrintRecovery(context, self._file, checkpoint)
        else:
            self._phase = PrintPhase.FETCHING
            self._settings = PrintSettings(context, task)
            self._fetch = Worker(
                "fetch",
                lambda cancelled: fetch(
                    command,
                    self._file,
                    context.config,
                    context.http,
                    cancelled,
                    dialect=context.driver.telemetry().dialect,
                    kept=context.kept,
                    progress=self._transfer,
                ),
                context.wake,
                command.task_id,
            )

    @property
    def view(self) -> JobView:
        """The job as others see it."""
        return self._job.view

    @property
    def ended(self) -> bool:
        """Whether the task has its end."""
        return self._phase is PrintPhase.ENDED

    @property
    def busy(self) -> str:
        """The agent's own work: on the file until the printer prints it, or on the recovery."""
        if self._phase is PrintPhase.RECOVERING:
            return TAKING_OVER
        if self._phase is PrintPhase.AWAITING_BED:
            return AWAITING_BED
        return "print_data" if self._phase in BEFORE_PRINTING else ""

    @property
    def recovering(self) -> bool:
        """Whether the driver has yet to say what became of the print."""
        return self._phase is PrintPhase.RECOVERING

    @property
    def begun(self) -> bool:
        """Whether the printer has the print, or had it."""
        return self._phase not in BEFORE_PRINTING

    def cancel(self) -> None:
        """Stop as soon as can be; `step` sees the end. Raises NotReadyError from the driver."""
        if self._phase is PrintPhase.FOLLOWING:
            self._context.driver.cancel()
        elif self._recovery is not None:
            self._recovery.cancel()
        elif self._phase is not PrintPhase.ENDED:
            self._phase = PrintPhase.CANCELLING
        if self._fetch is not None:
            self._fetch.cancel()

    def step(self, telemetry: Telemetry) -> None:
        """Continue the job: one step of its phase, unless it must not begin any more."""
        try:
            if self._phase in TO_BEGIN:
                self._gate.require_in_time(TO_BEGIN[self._phase])
            self._STEPS[self._phase](self, telemetry)
        except RefusedError as refusal:
            if self._fetch is not None:
                self._fetch.cancel()
            self._fail(refusal.code, str(refusal))

    def stop(self, reason: str) -> None:
        """End the job as failed: the agent goes down. The driver cancels what runs when it is closed."""
        if self._recovery is not None:
            self._recovery.stop(reason)
        if self._fetch is not None and not self._fetch.end(timeout=2.0):
            log.warning("download thread still running", **task_keys(self.task, self.view))
        self._fail(500, reason)

    def hand_over(self) -> None:
        """Report where the print is, for the next agent and whoever watches: the print outlives this one."""
        if self._phase is PrintPhase.FOLLOWING:
            telemetry = self._context.driver.telemetry()
            if telemetry.task_id == self.view.task_id:
                self._job.follow(telemetry)
            self._job.report(telemetry, self.view.progress)
        log.info("print handed over", **task_keys(self.task, self.view), line=self.view.line)

    # --- the steps

    def _step_fetching(self, telemetry: Telemetry) -> None:
        """Wait for the download and the scan."""
        if self._fetch is None or not self._fetch.done:
            self._job.report_transfer(telemetry, "" if self.task.command.spooled else self._transfer.text)
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
            self._job.index = index
            self._job.advance_job(JobEvent.FILE_HERE)
            self._job.update_position(0)
            if self.task.last_report is not Kind.MILESTONE:  # not told by an agent before this one
                self._job.report(self._context.driver.telemetry(), 0.0, milestone=True, message=index.caution())
            self._phase = PrintPhase.AWAITING_BED
            self._step_awaiting_bed(telemetry)

    def _step_awaiting_bed(self, telemetry: Telemetry) -> None:
        """Begin when nothing of a print before this one is on the bed. Raises RefusedError."""
        if self._gate.is_open():
            self._phase = PrintPhase.STARTING
            self._gate.await_printer()
            self._step_starting(telemetry)
        elif not self._wait_reported:
            self._wait_reported = True
            self._job.report(telemetry, self.view.progress, waits_for_bed=True)

    def _step_starting(self, telemetry: Telemetry) -> None:
        """Begin when the printer is idle. Raises RefusedError."""
        if not self._gate.is_printer_ready(telemetry):
            return
        if self._job.index is not None and (why := self._job.index.refusal(telemetry.dialect)):
            self._fail(422, why)  # which firmware it is was not known while the file arrived
            return
        try:
            if self._settings is not None and not self._settings.step(telemetry):
                return
            self._start_print()
        except NotReadyError as error:
            self._fail(409, str(error), BedEvent.ABANDON)
        except UnavailableError as error:  # a print that nobody could recover, or tell from one that has not begun
            if self._gate.has_printer_timed_out():
                self._fail(503, str(error), BedEvent.ABANDON)
        except DataError as error:
            self._fail(500, str(error), BedEvent.ABANDON)
        except OSError as error:
            self._fail(500, f"the file cannot be read: {error.strerror}", BedEvent.ABANDON)
        else:
            self._phase = PrintPhase.FOLLOWING
            self._job.advance_job(JobEvent.START)
            self._job.report(telemetry, self.view.progress, message=self._settings_message)
            size = {"lines": self.view.total_lines, "layers": self.view.total_layers}
            log.info("print started", **task_keys(self.task, self.view), **size)

    def _step_cancelling(self, telemetry: Telemetry) -> None:  # noqa: ARG002 the printer has no part in it
        """End at once: a fetch that hangs on a silent server ends by itself, with its file."""
        self._end_cancelled()

    def _step_recovering(self, telemetry: Telemetry) -> None:
        """Wait for the driver's word on what became of the print."""
        recovery = self._recovery
        assert recovery is not None  # noqa: S101 made with the phase
        state = recovery.step()
        if state is RecoveryState.RECOVERED:
            telemetry = self._context.driver.telemetry()
            self._phase, self._recovery = PrintPhase.FOLLOWING, None
            self._job.index, self._lost = recovery.index, recovery.lost
            now = {"state": str(telemetry.state), "line": telemetry.line}
            log.info("print recovery completed", **task_keys(self.task, self.view), **now)
            self._step_following(telemetry)
        elif state is RecoveryState.TIMED_OUT:
            self._fail(500, "the printer did not say what became of the print")

    def _step_following(self, telemetry: Telemetry) -> None:
        """Report where the print is, until the driver says that it has ended."""
        last = telemetry.last
        ended = last is not None and last.task_id == self.view.task_id
        if not ended and telemetry.task_id != self.view.task_id:
            return
        self._job.follow(telemetry)
        if last is not None and ended:
            self._finish(last)
            return
        event = follow(self.view.state, telemetry.state)
        if event is not None:
            self._job.advance_job(event)
        if event is not None or self._job.report_due(telemetry):
            self._job.report(telemetry, self.view.progress)

    def _step_ended(self, telemetry: Telemetry) -> None:
        """Nothing is left to do."""

    _STEPS: ClassVar[dict[PrintPhase, Callable[[PrintActivity, Telemetry], None]]] = {
        PrintPhase.FETCHING: _step_fetching,
        PrintPhase.AWAITING_BED: _step_awaiting_bed,
        PrintPhase.STARTING: _step_starting,
        PrintPhase.CANCELLING: _step_cancelling,
        PrintPhase.RECOVERING: _step_recovering,
        PrintPhase.FOLLOWING: _step_following,
        PrintPhase.ENDED: _step_ended,
    }

    # --- inside

    def _start_print(self) -> None:
        """Write the checkpoint, then start the driver. Raises NotReadyError, UnavailableError, RefusedError, DataError,
        OSError."""
        assert self._job.index is not None  # noqa: S101 STARTING means that the scan has ended
        source = FileSource(self._file.path, self._job.index)
        begun = msgspec.structs.replace(self.view, state=advance(self.view.state, JobEvent.START))
        self._context.heat.begin(self.view.task_id)
        bed = self._context.config.job.bed
        preamble = self._settings.preamble if self._settings is not None else []
        self._job.use_preamble(preamble)
        self._context.store.begin_print(begun, self._file.mark(self._job.index), preamble, bed)
        self._context.driver.start_print(self.view.task_id, source, preamble)

    def _finish(self, last: Operation) -> None:
        if last.outcome is Outcome.COMPLETED:
            self._job.update_position(self.view.total_lines)
            if self.view.state is JobState.PAUSED:  # the resume and the end between two looks
                self._job.advance_job(JobEvent.RESUME)
            self._complete()
        elif last.outcome is Outcome.CANCELLED:
            self._end_cancelled()
        else:
            self._fail(500, self._lost or last.error, heat_curve=last.heat_curve)

    def _complete(self) -> None:
        self._job.complete()
        message = self._settings_message
        self._context.complete(self.task, self.view, Result(message=message) if message else None)
        self._close()

    def _end_cancelled(self) -> None:
        self._job.advance_job(JobEvent.CANCEL)
        self._context.complete(self.task, self.view, Result(message="canceled"))
        self._close()

    @property
    def _settings_message(self) -> str:
        return self._settings.message if self._settings is not None else ""

    def _fail(self, code: int, message: str, bed: BedEvent = BedEvent.END, heat_curve: HeatCurve | None = None) -> None:
        where = f" at layer {self.view.layer}, line {self.view.line}" if self.view.line else ""
        self._job.advance_job(JobEvent.FAIL, error=message)
        self._context.fail(self.task, code, f"{message}{where}", self.view, bed=bed, heat_curve=heat_curve)
        self._close()

    def _close(self) -> None:
        self._phase = PrintPhase.ENDED
        self._file.remove()

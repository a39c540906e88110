"""Progress of a print job: what others see of it, and the reports on the way."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.core import report
from agent.core.bed import BedState
from agent.core.driver import PrinterState, Prompt, Telemetry
from agent.core.job import JobEvent, JobState, JobView, advance
from agent.core.printer_status import AWAITING_BED
from agent.core.report_bodies import SituationData
from agent.core.time_left import Reckoned, TimeLeft, TimeSource, speed_percent
from agent.gcode import Index
from agent.runner.activity import Context
from agent.state.store import Checkpoint, Task

FAILED = "try"  # the kind of news that an attempt failed (agent/files/fetch_progress.py)


class PrintProgress:
    """One job. `view` is the job as others see it; `index`, once it is known, tells layer and time of a line."""

    def __init__(self, context: Context, task: Task, checkpoint: Checkpoint | None) -> None:
        command = task.command
        job_id = command.job_id or command.task_id
        job = checkpoint.job if checkpoint else JobView(job_id, command.task_id, JobState.ACCEPTED)
        self.view = msgspec.structs.replace(job, job_id=job_id, name=command.job_name)
        self.index: Index | None = None
        self._time_left = TimeLeft(self.view.pace)
        self._speed = speed_percent(checkpoint.preamble if checkpoint else ())
        self._context = context
        self._task = task
        self._reported = task.progress
        self._last_report = 0.0
        self._reported_prompt: Prompt | None = None
        self._reported_transfer = ""
        self._last_data: SituationData | None = None  # of the last report
        self._sent_data: SituationData | None = None  # of the last one that no newer report took the place of

    def use_preamble(self, preamble: Sequence[str]) -> None:
        """Take the speed factor from what is sent before the file; the time left follows it at once."""
        self._speed = speed_percent(preamble)
        self.update_position(self.view.line)

    def advance_job(self, event: JobEvent, error: str = "") -> None:
        """Change the job's state by `event`; `error` is what it failed with."""
        state = advance(self.view.state, event)
        self.view = msgspec.structs.replace(self.view, state=state, error=error or self.view.error, transfer="")
        self._context.wake_reporter()

    def complete(self) -> None:
        """Change the job's state to completed, with nothing left to do."""
        self.advance_job(JobEvent.COMPLETE)
        self.view = msgspec.structs.replace(self.view, progress=1.0, seconds_left=0)

    def follow(self, telemetry: Telemetry) -> None:
        """Set where the job is, as the driver says."""
        runs = telemetry.state is PrinterState.PRINTING and not telemetry.waiting
        self.update_position(telemetry.line, runs=runs)

    def update_position(self, line: int, *, runs: bool = False) -> None:
        """Set where the job is; it never goes back. `runs`: the printer prints, it does not heat or wait."""
        line = max(line, self.view.line)
        if self.index is None:  # of a lost file: as it was reported last
            self.view = msgspec.structs.replace(self.view, line=line)
            return
        place = self.index.position(line)
        self._update_time_left(self.index, line, place.progress, runs=runs)
        self.view = msgspec.structs.replace(
            self.view,
            line=line,
            total_lines=self.index.total_lines,
            layer=place.layer,
            total_layers=place.total_layers,
            progress=report.advance(self.view.progress, place.progress),
            seconds_left=self._time_left.seconds,
            seconds_left_from=str(self._time_left.source or ""),
            pace=self._time_left.pace,
        )

    def report_transfer(self, telemetry: Telemetry, text: str) -> None:
        """Set how far the file is, and report it: at once when it is another kind of news, else as often as any
        progress. Raises UnavailableError."""
        if not self.view.transfer:
            self._last_report = self._context.clock.monotonic()  # the receipt, a moment ago
        self.view = msgspec.structs.replace(self.view, transfer=text)
        if text == self._reported_transfer:
            return
        kind, reported = _kind(text), _kind(self._reported_transfer)
        if (kind != reported and (reported or kind == FAILED)) or self.report_due(telemetry):
            self._reported_transfer = text
            self.report(telemetry, self.view.progress)

    def _update_time_left(self, index: Index, line: int, progress: float, *, runs: bool) -> None:
        left = index.seconds_left(line)
        reckoned = Reckoned(
            left=left,
            progress=progress,
            source=TimeSource.ELAPSED if left is None else TimeSource(index.left_from),
            speed=100.0 if index.own_speed and line >= index.own_speed else self._speed,
            begun=line >= index.first_layer,
        )
        self._time_left.update(self._context.clock.monotonic(), reckoned, runs=runs)

    def report_due(self, telemetry: Telemetry) -> bool:
        """Whether the last report is older than `reports.progress_s`, or the printer asks something else since."""
        if telemetry.prompt != self._reported_prompt:
            return True
        return self._context.clock.monotonic() - self._last_report >= self._context.config.reports.progress_s

    def report(
        self,
        telemetry: Telemetry,
        value: float,
        *,
        milestone: bool = False,
        message: str = "",
        waits_for_bed: bool = False,
    ) -> None:
        """Queue a report on the way; `value` is the task's progress, 0 to 1. Raises UnavailableError."""
        self._last_report = self._context.clock.monotonic()
        self._reported_prompt = telemetry.prompt
        self._reported = report.advance(self._reported, value)
        on_bed = waits_for_bed or self.view.state not in (JobState.ACCEPTED, JobState.RECEIVED)
        body = report.progress(
            self._task.command,
            self._reported,
            self.view,
            telemetry,
            message,
            busy=AWAITING_BED if waits_for_bed else "",
            bed=str(BedState.NOT_CONFIRMED) if on_bed and self._context.config.job.bed != "free" else "",
            before=self._last_sent_data(),
        )
        self._context.store.reports.progress(self._task, body, self.view, milestone=milestone)
        if isinstance(body.data, SituationData):
            self._last_data = body.data
        self._context.wake_reporter()

    def _last_sent_data(self) -> SituationData | None:
        """`data` of the report that the server will have had before the next one, which takes the place of one that is
        still unsent."""
        if not self._context.store.reports.has_unsent_progress(self._task):
            self._sent_data = self._last_data
        return self._sent_data


def _kind(transfer: str) -> str:
    """The kind of news of a file on its way."""
    return transfer.partition(" ")[0].rstrip(",")

"""The runner's writes of reports: progress that may be skipped, ends that may not.

A full disk must not stop a print or lose its end: an end that could not be written is kept here and written as soon as
the disk takes it. Until then the ledger says «running», and a restart would give the task an honest end.
"""

from __future__ import annotations

import msgspec
import structlog

from agent.core import report_bodies
from agent.core.bed import BedEvent
from agent.core.job import JobView
from agent.core.report_bodies import TaskReport
from agent.core.task import TaskEvent
from agent.errors import UnavailableError
from agent.state.store import Task
from agent.state.task_table import TaskTable

log = structlog.get_logger(part="runner")


class PendingEnd(msgspec.Struct, frozen=True):
    """A task's end that is not on the disk yet."""

    task_id: str
    job_id: str  # empty where the task has no job
    event: TaskEvent
    body: bytes
    message: str
    bed: BedEvent


class ReportWriter:
    """Writes progress and ends of tasks; the runner's thread alone."""

    def __init__(self, tasks: TaskTable) -> None:
        self._tasks = tasks
        self._pending: list[PendingEnd] = []

    def progress(self, task: Task, body: TaskReport, job: JobView | None, *, milestone: bool = False) -> None:
        """Queue a report on the way, for a print with its `job`; the next one makes up for one that could not be
        written."""
        task_id = task.command.task_id
        try:
            self._tasks.progress(task_id, body.progress, report_bodies.encode(body), milestone=milestone, job=job)
        except UnavailableError as error:
            job_id = {"job_id": job.job_id} if job is not None else {}
            log.warning("progress report not written", task_id=task_id, **job_id, error=str(error))

    def has_unsent_progress(self, task: Task) -> bool:
        """Whether a report on the way waits that the next one takes the place of."""
        try:
            return self._tasks.has_unsent_progress(task.command.task_id)
        except UnavailableError:  # then the next one is not written either
            return True

    def end(
        self, task: Task, event: TaskEvent, body: TaskReport, message: str = "", *, bed: BedEvent = BedEvent.END
    ) -> None:
        """Write the task's end, its terminal report and what it does to the bed, in one transaction, now or as soon as
        the disk takes it."""
        job_id = body.job_id if isinstance(body.job_id, str) else ""
        self._pending.append(PendingEnd(task.command.task_id, job_id, event, report_bodies.encode(body), message, bed))
        self.flush()

    def flush(self) -> None:
        """Write the ends that the disk did not take before."""
        while self._pending:
            end = self._pending[0]
            try:
                self._tasks.end(end.task_id, end.event, end.body, end.message, bed=end.bed)
            except UnavailableError as error:
                waiting = len(self._pending)
                log.warning(
                    "task end not written", task_id=end.task_id, job_id=end.job_id, error=str(error), waiting=waiting
                )
                return
            del self._pending[0]

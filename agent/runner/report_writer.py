"""The runner's writes of reports: progress that may be skipped, ends that may not.

A full disk must not stop a print or lose its end: an end that could not be written is kept here and written as soon as
the disk takes it. Until then the ledger says «running», and a restart would give the task an honest end.
"""

from __future__ import annotations

import msgspec
import structlog

from agent.core import report
from agent.core.job import JobView
from agent.core.task import TaskEvent
from agent.errors import UnavailableError
from agent.state.store import Task
from agent.state.task_table import TaskTable

log = structlog.get_logger(part="runner")


class PendingEnd(msgspec.Struct, frozen=True):
    """A task's end that is not on the disk yet."""

    task_id: str
    event: TaskEvent
    body: bytes
    message: str


class ReportWriter:
    """Owned by the runner's thread."""

    def __init__(self, tasks: TaskTable) -> None:
        self._tasks = tasks
        self._pending: list[PendingEnd] = []

    def progress(self, task: Task, body: report.TaskReport, job: JobView, *, milestone: bool = False) -> None:
        """Queue a report on the way; the next one makes up for one that could not be written."""
        task_id = task.command.task_id
        try:
            self._tasks.progress(task_id, body.progress, report.encode(body), milestone=milestone, job=job)
        except UnavailableError as error:
            log.warning("progress report not written", task_id=task_id, job_id=job.job_id, error=str(error))

    def end(self, task: Task, event: TaskEvent, body: report.TaskReport, message: str = "") -> None:
        """Write the task's end and its terminal report, in one transaction, now or as soon as the disk takes it."""
        self._pending.append(PendingEnd(task.command.task_id, event, report.encode(body), message))
        self.flush()

    def flush(self) -> None:
        """Write the ends that the disk did not take before."""
        while self._pending:
            end = self._pending[0]
            try:
                self._tasks.end(end.task_id, end.event, end.body, end.message)
            except UnavailableError as error:
                log.warning("task end not written", task_id=end.task_id, error=str(error), waiting=len(self._pending))
                return
            del self._pending[0]

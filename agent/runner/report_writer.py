"""The runner's writes: progress that may be skipped, ends that may not.

A full disk must not stop a print or lose its end: an end that could not be written is kept here and written as soon as
the disk takes it. Until then the ledger says «running», and a restart would give the task an honest end.
"""

from __future__ import annotations

from typing import Any

import structlog

from agent.core import report
from agent.core.job import JobView
from agent.core.task import TaskEvent
from agent.errors import UnavailableError
from agent.state.store import Store, Task

log = structlog.get_logger(part="runner")


class ReportWriter:
    """Owned by the runner's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: list[tuple[str, TaskEvent, bytes, str]] = []

    def progress(
        self, task: Task, value: float, body: dict[str, Any], *, milestone: bool = False, job: JobView | None = None
    ) -> None:
        """A report on the way; the next one makes up for one that could not be written."""
        try:
            self._store.tasks.progress(task.command.task_id, value, report.encode(body), milestone=milestone, job=job)
        except UnavailableError as error:
            log.warning("progress not written down", reason=str(error))

    def end(self, task: Task, event: TaskEvent, body: dict[str, Any], message: str = "") -> None:
        """The task's end and its terminal report, in one transaction, now or as soon as the disk takes it."""
        self._unwritten.append((task.command.task_id, event, report.encode(body), message))
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before."""
        while self._unwritten:
            try:
                self._store.tasks.end(*self._unwritten[0])
            except UnavailableError as error:
                log.warning("a task's end is not written down yet", reason=str(error), waiting=len(self._unwritten))
                return
            del self._unwritten[0]

"""Reports on the way of a task that is no print: how much is done, and what; not more often than [reports] allows."""

from __future__ import annotations

from math import inf

from agent.core import report
from agent.core.driver import Telemetry
from agent.runner.activity import Context
from agent.state.store import Task


class TaskProgress:
    """The runner's thread alone. What nobody was told yet is told by the next `update` that is due."""

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._task = task
        self._reported = task.progress
        self._message = ""
        self._last_report = -inf

    def update(self, telemetry: Telemetry, value: float, message: str) -> None:
        """Queue a report if there is something new and the last one is older than `reports.progress_s`. `value` is 0 to
        1, `message` for a person. Never raises; the next one makes up for one that could not be written."""
        advanced = report.advance(self._reported, value)
        now = self._context.clock.monotonic()
        if (advanced, message) == (self._reported, self._message):
            return
        if now < self._last_report + self._context.config.reports.progress_s:
            return
        self._reported, self._message, self._last_report = advanced, message, now
        body = report.progress(self._task.command, advanced, None, telemetry, message)
        self._context.store.reports.progress(self._task, body, None)
        self._context.wake_reporter()

"""What an activity is: one running command. It is looked at by the runner's loop and never waits itself.

    begin ──▶ step, step, … ──▶ context.complete / context.fail ──▶ ended

An exclusive activity has the printer for itself (a print, a script, a reset, an upgrade): while there is one, another
is refused as busy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from agent.core import report
from agent.core.clock import Clock
from agent.core.command import Command
from agent.core.driver import Driver, Host, Telemetry
from agent.core.job import JobView
from agent.core.task import TaskEvent
from agent.errors import RefusedError
from agent.runner.report_writer import ReportWriter
from agent.service.config import Config
from agent.state.store import Store, Task

log = structlog.get_logger(part="runner")


class Activity(Protocol):
    """One running command."""

    @property
    def task(self) -> Task:
        """The ledger's row."""

    @property
    def exclusive(self) -> bool:
        """Whether it has the printer for itself."""

    @property
    def busy(self) -> str:
        """What the heartbeat says the agent is doing; empty for nothing."""

    @property
    def ended(self) -> bool:
        """Whether the task has its end."""

    def step(self, telemetry: Telemetry) -> None:
        """Look at the printer and go on, or end. Called at every wake-up and at least each second."""

    @property
    def outlives(self) -> bool:
        """Whether the next agent can go on with it: `hand_over` then takes the place of `stop`."""

    def stop(self, reason: str) -> None:
        """The agent goes down: end now, with a terminal report that says so."""

    def hand_over(self) -> None:
        """The agent goes down, and the next one goes on with this."""


class Context(msgspec.Struct, frozen=True):
    """What activities may use. `tell` wakes the reporter; `host.wake` the runner's loop."""

    config: Config
    store: Store
    ledger: ReportWriter
    driver: Driver
    clock: Clock
    jobs: Path  # the folder for files to print
    logs: Callable[[], bytes]  # the agent's recent log, as text
    tell: Callable[[], None]
    host: Host  # what the driver is opened with

    @property
    def wake(self) -> Callable[[], None]:
        """Wakes the runner's loop, from any thread."""
        return self.host.wake

    def complete(self, task: Task, job: JobView | None = None, result: report.Result | None = None) -> None:
        """The task did what it was asked. Never raises; see ReportWriter."""
        self.ledger.end(task, TaskEvent.COMPLETE, report.completed(task.command, job, result or report.Result()))
        log.info("task completed", command=task.command.said, task_id=task.command.task_id)
        self.tell()

    def fail(self, task: Task, code: int, message: str, job: JobView | None = None) -> None:
        """The task was refused or failed. Never raises; see ReportWriter."""
        self.ledger.end(task, TaskEvent.FAIL, report.failed(task.command, code, message, job), message)
        log.warning("task failed", command=task.command.said, task_id=task.command.task_id, code=code, reason=message)
        self.tell()


class Limit:
    """A point in time after which an activity gives up."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    def over(self) -> bool:
        """Whether the time is up."""
        return self._clock.monotonic() >= self._at


def matches(command: Command, job: JobView | None) -> JobView:
    """The job that a job-scoped command means. Raises RefusedError when there is none, or another."""
    if job is None or job.state.ended:
        raise RefusedError(409, f"{command.said}: no job is running")
    if command.job_id and command.job_id != job.job_id:
        raise RefusedError(409, f"{command.said}: job {command.job_id} is not the running one ({job.job_id})")
    return job

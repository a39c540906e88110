"""The interface of a running command, and what it may use. The runner's loop steps it, and it never waits itself.

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
from agent.core.bed import BedEvent
from agent.core.clock import Clock
from agent.core.command import Command
from agent.core.driver import Driver, HeatCurve, Host, Telemetry
from agent.core.job import JobView
from agent.core.report_bodies import FirmwareChange, Result
from agent.core.task import TaskEvent
from agent.errors import RefusedError
from agent.files.kept_files import KeptFiles
from agent.http.http_client import HttpClient
from agent.runner.heat_control import HeatControl
from agent.runner.runner_store import RunnerStore
from agent.service.config import Config
from agent.service.log_sources import LogSources
from agent.service.stop_inhibitor import StopInhibitor
from agent.state.store import Task

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
        """Look at the printer and continue, or end. Called at every wake-up and at least each second."""

    @property
    def outlives(self) -> bool:
        """Whether the next agent can resume it: `hand_over` then takes the place of `stop`."""

    def stop(self, reason: str) -> None:
        """End now, with a terminal report that gives the reason: the agent goes down."""

    def hand_over(self) -> None:
        """Leave it to the next agent: this one goes down."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What activities may use."""

    config: Config
    http: HttpClient
    store: RunnerStore
    driver: Driver
    clock: Clock
    jobs: Path  # the folder for files to print
    kept: KeptFiles
    logs: LogSources
    wake_reporter: Callable[[], None]
    heat: HeatControl
    inhibitor: StopInhibitor
    host: Host  # what the driver is opened with; its `wake` wakes the runner's loop
    printer_status: Callable[..., str]  # (ids of tasks that end now) → the word for the report that tells it

    @property
    def wake(self) -> Callable[[], None]:
        """Wakes the runner's loop, from any thread."""
        return self.host.wake

    def complete(
        self, task: Task, job: JobView | None = None, result: Result | None = None, *, bed: BedEvent = BedEvent.END
    ) -> None:
        """End a task that did what it was asked; `bed` is what that does to the bed. Never raises; see ReportWriter."""
        status = self._status_after(task, job)
        body = report.completed(task.command, job, result or Result(), status)
        self.store.reports.end(task, TaskEvent.COMPLETE, body, bed=bed)
        log.info("task completed", command=task.command.raw_name, **task_keys(task, job))
        self.wake_reporter()

    def fail(
        self,
        task: Task,
        code: int,
        message: str,
        job: JobView | None = None,
        *,
        bed: BedEvent = BedEvent.END,
        heat_curve: HeatCurve | None = None,
        firmware: FirmwareChange | None = None,
    ) -> None:
        """End a task that was refused or failed; `bed` as in `complete`. Never raises; see ReportWriter."""
        status = self._status_after(task, job)
        body = report.failed(
            task.command, code, message, job, printer_status=status, heat_curve=heat_curve, firmware=firmware
        )
        self.store.reports.end(task, TaskEvent.FAIL, body, message, bed=bed)
        log.warning("task failed", command=task.command.raw_name, code=code, error=message, **task_keys(task, job))
        self.wake_reporter()

    def _status_after(self, task: Task, job: JobView | None) -> str:
        """The `printer_status` when this task has ended, and the job with it if that is over."""
        ended_job = [job.task_id] if job is not None and job.state.ended else []
        return self.printer_status(task.command.task_id, *ended_job)


class Deadline:
    """A point in time after which an activity gives up."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    def expired(self) -> bool:
        """Whether the time is up."""
        return self._clock.monotonic() >= self._at


def task_keys(task: Task, job: JobView | None = None) -> dict[str, str]:
    """The keys of a log line about a task: its `task_id`, and `job_id` where it is known."""
    job_id = job.job_id if job is not None else task.command.job_id
    return {"task_id": task.command.task_id, **({"job_id": job_id} if job_id else {})}


def require_running_job(command: Command, job: JobView | None) -> JobView:
    """The job that a job-scoped command means. Raises RefusedError when there is none, or another."""
    if job is None or job.state.ended:
        raise RefusedError(409, f"{command.raw_name}: no job is running")
    if command.job_id and command.job_id != job.job_id:
        raise RefusedError(409, f"{command.raw_name}: job {command.job_id} is not the running one ({job.job_id})")
    return job

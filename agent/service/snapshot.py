"""Snapshot of the agent: the job, the printer's telemetry and what the agent itself is doing.

A latest-value slot that the runner writes and every other thread reads.
"""

from __future__ import annotations

import msgspec

from agent.core import report
from agent.core.driver import Driver, Telemetry
from agent.core.job import JobView
from agent.core.printer_status import AWAITING_BED, printer_state
from agent.core.report_bodies import Heartbeat, SituationData


class Situation(msgspec.Struct, frozen=True):
    """Telemetry, job and the agent's own work at one moment; `busy` names that work (`print_data` while a file is
    fetched, …), empty for none; `bed` is `data.bed`, empty where nobody is asked."""

    telemetry: Telemetry
    job: JobView | None = None
    busy: str = ""
    bed: str = ""

    def change_key(self) -> tuple[object, ...]:
        """What is compared to decide whether the cloud must be told at once."""
        job = self.job
        return (
            printer_state(job, self.telemetry, self.busy),
            self.telemetry.reason,
            self.telemetry.waiting,
            (self.telemetry.prompt, self.telemetry.answered),
            (job.job_id, job.state) if job is not None else None,
            self.busy == AWAITING_BED,
            self.bed,
            job.transfer.partition(" ")[0] if job is not None else "",  # what is done with its file, not how far
        )

    def body(self, condition: str = "", before: SituationData | None = None) -> Heartbeat:
        """The heartbeat's body. `condition` is the first condition raised, for a person; empty for none. `before` is
        the `data` of the heartbeat that the server had last."""
        return report.heartbeat(self.job, self.telemetry, self.busy, condition, bed=self.bed, before=before)


class AgentSnapshot:
    """Holds the latest Situation. `publish` is the runner's; `read` any thread's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._job: JobView | None = None
        self._busy = self._bed = self._busy_task = ""

    def publish(self, job: JobView | None, busy: str, bed: str = "", busy_task: str = "") -> None:
        """Replace the job, the agent's own work with the task whose work it is, and what is told of the bed."""
        self._job, self._busy, self._bed, self._busy_task = job, busy, bed, busy_task

    def printer_status(self, *ending: str) -> str:
        """The `printer_status` now. `ending` are the ids of tasks that end just now: their work is over. Any thread."""
        job = None if self._job is not None and self._job.task_id in ending else self._job
        return printer_state(job, self._driver.telemetry(), "" if self._busy_task in ending else self._busy)

    def log_keys(self, task_id: str) -> dict[str, str]:
        """The keys of a log event about the task: `task_id`, and `job_id` where the job is that task's. Any thread."""
        job = self._job
        return {"task_id": task_id, **({"job_id": job.job_id} if job is not None and job.task_id == task_id else {})}

    def running_job(self) -> str:
        """The id of the job that runs; empty for none."""
        job = self._job
        return job.job_id if job is not None and not job.state.ended else ""

    def read(self) -> Situation:
        """The situation now, with the driver's latest telemetry."""
        return Situation(telemetry=self._driver.telemetry(), job=self._job, busy=self._busy, bed=self._bed)

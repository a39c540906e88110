"""Snapshot of the agent: the job, the printer's telemetry and what the agent itself is doing.

A latest-value slot that the runner writes and every other thread reads.
"""

from __future__ import annotations

import msgspec

from agent.core import report
from agent.core.driver import Driver, Telemetry
from agent.core.job import JobView
from agent.core.printer_status import printer_state
from agent.core.report_bodies import Heartbeat


class Situation(msgspec.Struct, frozen=True):
    """Telemetry, job and the agent's own work at one moment; `busy` names that work (`print_data` while a file is
    fetched, …), empty for none."""

    telemetry: Telemetry
    job: JobView | None = None
    busy: str = ""

    def change_key(self) -> tuple[object, ...]:
        """What is compared to decide whether the cloud must be told at once."""
        job = self.job
        return (
            printer_state(job, self.telemetry, self.busy),
            self.telemetry.reason,
            self.telemetry.waiting,
            (job.job_id, job.state) if job is not None else None,
        )

    def body(self, condition: str = "") -> Heartbeat:
        """The heartbeat's body. `condition` is the first condition raised, for a person; empty for none."""
        return report.heartbeat(self.job, self.telemetry, self.busy, condition)


class AgentSnapshot:
    """Holds the latest Situation. `publish` is the runner's; `read` any thread's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._job: JobView | None = None
        self._busy = ""

    def publish(self, job: JobView | None, busy: str) -> None:
        """Replace the job and the agent's own work."""
        self._job, self._busy = job, busy

    def read(self) -> Situation:
        """The situation now, with the driver's latest telemetry."""
        return Situation(telemetry=self._driver.telemetry(), job=self._job, busy=self._busy)

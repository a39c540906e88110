"""The latest-value slot that the runner writes and everybody else reads: the job, and what the agent itself is doing.

A snapshot is immutable and replaced as a whole, so no reader needs a lock.
"""

from __future__ import annotations

import msgspec

from agent.core import report
from agent.core.driver import Driver, Telemetry
from agent.core.job import JobView


class Situation(msgspec.Struct, frozen=True):
    """What there is to tell. `busy` names the agent's own work (`print_data` while a file is fetched, …)."""

    telemetry: Telemetry
    job: JobView | None = None
    busy: str = ""

    def key(self) -> tuple[object, ...]:
        """What makes the cloud want to know at once when it changes."""
        job = self.job
        return (
            report.printer_state(job, self.telemetry, self.busy),
            self.telemetry.reason,
            self.telemetry.waiting,
            (job.job_id, job.state) if job is not None else None,
        )

    def body(self, trouble: str = "") -> report.Heartbeat:
        """The heartbeat's body. `trouble` is the one thing that is wrong, for a person."""
        return report.heartbeat(self.job, self.telemetry, self.busy, trouble)


class AgentSnapshot:
    """The slot."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._job: JobView | None = None
        self._busy = ""

    def post(self, job: JobView | None, busy: str) -> None:
        """The runner's word."""
        self._job, self._busy = job, busy

    def read(self) -> Situation:
        """The situation now."""
        return Situation(telemetry=self._driver.telemetry(), job=self._job, busy=self._busy)

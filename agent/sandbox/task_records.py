"""Records of tasks, the reports on them, and jobs. All reports on a task are kept, in the order in which they came."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from agent.sandbox.records_file import RecordsFile

Body = dict[str, object]

_ENDED = ("canceled", "completed", "failed")
_NEW_JOB = """INSERT INTO jobs (job_id, printer_id, task_id, status, created, changed, local, member_id)
    VALUES (?1, ?2, ?3, 'sent', ?4, ?4, 0, ?5)"""
_NEW_LOCAL_JOB = """INSERT OR IGNORE INTO jobs (job_id, printer_id, task_id, status, created, changed, local)
    VALUES (?1, ?2, NULL, ?3, ?4, ?4, 1)"""


class SentTask(msgspec.Struct, frozen=True):
    """A command that was sent: `message` is what was published."""

    task_id: str
    printer_id: int
    message: Body


class RecordedReport(msgspec.Struct, frozen=True):
    """One report as it came. `time` is in seconds since the epoch."""

    body: Body
    time: float


class JobRecord(msgspec.Struct, frozen=True):
    """A job's last state. `created` and `changed` are in seconds since the epoch."""

    job_id: str
    printer_id: int
    status: str
    created: float
    changed: float
    local: bool


class TaskRecords:
    """Tasks, reports and jobs in the records file. Any thread may call."""

    def __init__(self, records: RecordsFile) -> None:
        self._records = records

    def add_task(self, printer_id: int, message: Mapping[str, object], now: float, *, job_of: str = "") -> None:
        """Record a command before it is published; with `job_of`, a member's id, also the job that this member starts,
        in state `sent`."""
        task = ("INSERT INTO tasks VALUES (?, ?, ?)", (message["task_id"], printer_id, msgspec.json.encode(message)))
        if not job_of:
            self._records.change(task)
            return
        values = (message["job_id"], printer_id, message["task_id"], now, job_of)
        self._records.change(
            task,
            (_NEW_JOB, values),
        )

    def job_submitter(self, printer_id: int, job_id: str) -> str:
        """Return the member who started the job, without `job_id` the printer's newest that has not ended; empty when
        it is not known."""
        row = self._records.row(
            "SELECT member_id FROM jobs WHERE printer_id = ?1 AND iif(?2 = '', status NOT IN (?3, ?4, ?5), job_id = ?2)"
            " ORDER BY rowid DESC LIMIT 1",
            printer_id,
            job_id,
            *_ENDED,
        )
        return str(row["member_id"]) if row else ""

    def task(self, task_id: str) -> SentTask | None:
        """Return the task, None when it is not known."""
        row = self._records.row("SELECT * FROM tasks WHERE task_id = ?", task_id)
        return SentTask(row["task_id"], row["printer_id"], _decode(row["message"])) if row else None

    def add_report(self, task_id: str, body: Body, now: float, key: str = "") -> bool:
        """Record a report. False, and nothing is recorded, when `key` came before for this task."""
        values = (task_id, msgspec.json.encode(body), now, key or None)
        _, added = self._records.change(
            ("INSERT OR IGNORE INTO reports (task_id, body, time, key) VALUES (?, ?, ?, ?)", values)
        )
        return added == 1

    def reports(self, task_id: str) -> list[RecordedReport]:
        """Return all reports on the task, in order."""
        rows = self._records.rows("SELECT body, time FROM reports WHERE task_id = ? ORDER BY number", task_id)
        return [RecordedReport(_decode(row["body"]), row["time"]) for row in rows]

    def waiting_jobs(self, printer_id: int) -> list[Body]:
        """Return the messages of the printer's jobs that are `sent` and not reported on, the oldest first, each with
        the time at which it was sent."""
        rows = self._records.rows(
            "SELECT tasks.message, jobs.created FROM jobs JOIN tasks USING (task_id)"
            " WHERE jobs.printer_id = ? AND jobs.status = 'sent'"
            " AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.task_id = jobs.task_id)"
            " ORDER BY jobs.rowid",
            printer_id,
        )
        return [_decode(row["message"]) | {"sent_at": row["created"]} for row in rows]

    def update_job(self, printer_id: int, job_id: str, status: str, now: float) -> None:
        """Record a job's state as the printer reported it. A job that has ended stays so: a heartbeat may overtake a
        report. A job that was not sent from here is local when its id says so, otherwise it is not ours to keep."""
        if job_id.startswith("local_"):
            self._records.change(
                (_NEW_LOCAL_JOB, (job_id, printer_id, status, now)),
            )
        moved = (
            "UPDATE jobs SET status = ?1, changed = ?2 WHERE printer_id = ?3 AND job_id = ?4"
            " AND status <> ?1 AND status NOT IN (?5, ?6, ?7)"
        )
        self._records.change((moved, (status, now, printer_id, job_id, *_ENDED)))

    def jobs(self, job_id: str) -> list[JobRecord]:
        """Return the jobs with this id: one, unless two printers started local prints under one name."""
        rows = self._records.rows("SELECT * FROM jobs WHERE job_id = ?", job_id)
        return [_to_job(row) for row in rows]


def _decode(data: bytes) -> Body:
    return msgspec.json.decode(data, type=Body)


def _to_job(row: sqlite3.Row) -> JobRecord:
    return JobRecord(
        row["job_id"], row["printer_id"], row["status"], row["created"], row["changed"], bool(row["local"])
    )

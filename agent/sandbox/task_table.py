"""Tasks, the reports on them, and jobs. The record of a task is all its reports in the order they came, for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from agent.sandbox.records import Database

Body = dict[str, object]

_ENDED = ("canceled", "completed", "failed")


class Task(msgspec.Struct, frozen=True):
    """A command that was sent: `message` is what was published."""

    task_id: str
    printer_id: int
    message: Body


class Report(msgspec.Struct, frozen=True):
    """One report as it came. `time` is in seconds since the epoch."""

    body: Body
    time: float


class Job(msgspec.Struct, frozen=True):
    """A job's last state. `created` and `changed` are in seconds since the epoch."""

    job_id: str
    printer_id: int
    status: str
    created: float
    changed: float
    local: bool


class TaskTable:
    """Any thread may call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_task(self, printer_id: int, message: Mapping[str, object], now: float, *, job: bool = False) -> None:
        """Keep a command before it is published; with `job`, also the job it starts, in state `sent`."""
        task = ("INSERT INTO tasks VALUES (?, ?, ?)", (message["task_id"], printer_id, msgspec.json.encode(message)))
        if not job:
            self._database.change(task)
            return
        values = (message["job_id"], printer_id, message["task_id"], now)
        self._database.change(task, ("INSERT INTO jobs VALUES (?1, ?2, ?3, 'sent', ?4, ?4, 0)", values))

    def task(self, task_id: str) -> Task | None:
        """The task, None when it is not known."""
        row = self._database.row("SELECT * FROM tasks WHERE task_id = ?", task_id)
        return Task(row["task_id"], row["printer_id"], _decode(row["message"])) if row else None

    def add_report(self, task_id: str, body: Body, now: float, key: str = "") -> bool:
        """Record a report. False, and nothing is recorded, when `key` came before for this task."""
        values = (task_id, msgspec.json.encode(body), now, key or None)
        _, added = self._database.change(
            ("INSERT OR IGNORE INTO reports (task_id, body, time, key) VALUES (?, ?, ?, ?)", values)
        )
        return added == 1

    def reports(self, task_id: str) -> list[Report]:
        """All reports on the task, the first first."""
        rows = self._database.rows("SELECT body, time FROM reports WHERE task_id = ? ORDER BY number", task_id)
        return [Report(_decode(row["body"]), row["time"]) for row in rows]

    def waiting_jobs(self, printer_id: int) -> list[Body]:
        """The messages of the printer's jobs that are `sent` and not reported on, the oldest first."""
        rows = self._database.rows(
            "SELECT tasks.message FROM jobs JOIN tasks USING (task_id)"
            " WHERE jobs.printer_id = ? AND jobs.status = 'sent'"
            " AND NOT EXISTS (SELECT 1 FROM reports WHERE reports.task_id = jobs.task_id)"
            " ORDER BY jobs.rowid",
            printer_id,
        )
        return [_decode(row["message"]) for row in rows]

    def job_changed(self, printer_id: int, job_id: str, status: str, now: float) -> None:
        """The printer reported a job's state. A job that has ended stays so: a heartbeat may overtake a report.
        A job that was not sent from here is local when its id says so, otherwise it is not ours to keep."""
        if job_id.startswith("local_"):
            self._database.change(
                (
                    "INSERT OR IGNORE INTO jobs VALUES (?1, ?2, NULL, ?3, ?4, ?4, 1)",
                    (job_id, printer_id, status, now),
                )
            )
        moved = (
            "UPDATE jobs SET status = ?1, changed = ?2 WHERE printer_id = ?3 AND job_id = ?4"
            " AND status <> ?1 AND status NOT IN (?5, ?6, ?7)"
        )
        self._database.change((moved, (status, now, printer_id, job_id, *_ENDED)))

    def jobs(self, job_id: str) -> list[Job]:
        """The jobs with this id: one, unless two printers started local prints under one name."""
        rows = self._database.rows("SELECT * FROM jobs WHERE job_id = ?", job_id)
        return [_to_job(row) for row in rows]


def _decode(data: bytes) -> Body:
    return msgspec.json.decode(data, type=Body)


def _to_job(row: sqlite3.Row) -> Job:
    return Job(row["job_id"], row["printer_id"], row["status"], row["created"], row["changed"], bool(row["local"]))

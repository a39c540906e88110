"""The ledger of tasks: each command that was accepted, its state, and the reports that tell it.

A task and its receipt, a task's end with its terminal report and the removal of its checkpoint, are each one
transaction. What it says of the bed is in it.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from agent.core.bed import BedEvent
from agent.core.command import STOPS, Command, without_payload
from agent.core.job import JobView
from agent.core.report_bodies import Kind
from agent.core.task import TaskEvent, TaskState, advance
from agent.state.bed_table import BedTable
from agent.state.checkpoint import Checkpoints
from agent.state.database import Database
from agent.state.outbox import Outbox
from agent.state.service_time import ServiceTime

_COLUMNS = "rowid, command, state, progress, local, message, boot, mono, received_at, last_kind"
_OLD_TASKS = """DELETE FROM tasks WHERE rowid IN (
    SELECT rowid FROM tasks WHERE lived < ? AND state IN ('completed', 'failed')
    AND task_id NOT IN (SELECT task_id FROM outbox) LIMIT ?)"""


_SURPLUS_TASKS = """DELETE FROM tasks WHERE rowid IN (
    SELECT rowid FROM tasks WHERE state IN ('completed', 'failed')
    AND task_id NOT IN (SELECT task_id FROM outbox) ORDER BY rowid LIMIT ?)"""
_FAT_TASKS = """SELECT task_id FROM tasks
    WHERE state IN ('completed', 'failed') AND length(command) > ? LIMIT ?"""
_STOPS_FIRST = "json_extract(CAST(command AS TEXT), '$.name') IN ({}) DESC, rowid".format(
    ", ".join(f"'{name}'" for name in sorted(STOPS))
)
MESSAGE_TEXT = 500  # characters of why a task failed
ENDED_COMMAND = 2048  # bytes of an ended task's command as JSON; a larger one is of an earlier version


class Task(msgspec.Struct, frozen=True):
    """A row of the ledger. `local` is a task that began at the printer: the cloud has no task to report on."""

    command: Command
    state: TaskState
    progress: float
    local: bool
    message: str = ""  # why it failed
    age: float = 0.0  # seconds since it was sent, as far as is known, else since it was written down
    rebooted: bool = False  # the machine was started anew since it was written down
    last_report: Kind | None = None  # the kind of the report that was queued last
    number: int = 0  # grows in the order in which tasks were written down


class LedgerRow(msgspec.Struct, frozen=True):
    """A task, and when it was written down, in seconds since the epoch by the wall clock."""

    task: Task
    received_at: float


class _Ended(msgspec.Struct, frozen=True):
    """What is read of a terminal report."""

    error_code: int = 0


class TaskTable:
    """The table `tasks`, and what is committed together with a task's state."""

    def __init__(
        self, *, database: Database, time: ServiceTime, outbox: Outbox, checkpoints: Checkpoints, bed: BedTable
    ) -> None:
        self._database = database
        self._time = time
        self._outbox = outbox
        self._checkpoints = checkpoints
        self._bed = bed

    def accept(self, command: Command, receipt: bytes | None, *, local: bool = False) -> bool:
        """Insert a command with its receipt, before anything happens. False when the ledger has it already; the task's
        last report is then queued again, under the key it had."""
        now = self._time.wall()
        row = (command.task_id, msgspec.json.encode(command), TaskState.RECEIVED, local, now, now)
        with self._database.transaction():
            stamps = (self._time.boot, self._time.monotonic(), self._time.elapsed())
            new = self._database.execute(
                "INSERT OR IGNORE INTO tasks"
                " (task_id, command, state, local, received_at, updated_at, boot, mono, lived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row + stamps,
            )
            if not new:
                self._requeue_last_report(command.task_id)
            elif receipt is not None:
                self._queue(command.task_id, Kind.RECEIPT, receipt)
        return bool(new)

    def refuse(self, command: Command, receipt: bytes | None, terminal: bytes, message: str) -> bool:
        """Insert a command that is refused on sight, with its end at once. False as in `accept`."""
        with self._database.transaction():
            if not self.accept(without_payload(command), receipt):
                return False
            self.end(command.task_id, TaskEvent.FAIL, terminal, message)
        return True

    def count(self) -> int:
        """How many tasks the ledger has."""
        return int(self._database.row("SELECT count(*) FROM tasks")[0])

    def get(self, task_id: str) -> Task | None:
        """One task; None for one that the ledger does not have."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM tasks WHERE task_id = ?", task_id)  # noqa: S608 a constant
        return self._task(row) if row else None

    def in_state(self, state: TaskState) -> list[Task]:
        """The tasks in a state, in the order in which they came."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM tasks WHERE state = ? ORDER BY rowid",  # noqa: S608 a constant
            state,
        )
        return [self._task(row) for row in rows]

    def next_received(self, limit: int) -> list[Task]:
        """At most `limit` tasks that nobody has begun: STOPS first, else in the order in which they came."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM tasks WHERE state = ? ORDER BY {_STOPS_FIRST} LIMIT ?",  # noqa: S608 constants
            TaskState.RECEIVED,
            limit,
        )
        return [self._task(row) for row in rows]

    def recent(self, limit: int) -> list[LedgerRow]:
        """The newest `limit` tasks, in the order in which they came."""
        rows = self._database.rows(
            f"SELECT received_at, {_COLUMNS} FROM tasks ORDER BY rowid DESC LIMIT ?",  # noqa: S608 constants
            limit,
        )
        return [LedgerRow(self._task(row), received_at) for received_at, *row in reversed(rows)]

    def start(self, task_id: str) -> None:
        """Set the task running. Raises ValueError unless it was only received."""
        with self._database.transaction():
            self._advance(task_id, TaskEvent.START)

    def progress(
        self, task_id: str, progress: float, body: bytes, *, milestone: bool = False, job: JobView | None = None
    ) -> None:
        """Queue a report on the way, in place of one of this task that is still unsent; nothing takes the place of a
        `milestone`. A task that has ended takes none: its terminal report is the last. `job` updates the checkpoint."""
        with self._database.transaction():
            taken = self._database.execute(
                "UPDATE tasks SET progress = ?, updated_at = ? WHERE task_id = ? AND state NOT IN (?, ?)",
                (progress, self._time.wall(), task_id, TaskState.COMPLETED, TaskState.FAILED),
            )
            if taken:
                self._outbox.remove_progress(task_id)
                self._queue(task_id, Kind.MILESTONE if milestone else Kind.PROGRESS, body)
                if job is not None:
                    self._checkpoints.update(job)

    def has_unsent_progress(self, task_id: str) -> bool:
        """Whether progress of the task waits to be sent, which the next would take the place of."""
        return self._outbox.has_progress(task_id)

    def end(
        self, task_id: str, event: TaskEvent, terminal: bytes, message: str = "", *, bed: BedEvent = BedEvent.END
    ) -> None:
        """End the task, queue its terminal report, remove its checkpoint and do to the bed what BedTable.end_task says,
        in one transaction. Raises ValueError when it had ended."""
        with self._database.transaction():
            self._advance(task_id, event)
            self._database.execute(
                "UPDATE tasks SET progress = 1, message = ?, command = ? WHERE task_id = ?",
                (message[:MESSAGE_TEXT], self._slim_command(task_id), task_id),
            )
            self._outbox.remove_progress(task_id)
            self._queue(task_id, Kind.TERMINAL, terminal)
            self._checkpoints.remove(task_id)
            self._bed.end_task(task_id, bed)

    def error_code(self, task_id: str) -> int:
        """The error_code of the report that ended the task; 0 while it has not failed."""
        row = self._database.row("SELECT state, last_body FROM tasks WHERE task_id = ?", task_id)
        if row is None or TaskState(row[0]) is not TaskState.FAILED or not row[1]:
            return 0
        return msgspec.json.decode(row[1], type=_Ended).error_code

    def remove_old(self, before: float, limit: int) -> int:
        """Delete at most `limit` tasks that ended before that ServiceTime; how many there were. A task whose reports
        still wait stays."""
        with self._database.transaction():
            return self._database.execute(_OLD_TASKS, (before, limit))

    def remove_surplus(self, keep: int, limit: int) -> int:
        """Delete at most `limit` of the oldest ended tasks beyond `keep` rows; how many. A task whose reports still
        wait stays."""
        surplus = min(self.count() - keep, limit)
        if surplus <= 0:
            return 0
        with self._database.transaction():
            return self._database.execute(_SURPLUS_TASKS, (surplus,))

    def slim_ended(self, limit: int) -> int:
        """Cut at most `limit` ended tasks of an earlier version to what is kept of one; how many there were."""
        rows = self._database.rows(_FAT_TASKS, ENDED_COMMAND, limit)
        if not rows:
            return 0
        with self._database.transaction():
            for (task_id,) in rows:
                row = (self._slim_command(task_id), task_id)
                self._database.execute("UPDATE tasks SET command = ? WHERE task_id = ?", row)
        return len(rows)

    # --- inside

    def _slim_command(self, task_id: str) -> bytes:
        (command,) = self._database.row("SELECT command FROM tasks WHERE task_id = ?", task_id)
        return msgspec.json.encode(without_payload(msgspec.json.decode(command, type=Command)))

    def _queue(self, task_id: str, kind: Kind, body: bytes, key: str = "") -> None:
        row = self._database.row("SELECT local FROM tasks WHERE task_id = ?", task_id)
        if row and row[0]:
            if kind is Kind.TERMINAL:  # nobody else hears of it: kept for whoever asks at the printer
                self._database.execute("UPDATE tasks SET last_body = ? WHERE task_id = ?", (body, task_id))
            return
        key = key or str(uuid.uuid4())
        self._database.execute(
            "UPDATE tasks SET last_kind = ?, last_body = ?, last_key = ? WHERE task_id = ?", (kind, body, key, task_id)
        )
        self._outbox.add(task_id, kind, body, key)

    def _requeue_last_report(self, task_id: str) -> None:
        """Queue the task's last report again, unless one of its reports is still waiting."""
        if self._outbox.pending_count(task_id):
            return
        row = self._database.row("SELECT last_kind, last_body, last_key FROM tasks WHERE task_id = ?", task_id)
        if row and row[0]:
            self._queue(task_id, Kind(row[0]), row[1], row[2])

    def _advance(self, task_id: str, event: TaskEvent) -> None:
        row = self._database.row("SELECT state FROM tasks WHERE task_id = ?", task_id)
        if row is None:
            raise ValueError(f"no task {task_id} in the ledger")
        self._database.execute(
            "UPDATE tasks SET state = ?, updated_at = ?, lived = ? WHERE task_id = ?",
            (advance(TaskState(row[0]), event), self._time.wall(), self._time.elapsed(), task_id),
        )

    def _task(self, row: Any) -> Task:
        number, command, state, progress, local, message, boot, monotonic, received_at, last_report = row
        parsed = msgspec.json.decode(command, type=Command)
        return Task(
            command=parsed,
            state=TaskState(state),
            progress=progress,
            local=bool(local),
            message=message,
            age=self._time.age(boot, monotonic, received_at) + parsed.age_on_receipt,
            rebooted=self._time.rebooted(boot),
            last_report=Kind(last_report) if last_report else None,
            number=number,
        )

"""What must survive: one SQLite file with the identity, the ledger of tasks, the outbox and the printer's settings.

WAL with `synchronous=FULL`: what was committed is on the disk. A task and its receipt, a task's end and its terminal
report, are each one transaction (DESIGN: promises 1 and 2). One connection, guarded by a lock, used by all threads:
transactions are a few rows each.

The folder is 0700, the file 0600: it holds the printer's token.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.core.command import Command
from agent.core.ports import Clock
from agent.core.report import Kind
from agent.core.task import TaskEvent, TaskState, advance
from agent.errors import UnavailableError
from agent.schema import migrate

BUSY_TIMEOUT = 5.0  # seconds that another process (a backup, a look with sqlite3) may hold the file


class Identity(msgspec.Struct, frozen=True):
    """Who this printer is at one server. `auth_token` is a secret; `registration_code` is for the person who adds the
    printer to the web portal and has no use once `registered`."""

    server: str
    printer_id: int
    auth_token: str
    registered: bool = False
    registration_code: str = ""
    registration_url: str = ""

    def __repr__(self) -> str:
        return f"Identity(server={self.server!r}, printer_id={self.printer_id}, registered={self.registered})"


class Task(msgspec.Struct, frozen=True):
    """A row of the ledger. `local` is a task that began at the printer: the cloud has no task to report on."""

    command: Command
    state: TaskState
    progress: float
    local: bool
    message: str = ""  # why it failed


class Queued(msgspec.Struct, frozen=True):
    """A row of the outbox. `key` names the report for good: the same on each try."""

    id: int
    task_id: str
    kind: Kind
    body: bytes
    key: str


class Store:
    """The file. Methods raise UnavailableError when the disk does not take a write or give a row; so does making one
    when the file cannot be opened, is no database, or was written by a newer agent."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        try:
            if not path.parent.is_dir():  # one that is there belongs to somebody: its mode is not ours to change
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                migrate(self._db)
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"the state in {path} cannot be used: {error}") from error

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        with self._lock:
            self._db.close()

    # --- identity

    def identity(self, server: str) -> Identity | None:
        """This printer's identity at `server`; a token is never shown to another server."""
        row = self._one("SELECT value FROM identity WHERE server = ?", server)
        return msgspec.json.decode(row[0], type=Identity) if row else None

    def save_identity(self, identity: Identity) -> None:
        """Keep it, in place of what was known for its server."""
        with self._transaction():
            value = msgspec.json.encode(identity)
            self._db.execute("INSERT OR REPLACE INTO identity (server, value) VALUES (?, ?)", (identity.server, value))

    def forget_identity(self, server: str) -> None:
        """The server no longer knows the token."""
        with self._transaction():
            self._db.execute("DELETE FROM identity WHERE server = ?", (server,))

    # --- ledger

    def accept(self, command: Command, receipt: bytes | None, *, local: bool = False) -> bool:
        """Write a command down with its receipt, before anything happens. False when the ledger has it already; the
        task's last report is then queued again, under the key it had."""
        now = self._clock.wall()
        with self._transaction():
            values = (command.task_id, msgspec.json.encode(command), TaskState.RECEIVED, local, now, now)
            made = self._db.execute(
                "INSERT OR IGNORE INTO tasks (task_id, command, state, local, received_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                values,
            ).rowcount
            if not made:
                self._repeat(command.task_id)
            elif receipt is not None:
                self._queue(command.task_id, Kind.RECEIPT, receipt)
        return bool(made)

    def refuse(self, command: Command, receipt: bytes | None, terminal: bytes, message: str) -> bool:
        """A command that is refused on sight: in the ledger, with its end at once. False as in `accept`."""
        with self._transaction():
            if not self.accept(command, receipt):
                return False
            self.end(command.task_id, TaskEvent.FAIL, terminal, message)
        return True

    def task(self, task_id: str) -> Task | None:
        """One task of the ledger."""
        row = self._one(f"SELECT {_TASK} FROM tasks WHERE task_id = ?", task_id)  # noqa: S608 a constant
        return _task(row) if row else None

    def tasks(self, state: TaskState) -> list[Task]:
        """The tasks in a state, in the order in which they came."""
        rows = self._all(f"SELECT {_TASK} FROM tasks WHERE state = ? ORDER BY rowid", state)  # noqa: S608 a constant
        return [_task(row) for row in rows]

    def start(self, task_id: str) -> None:
        """The task runs now. Raises ValueError unless it was only received."""
        with self._transaction():
            self._move(task_id, TaskEvent.START)

    def progress(self, task_id: str, progress: float, body: bytes, *, milestone: bool = False) -> None:
        """A report on the way, in place of one of this task that is still unsent; nothing takes the place of a
        `milestone`. A task that has ended takes none: its terminal report is the last."""
        with self._transaction():
            taken = self._db.execute(
                "UPDATE tasks SET progress = ?, updated_at = ? WHERE task_id = ? AND state NOT IN (?, ?)",
                (progress, self._clock.wall(), task_id, TaskState.COMPLETED, TaskState.FAILED),
            ).rowcount
            if taken:
                self._drop_progress(task_id)
                self._queue(task_id, Kind.MILESTONE if milestone else Kind.PROGRESS, body)

    def end(self, task_id: str, event: TaskEvent, terminal: bytes, message: str = "") -> None:
        """The task's end and the report that tells it, in one transaction. Raises ValueError when it had ended."""
        with self._transaction():
            self._move(task_id, event)
            self._db.execute("UPDATE tasks SET progress = 1, message = ? WHERE task_id = ?", (message, task_id))
            self._drop_progress(task_id)
            self._queue(task_id, Kind.TERMINAL, terminal)

    # --- outbox

    def heads(self, after: int = 0) -> list[Queued]:
        """The oldest unsent report of each task: they are sent in order within a task, tasks beside each other. At
        most 100, those with an id above `after`: the last one's id leads to the next page."""
        rows = self._all(
            "SELECT id, task_id, kind, body, key FROM outbox WHERE id IN"
            " (SELECT min(id) FROM outbox GROUP BY task_id) AND id > ? ORDER BY id LIMIT 100",
            after,
        )
        return [Queued(id=i, task_id=t, kind=Kind(k), body=b, key=key) for i, t, k, b, key in rows]

    def sent(self, report: Queued) -> None:
        """The server took it. A row that was replaced in the meantime stays."""
        with self._transaction():
            self._db.execute("DELETE FROM outbox WHERE id = ?", (report.id,))

    def set_aside(self, report: Queued, status: int, answer: str) -> None:
        """The server will never take it: keep it with the answer, out of the queue."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO refused (task_id, kind, body, key, status, answer, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (report.task_id, report.kind, report.body, report.key, status, answer[:2000], self._clock.wall()),
            )
            self._db.execute("DELETE FROM outbox WHERE id = ?", (report.id,))

    def outbox(self) -> list[dict[str, Any]]:
        """What waits and what was refused, for a person: no bodies, no secrets."""
        waiting = self._all("SELECT task_id, kind FROM outbox ORDER BY id")
        refused = self._all("SELECT task_id, kind, status, answer FROM refused ORDER BY id")
        return [{"task_id": t, "kind": k, "waiting": True} for t, k in waiting] + [
            {"task_id": t, "kind": k, "waiting": False, "status": s, "answer": a} for t, k, s, a in refused
        ]

    # --- settings of the printer

    def settings(self) -> dict[str, Any]:
        """What the `settings` command kept."""
        return {key: msgspec.json.decode(value) for key, value in self._all("SELECT key, value FROM settings")}

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Lay these over what is kept."""
        with self._transaction():
            for key, value in settings.items():
                row = (key, msgspec.json.encode(value))
                self._db.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", row)

    # --- inside

    def _queue(self, task_id: str, kind: Kind, body: bytes, key: str = "") -> None:
        key = key or str(uuid.uuid4())
        local = self._one("SELECT local FROM tasks WHERE task_id = ?", task_id)
        if local and local[0]:
            return
        self._db.execute(
            "UPDATE tasks SET last_kind = ?, last_body = ?, last_key = ? WHERE task_id = ?", (kind, body, key, task_id)
        )
        self._db.execute(
            "INSERT INTO outbox (task_id, kind, body, key) VALUES (?, ?, ?, ?)", (task_id, kind, body, key)
        )

    def _repeat(self, task_id: str) -> None:
        """Queue the task's last report again, unless it is still waiting there."""
        if self._one("SELECT 1 FROM outbox WHERE task_id = ?", task_id):
            return
        row = self._one("SELECT last_kind, last_body, last_key FROM tasks WHERE task_id = ?", task_id)
        if row and row[0]:
            self._queue(task_id, Kind(row[0]), row[1], row[2])

    def _drop_progress(self, task_id: str) -> None:
        self._db.execute("DELETE FROM outbox WHERE task_id = ? AND kind = ?", (task_id, Kind.PROGRESS))

    def _move(self, task_id: str, event: TaskEvent) -> None:
        row = self._one("SELECT state FROM tasks WHERE task_id = ?", task_id)
        if row is None:
            raise ValueError(f"no task {task_id} in the ledger")
        state = advance(TaskState(row[0]), event)
        self._db.execute(
            "UPDATE tasks SET state = ?, updated_at = ? WHERE task_id = ?", (state, self._clock.wall(), task_id)
        )

    def _one(self, sql: str, *values: object) -> Any:
        return next(iter(self._all(sql, *values)), None)

    def _all(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            raise UnavailableError(f"the state folder does not give a row: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; one inside another joins it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                self._db.rollback()
                if isinstance(error, sqlite3.OperationalError):
                    raise UnavailableError(f"the state folder does not take a write: {error}") from error
                raise


_TASK = "command, state, progress, local, message"


def _task(row: Any) -> Task:
    command, state, progress, local, message = row
    return Task(
        command=msgspec.json.decode(command, type=Command),
        state=TaskState(state),
        progress=progress,
        local=bool(local),
        message=message,
    )

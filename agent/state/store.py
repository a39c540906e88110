"""What must survive: one SQLite file with the identity, the ledger of tasks, the outbox and the printer's settings.

A task and its receipt, a task's end and its terminal report, are each one transaction (promises 1 and 2 of the
design). The folder is 0700, the files 0600: they hold the printer's token.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.core.clock import Clock
from agent.core.command import Command
from agent.core.job import JobView
from agent.core.report import Kind
from agent.core.task import TaskEvent, TaskState, advance
from agent.state.checkpoint import Checkpoint, Checkpoints, FileMark
from agent.state.identity import Identity, IdentityFile, decode
from agent.state.outbox import Outbox, Queued

__all__ = ["Checkpoint", "FileMark", "Identity", "Queued", "Store", "Task"]

KEEP = 30 * 86400.0  # seconds of running for which ended tasks and refused reports are kept
TIDY_EVERY = 3600.0  # seconds
AT_A_TIME = 200  # rows that one transaction of the tidying removes


class Task(msgspec.Struct, frozen=True):
    """A row of the ledger. `local` is a task that began at the printer: the cloud has no task to report on."""

    command: Command
    state: TaskState
    progress: float
    local: bool
    message: str = ""  # why it failed
    age: float = 0.0  # seconds since it was written down
    told: Kind | None = None  # the last report that was queued


class Store(Outbox, Checkpoints):
    """The file's contents; see Database for what is raised when."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        boot: str = "",
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(path, clock, boot=boot, on_trouble=on_trouble)
        self._copy = IdentityFile(path.with_name("identity.json"))
        self._next_tidy = clock.monotonic()
        self._restore_identity()

    # --- identity

    def identity(self, server: str) -> Identity | None:
        """This printer's identity at `server`; a token is never shown to another server."""
        row = self._one("SELECT value FROM identity WHERE server = ?", server)
        return decode(row[0]) if row else None

    def can_keep(self) -> None:
        """Raises UnavailableError unless the disk takes a write now: a new printer is only asked for when it can be
        kept, or each try would make another one."""
        self._note_lived()

    def save_identity(self, identity: Identity) -> None:
        """Keep it, in place of what was known for its server."""
        with self._transaction():
            self._put_identity(identity)
        self._save_copy()

    def forget_identity(self, server: str) -> None:
        """The server no longer knows the token."""
        with self._transaction():
            self._db.execute("DELETE FROM identity WHERE server = ?", (server,))
        self._save_copy()

    def _restore_identity(self) -> None:
        """Take from the copy what the database does not have, or has in no readable form: it may be a new one."""
        rows = self._all("SELECT server, value FROM identity")
        broken = [server for server, value in rows if decode(value) is None]
        missing = [one for one in self._copy.load() if one.server in broken or one.server not in dict(rows)]
        if broken or missing:
            with self._transaction():
                self._db.executemany("DELETE FROM identity WHERE server = ?", [(server,) for server in broken])
                for identity in missing:
                    self._put_identity(identity)

    def _put_identity(self, identity: Identity) -> None:
        row = (identity.server, msgspec.json.encode(identity))
        self._db.execute("INSERT OR REPLACE INTO identity (server, value) VALUES (?, ?)", row)

    def _save_copy(self) -> None:
        found = [decode(row[0]) for row in self._all("SELECT value FROM identity ORDER BY server")]
        self._copy.save([identity for identity in found if identity is not None])

    # --- ledger

    def accept(self, command: Command, receipt: bytes | None, *, local: bool = False) -> bool:
        """Write a command down with its receipt, before anything happens. False when the ledger has it already; the
        task's last report is then queued again, under the key it had."""
        now = self._clock.wall()
        with self._transaction():
            values = (command.task_id, msgspec.json.encode(command), TaskState.RECEIVED, local, now, now)
            when = (self._boot, self._clock.monotonic(), self._now_lived())
            made = self._db.execute(
                "INSERT OR IGNORE INTO tasks"
                " (task_id, command, state, local, received_at, updated_at, boot, mono, lived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values + when,
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
        return self._task(row) if row else None

    def tasks(self, state: TaskState) -> list[Task]:
        """The tasks in a state, in the order in which they came."""
        rows = self._all(f"SELECT {_TASK} FROM tasks WHERE state = ? ORDER BY rowid", state)  # noqa: S608 a constant
        return [self._task(row) for row in rows]

    def start(self, task_id: str) -> None:
        """The task runs now. Raises ValueError unless it was only received."""
        with self._transaction():
            self._move(task_id, TaskEvent.START)

    def progress(
        self, task_id: str, progress: float, body: bytes, *, milestone: bool = False, job: JobView | None = None
    ) -> None:
        """A report on the way, in place of one of this task that is still unsent; nothing takes the place of a
        `milestone`. A task that has ended takes none: its terminal report is the last. `job` is what it tells of, kept
        for the next agent."""
        with self._transaction():
            taken = self._db.execute(
                "UPDATE tasks SET progress = ?, updated_at = ? WHERE task_id = ? AND state NOT IN (?, ?)",
                (progress, self._clock.wall(), task_id, TaskState.COMPLETED, TaskState.FAILED),
            ).rowcount
            if taken:
                self._drop_progress(task_id)
                self._queue(task_id, Kind.MILESTONE if milestone else Kind.PROGRESS, body)
                if job is not None:
                    self._note_place(job)

    def end(self, task_id: str, event: TaskEvent, terminal: bytes, message: str = "") -> None:
        """The task's end and the report that tells it, in one transaction. Raises ValueError when it had ended."""
        with self._transaction():
            self._move(task_id, event)
            self._db.execute("UPDATE tasks SET progress = 1, message = ? WHERE task_id = ?", (message, task_id))
            self._drop_progress(task_id)
            self._queue(task_id, Kind.TERMINAL, terminal)
            self._drop_checkpoint(task_id)

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

    # --- housekeeping

    def tidy(self) -> None:
        """Once an hour: note how long agents have run, and remove what has ended or was refused KEEP seconds of running
        ago. What still waits to be sent stays, with its task."""
        now = self._clock.monotonic()
        if now < self._next_tidy:
            return
        self._next_tidy = now + TIDY_EVERY
        self._note_lived()
        before = self._now_lived() - KEEP
        for sql in (_OLD_TASKS, _OLD_REFUSED):
            removed = AT_A_TIME
            while removed == AT_A_TIME:
                with self._transaction():
                    removed = self._db.execute(sql, (before, AT_A_TIME)).rowcount

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
        if self._one(f"SELECT 1 FROM outbox WHERE task_id = ? AND {self._untaken()}", task_id):  # noqa: S608
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
            "UPDATE tasks SET state = ?, updated_at = ?, lived = ? WHERE task_id = ?",
            (state, self._clock.wall(), self._now_lived(), task_id),
        )

    def _task(self, row: Any) -> Task:
        command, state, progress, local, message, boot, mono, received_at, told = row
        return Task(
            command=msgspec.json.decode(command, type=Command),
            state=TaskState(state),
            progress=progress,
            local=bool(local),
            message=message,
            age=self._age(boot, mono, received_at),
            told=Kind(told) if told else None,
        )


_TASK = "command, state, progress, local, message, boot, mono, received_at, last_kind"
_OLD_TASKS = """DELETE FROM tasks WHERE rowid IN (
    SELECT rowid FROM tasks WHERE lived < ? AND state IN ('completed', 'failed')
    AND task_id NOT IN (SELECT task_id FROM outbox) LIMIT ?)"""
_OLD_REFUSED = "DELETE FROM refused WHERE id IN (SELECT id FROM refused WHERE lived < ? LIMIT ?)"

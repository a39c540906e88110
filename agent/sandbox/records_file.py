"""SQLite file of the local cloud's records: one file, one connection, one lock.

A folder made here is for this user alone (0700), one that was there keeps its mode; the files are 0600 in either case.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from agent.errors import UnavailableError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS members (member_id TEXT PRIMARY KEY, token TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS printers (
    printer_id INTEGER PRIMARY KEY AUTOINCREMENT, token_hash TEXT NOT NULL UNIQUE, code TEXT UNIQUE,
    firmware TEXT NOT NULL, type_id TEXT NOT NULL, serial_number TEXT NOT NULL,
    last_seen REAL, last_state TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS owners (
    printer_id INTEGER NOT NULL REFERENCES printers, member_id TEXT NOT NULL REFERENCES members,
    name TEXT NOT NULL, registered_at REAL NOT NULL, is_primary INTEGER NOT NULL,
    PRIMARY KEY (printer_id, member_id));
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY, printer_id INTEGER NOT NULL REFERENCES printers, message BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks, body BLOB NOT NULL,
    time REAL NOT NULL, key TEXT, UNIQUE (task_id, key));
CREATE INDEX IF NOT EXISTS reports_of_task ON reports (task_id, number);
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT NOT NULL, printer_id INTEGER NOT NULL REFERENCES printers, task_id TEXT,
    status TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL, local INTEGER NOT NULL,
    PRIMARY KEY (printer_id, job_id));
CREATE TABLE IF NOT EXISTS uploads (key TEXT PRIMARY KEY, printer_id INTEGER NOT NULL REFERENCES printers);
"""


_ADDED = (
    ("owners", "is_printer_scoped", "INTEGER NOT NULL DEFAULT 0"),
    ("owners", "is_job_scoped", "INTEGER NOT NULL DEFAULT 1"),
    ("jobs", "member_id", "TEXT NOT NULL DEFAULT ''"),
)
"""Columns that the tables of an earlier version do not have: table, name, type."""


class RecordsFile:
    """The records file. Each call is one transaction; any thread may call. The file is locked for this process alone.

    Raises UnavailableError when the folder cannot be used or another sandbox uses it."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        path = folder / "sandbox.sqlite3"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)  # SQLite gives its other files the same mode
        except OSError as error:
            raise UnavailableError(f"the sandbox's state folder {folder} cannot be used: {error.strerror}") from error
        self._connection = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(_SCHEMA)
            self._add_columns()
        except sqlite3.Error as error:
            self._connection.close()
            raise UnavailableError(f"{path} cannot be used, or another sandbox uses it: {error}") from error

    def _add_columns(self) -> None:
        for table, name, kind in _ADDED:
            known = [row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")]
            if name not in known:
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def rows(self, sql: str, *values: object) -> Sequence[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query, None when there is none."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def change(self, *statements: tuple[str, tuple[object, ...]]) -> tuple[int, int]:
        """Run `statements` in one transaction: all or nothing. Returns the last one's new row number and count of
        rows."""
        with self._lock, self._connection:
            for sql, values in statements:
                cursor = self._connection.execute(sql, values)
        return cursor.lastrowid or 0, cursor.rowcount

    def close(self) -> None:
        """Close the file. Calls after it raise sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()

"""The store: one SQLite file with the ledger of tasks, the outbox, checkpoints, the identity, the
settings and the installed firmware.

A transaction that spans parts (a task and its receipt; a task's end, its terminal report and its checkpoint's removal)
is one transaction of the one Database: the parts' own transactions join it. The folder is 0700, the files 0600: they
hold the printer's token.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.core.clock import Clock
from agent.errors import UnavailableError
from agent.state.checkpoint import Checkpoint, Checkpoints, FileMark
from agent.state.database import Database
from agent.state.firmware_table import FirmwareTable
from agent.state.identity import Identity, IdentityFile, IdentityTable
from agent.state.outbox import Outbox, Queued
from agent.state.service_time import ServiceTime
from agent.state.settings_table import SettingsTable
from agent.state.task_table import Task, TaskTable

__all__ = ["Checkpoint", "FileMark", "Identity", "Queued", "Store", "Task"]

KEEP = 30 * 86400.0  # seconds of running for which ended tasks and refused reports are kept
TIDY_EVERY = 3600.0  # seconds
AT_A_TIME = 200  # rows that one transaction of the tidying removes


class Store:
    """The parts of the store, each over its tables of one Database. `boot` names the machine's boot; see Database for
    `on_trouble` and for what is raised when."""

    def __init__(self, path: Path, clock: Clock, *, boot: str, on_trouble: Callable[[str], None]) -> None:
        self.database = Database(path, clock, on_trouble=on_trouble)
        self._time = ServiceTime(self.database, clock, boot)
        self.outbox = Outbox(self.database, self._time)
        self.checkpoints = Checkpoints(self.database, self._time)
        self.tasks = TaskTable(self.database, self._time, self.outbox, self.checkpoints)
        self.identities = IdentityTable(self.database, self._time, IdentityFile(path.with_name("identity.json")))
        self.settings = SettingsTable(self.database)
        self.firmware = FirmwareTable(self.database, self._time)
        self._next_tidy = self._time.monotonic()

    def close(self) -> None:
        """Save how long agents have run, and close the file. Idempotent."""
        with suppress(UnavailableError, sqlite3.ProgrammingError):  # a full disk, or closed already
            self._time.save()
        self.database.close()

    def tidy(self) -> None:
        """Once an hour: save how long agents have run, and delete what has ended or was refused KEEP seconds of running
        ago. What still waits to be sent stays, with its task."""
        now = self._time.monotonic()
        if now < self._next_tidy:
            return
        self._next_tidy = now + TIDY_EVERY
        self._time.save()
        before = self._time.elapsed() - KEEP
        for remove in (self.tasks.remove_old, self.outbox.remove_old_refused):
            while remove(before, AT_A_TIME) == AT_A_TIME:
                pass

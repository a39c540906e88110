"""The store: one SQLite file with the ledger of tasks, the outbox, checkpoints, the bed, the record of heat that may be
on, the identity, the settings and the installed firmware.

A transaction that spans parts (a task and its receipt; a task's end, its terminal report and its checkpoint's removal)
is one transaction of the one Database: the parts' own transactions join it. The folder is 0700, the files 0600: they
hold the printer's token.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from agent.core.clock import Clock
from agent.errors import UnavailableError
from agent.state.bed_table import BedTable
from agent.state.checkpoint import Checkpoint, Checkpoints, FileMark
from agent.state.database import Database
from agent.state.firmware_table import FirmwareTable
from agent.state.heat_table import HeatTable
from agent.state.identity import Identity, IdentityFile, IdentityTable
from agent.state.outbox import Outbox, Queued
from agent.state.service_time import ServiceTime
from agent.state.settings_table import SettingsTable
from agent.state.task_table import Task, TaskTable

log = structlog.get_logger(part="store")

__all__ = ["Checkpoint", "FileMark", "Identity", "Queued", "Store", "Task"]

KEEP = 30 * 86400.0  # seconds of running for which ended tasks and refused reports are kept
KEEP_TASKS = 2000  # rows of the ledger, beside those that run or whose reports wait; the oldest ended go first
KEEP_REFUSED = 500  # reports that the server refused
TIDY_EVERY = 3600.0  # seconds
TRIM_EVERY = 10.0  # seconds between two looks at the number of rows
AT_A_TIME = 100  # rows that one transaction of the tidying removes
SHRINK_ABOVE = 16 << 20  # bytes of free pages at the start from which the file is written anew


class Store:
    """The parts of the store, each over its tables of one Database. `boot` names the machine's boot; see Database for
    `on_trouble` and for what is raised when."""

    def __init__(self, path: Path, clock: Clock, *, boot: str, on_trouble: Callable[[str], None]) -> None:
        self.database = Database(path, clock, on_trouble=on_trouble)
        self._time = ServiceTime(self.database, clock, boot)
        self.outbox = Outbox(self.database, self._time)
        self.bed = BedTable(self.database, self._time)
        self.checkpoints = Checkpoints(self.database, self._time, self.bed)
        self.tasks = TaskTable(
            database=self.database,
            time=self._time,
            outbox=self.outbox,
            checkpoints=self.checkpoints,
            bed=self.bed,
        )
        self.identities = IdentityTable(self.database, self._time, IdentityFile(path.with_name("identity.json")))
        self.settings = SettingsTable(self.database)
        self.firmware = FirmwareTable(self.database, self._time)
        self.heat = HeatTable(self.database, self._time)
        self._next_tidy = self._next_trim = self._time.monotonic()
        self._reduce()

    def elapsed(self) -> float:
        """Seconds that agents have run on this state, whatever the wall clock says."""
        return self._time.elapsed()

    def close(self) -> None:
        """Save how long agents have run, and close the file. Idempotent."""
        with suppress(UnavailableError, sqlite3.ProgrammingError):  # a full disk, or closed already
            self._time.save()
        self.database.close()

    def tidy(self) -> None:
        """Every TRIM_EVERY seconds delete the oldest of what has ended beyond KEEP_TASKS and KEEP_REFUSED rows. Once an
        hour save how long agents have run, and delete what has ended or was refused KEEP seconds of running ago. What
        still waits to be sent stays, with its task. Each transaction is a few rows."""
        now = self._time.monotonic()
        if now >= self._next_trim:
            self._next_trim = now + TRIM_EVERY
            self._trim()
        if now < self._next_tidy:
            return
        self._next_tidy = now + TIDY_EVERY
        self._time.save()
        before = self._time.elapsed() - KEEP
        for remove in (self.tasks.remove_old, self.outbox.remove_old_refused):
            while remove(before, AT_A_TIME) == AT_A_TIME:
                pass

    def _trim(self) -> None:
        for remove, keep in (
            (self.tasks.remove_surplus, KEEP_TASKS),
            (self.outbox.remove_surplus_refused, KEEP_REFUSED),
        ):
            while remove(keep, AT_A_TIME) == AT_A_TIME:
                pass

    def _reduce(self) -> None:
        """Bring the state of an earlier version, which had no bounds, within them. A disk that does not take that must
        not keep the agent from starting."""
        try:
            self._trim()
            for remove in (self.settings.remove_unusable, self.tasks.slim_ended):
                while remove(AT_A_TIME) == AT_A_TIME:
                    pass
            self.database.shrink(SHRINK_ABOVE)
        except UnavailableError as error:
            log.warning("stored state not reduced", error=str(error))

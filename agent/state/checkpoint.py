"""The checkpoint of a print, from which the next agent resumes it: one row a job, from its beginning to its end.

It is written when the print begins and when the driver has something to remember; position and state are updated in
the transaction of each progress report. No write is made for the checkpoint alone after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.core.bed import BedPolicy
from agent.core.job import JobView
from agent.errors import UnavailableError
from agent.state.bed_table import BedTable
from agent.state.database import Database
from agent.state.service_time import ServiceTime


class FileMark(msgspec.Struct, frozen=True):
    """Identity of the printed file: its content by `size` (bytes) and `sha256` (hexadecimal, empty where it was not
    computed), and its inode and modification time (stat(2)), which spare reading all of it."""

    size: int = -1
    sha256: str = ""
    dev: int = 0
    inode: int = 0
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: Path, sha256: str) -> FileMark:
        """Make the mark of the file at `path`. Raises OSError."""
        stat = path.lstat()
        return cls(stat.st_size, sha256, stat.st_dev, stat.st_ino, stat.st_mtime_ns)


class Checkpoint(msgspec.Struct, frozen=True):
    """Checkpoint of a print that has begun. `job` is as it was reported last, `memory` the driver's own."""

    job: JobView
    file: FileMark
    preamble: tuple[str, ...] = ()
    memory: bytes = b""


class Checkpoints:
    """The table `checkpoints`: the prints that a next agent can take over."""

    def __init__(self, database: Database, time: ServiceTime, bed: BedTable) -> None:
        self._database = database
        self._time = time
        self._bed = bed

    def begin(self, job: JobView, file: FileMark, preamble: Sequence[str], policy: BedPolicy) -> None:
        """Write the row of a print that is about to begin, which takes the bed; nothing has moved yet. Raises
        RefusedError for a bed that must be confirmed clear first."""
        row = (job.task_id, *(msgspec.json.encode(part) for part in (job, file, preamble)), self._time.wall())
        with self._database.transaction():
            self._bed.begin(job.task_id, job.job_id, policy)
            self._database.execute(
                "INSERT OR REPLACE INTO checkpoints (task_id, job, file, preamble, updated_at) VALUES (?, ?, ?, ?, ?)",
                row,
            )

    def remember(self, task_id: str, memory: bytes) -> None:
        """Keep what the driver will need to recover the print; any thread. On the disk when this returns.

        Raises UnavailableError also for a print that has not begun or has ended."""
        with self._database.transaction():
            kept = self._database.execute(
                "UPDATE checkpoints SET memory = ?, updated_at = ? WHERE task_id = ?",
                (memory, self._time.wall(), task_id),
            )
        if not kept:
            raise UnavailableError(f"print {task_id} is not under way in the ledger")

    def get(self, task_id: str) -> Checkpoint | None:
        """The checkpoint of a print; None for one that has not begun, or has ended."""
        row = self._database.row("SELECT job, file, preamble, memory FROM checkpoints WHERE task_id = ?", task_id)
        if row is None:
            return None
        return Checkpoint(
            job=msgspec.json.decode(row[0], type=JobView),
            file=msgspec.json.decode(row[1], type=FileMark),
            preamble=msgspec.json.decode(row[2], type=tuple[str, ...]),
            memory=bytes(row[3]),
        )

    # --- inside the transaction of a task

    def update(self, job: JobView) -> None:
        """Note the position and state that a report tells."""
        row = (msgspec.json.encode(job), self._time.wall(), job.task_id)
        self._database.execute("UPDATE checkpoints SET job = ?, updated_at = ? WHERE task_id = ?", row)

    def remove(self, task_id: str) -> None:
        """Delete the row of a print that has ended."""
        self._database.execute("DELETE FROM checkpoints WHERE task_id = ?", (task_id,))

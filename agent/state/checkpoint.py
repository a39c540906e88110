"""What the next agent must know to go on with a print: one row a job, from its beginning to its end.

It is written when the print begins and when the driver has something to remember; the place and the state ride along
with each report on the way. No write is made for its sake alone after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.core.job import JobView
from agent.errors import UnavailableError
from agent.state.database import Database


class FileMark(msgspec.Struct, frozen=True):
    """Which file is printed: its content by `size` (bytes) and `sha256` (hexadecimal, empty where nobody has reckoned
    it), and what a look at the folder tells (stat(2)), which spares reading all of it."""

    size: int = -1
    sha256: str = ""
    dev: int = 0
    inode: int = 0
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: Path, sha256: str) -> FileMark:
        """The mark of the file at `path`. Raises OSError."""
        found = path.lstat()
        return cls(found.st_size, sha256, found.st_dev, found.st_ino, found.st_mtime_ns)


class Checkpoint(msgspec.Struct, frozen=True):
    """A print that has begun. `job` is as it was reported last, `memory` the driver's own."""

    job: JobView
    file: FileMark
    preamble: tuple[str, ...] = ()
    memory: bytes = b""


class Checkpoints(Database):
    """The part of the store that lets prints outlive an agent."""

    def begin_print(self, job: JobView, file: FileMark, preamble: Sequence[str]) -> None:
        """The print is about to begin; nothing has moved yet."""
        row = (job.task_id, *(msgspec.json.encode(part) for part in (job, file, preamble)), self._clock.wall())
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoints (task_id, job, file, preamble, updated_at) VALUES (?, ?, ?, ?, ?)",
                row,
            )

    def remember(self, task_id: str, memory: bytes) -> None:
        """Keep what the driver will need to take the print over; any thread. On the disk when this returns.

        Raises UnavailableError also for a print that has not begun or has ended."""
        with self._transaction():
            kept = self._db.execute(
                "UPDATE checkpoints SET memory = ?, updated_at = ? WHERE task_id = ?",
                (memory, self._clock.wall(), task_id),
            ).rowcount
        if not kept:
            raise UnavailableError(f"print {task_id} is not under way in the ledger")

    def checkpoint(self, task_id: str) -> Checkpoint | None:
        """What is known of a print; None for one that has not begun, or has ended."""
        row = self._one("SELECT job, file, preamble, memory FROM checkpoints WHERE task_id = ?", task_id)
        if row is None:
            return None
        return Checkpoint(
            job=msgspec.json.decode(row[0], type=JobView),
            file=msgspec.json.decode(row[1], type=FileMark),
            preamble=msgspec.json.decode(row[2], type=tuple[str, ...]),
            memory=bytes(row[3]),
        )

    def _note_place(self, job: JobView) -> None:
        """Inside the caller's transaction: where the print is."""
        row = (msgspec.json.encode(job), self._clock.wall(), job.task_id)
        self._db.execute("UPDATE checkpoints SET job = ?, updated_at = ? WHERE task_id = ?", row)

    def _drop_checkpoint(self, task_id: str) -> None:
        """Inside the caller's transaction: the print has ended."""
        self._db.execute("DELETE FROM checkpoints WHERE task_id = ?", (task_id,))

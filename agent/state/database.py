"""The SQLite file under the store: opening, transactions, reserved disk space, replacement of a damaged file.

WAL with `synchronous=FULL`: what was committed is on the disk. One connection, guarded by a lock, used by all threads:
transactions are a few rows each.

A full disk. RESERVE bytes of free pages are in the file from the first start on, and the log keeps its size: it is
reused from its beginning, and not removed at the end, because a read-only connection, which cannot remove it, is closed
last. So a commit needs no new block of the disk. What a start needs beside that, the shared-memory index, comes out of
a small file that is given up when the disk is full.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from agent.core.clock import Clock
from agent.errors import UnavailableError
from agent.state.schema import migrate

log = structlog.get_logger(part="store")

BUSY_TIMEOUT = 5.0  # seconds that another process (a backup, a look with sqlite3) may hold the file
RESERVE = 1 << 20  # bytes of free pages in the file, and about the log's size
CHECKPOINT = 200  # pages in the log when they are moved into the file; the reserve made it longer than that
CACHE = 512  # KiB of the file that are kept in memory
SPARE = 256 << 10  # bytes of the file that is given up for a start on a full disk
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """The SQLite file and its transactions. Methods raise UnavailableError when the disk does not take a write or give
    a row; so does the constructor when the file cannot be opened or was written by a newer agent. `on_trouble` is
    called with the reason why a write failed, and with "" when one works. `damaged` is where a damaged file was put at
    this start."""

    def __init__(self, path: Path, clock: Clock, *, on_trouble: Callable[[str], None]) -> None:
        self.path = self._path = path
        self._clock = clock
        self._on_trouble = on_trouble
        self._lock = threading.RLock()
        self._before_commit: list[Callable[[], None]] = []
        self._after_commit: list[Callable[[], None]] = []
        self._spare = path.with_name(path.name + ".spare")
        self.damaged: Path | None = None
        try:
            if not path.parent.is_dir():  # one that is there belongs to somebody: its mode is not ours to change
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._db, self._keeper = self._open_or_replace()
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"the state in {path} cannot be used: {error}") from error
        self._reserve_space()

    def close(self) -> None:
        """Move the log into the file and close both; the log keeps its place on the disk."""
        with self._lock:
            with suppress(sqlite3.Error):  # a full disk, or closed already
                self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            self._db.close()
            self._keeper.close()

    # --- statements

    def row(self, sql: str, *values: object) -> Any:
        """The first row of a SELECT; None without one."""
        return next(iter(self.rows(sql, *values)), None)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """All rows of a SELECT."""
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is_ours(error):
                raise
            raise UnavailableError(f"the state folder does not give a row: {error}") from error

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement within `transaction`; the number of rows that it changed. Raises sqlite3.DatabaseError,
        which the transaction turns into UnavailableError."""
        with self._lock:
            return self._db.execute(sql, values).rowcount

    def locked(self) -> AbstractContextManager[object]:
        """Keep other threads out, so that several SELECTs see the same rows."""
        return self._lock

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction, all or nothing; one inside another joins it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                for hook in self._before_commit:
                    hook()
                self._db.execute("COMMIT")
            except BaseException as error:
                self._db.rollback()
                if isinstance(error, sqlite3.DatabaseError) and not _is_ours(error):
                    self._on_trouble(str(error))
                    raise UnavailableError(f"the state folder does not take a write: {error}") from error
                raise
            for hook in self._after_commit:
                hook()
            self._on_trouble("")

    def on_commit(self, *, before: Callable[[], None], after: Callable[[], None]) -> None:
        """Call `before` at the end of each transaction, inside it, and `after` once it is on the disk; under the lock,
        in the order in which they were added."""
        self._before_commit.append(before)
        self._after_commit.append(after)

    def shrink(self, above: int) -> None:
        """Write the file anew, without its free pages, when those are more than `above` bytes; the reserve is made
        again. A disk without room for that is only logged."""
        with self._lock:
            (free,), (size,) = self.row("PRAGMA freelist_count"), self.row("PRAGMA page_size")
            if free * size <= above:
                return
            try:
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError as error:
                log.warning("database not shrunk", error=str(error))
        self._reserve_space()

    # --- opening

    def _open_or_replace(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """Open the file; on a full disk give up the spare file first; put a new file in place of a damaged one."""
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED:
                self._replace_damaged(error)
            elif not (code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and self._spare.exists()):
                raise
            self._spare.unlink(missing_ok=True)
            return self._open()

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT}")
            db.execute(f"PRAGMA cache_size=-{CACHE}")
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                error = sqlite3.DatabaseError(verdict)
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
            db.execute("BEGIN IMMEDIATE")
            migrate(db)
            db.execute("COMMIT")
            keeper = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            keeper.execute("SELECT count(*) FROM meta").fetchall()  # only now it holds on to the log
        except BaseException:
            db.close()
            raise
        return db, keeper

    def _replace_damaged(self, error: sqlite3.Error) -> None:
        """Rename the damaged file, which is kept for analysis, and begin a new one."""
        stamp = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        target = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        number = 1
        while target.exists():
            number += 1
            target = self._path.with_name(f"{self._path.name}.damaged-{stamp}-{number}")
        self._path.rename(target)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).rename(target.with_name(target.name + suffix))
        self._path.touch(mode=0o600)
        self.damaged = target
        log.error(
            "damaged database replaced",  # unsent reports and the tasks are in that file
            file=str(target),
            error=str(error),
        )

    def _reserve_space(self) -> None:
        """Grow the file by RESERVE bytes of free pages, once. A disk that is full already is only logged."""
        with self._lock:
            try:
                (free,), (size,) = self.row("PRAGMA freelist_count"), self.row("PRAGMA page_size")
                if free * size < RESERVE // 2:
                    self._db.execute("DROP TABLE IF EXISTS reserve")  # left by a start that was cut off here
                    self._db.execute("CREATE TABLE reserve (space BLOB)")
                    self._db.execute("INSERT INTO reserve VALUES (zeroblob(?))", (RESERVE,))
                    self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
                    self._db.execute("DROP TABLE reserve")
                self._make_spare()
            except (sqlite3.OperationalError, OSError) as error:
                log.warning("disk space not reserved", error=str(error))
                with suppress(sqlite3.OperationalError):
                    self._db.execute("DROP TABLE IF EXISTS reserve")

    def _make_spare(self) -> None:
        if self._spare.exists() and self._spare.stat().st_size == SPARE:
            return
        fd = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, SPARE)
        except OSError:
            self._spare.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)


def _is_ours(error: sqlite3.DatabaseError) -> bool:
    """Whether it is a defect of the program rather than the disk's or the file's."""
    return isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError)

"""The SQLite file under the store: opened, kept usable on a full disk, set aside when it is damaged.

WAL with `synchronous=FULL`: what was committed is on the disk. One connection, guarded by a lock, used by all threads:
transactions are a few rows each.

A full disk. RESERVE bytes of free pages are in the file from the first start on, and the log keeps its size: it is
reused from its beginning, and not removed at the end, because a read-only connection, which cannot remove it, is closed
last. So a commit needs no new block of the disk. What a start needs beside that, the shared-memory index, comes out of
a small file that is given up when the disk is full.

Time. Only the monotonic clock decides: `lived` counts the seconds that agents have run on this file, and `age` of what
this boot wrote is measured with the monotonic clock.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


def _ignore(_: str) -> None:
    """Nobody wants to know."""


class Database:
    """The file. Methods raise UnavailableError when the disk does not take a write or give a row; so does making one
    when the file cannot be opened or was written by a newer agent. `boot` names the machine's boot; `on_trouble` is
    told why a write failed, and "" when one works. `damaged` is where a damaged file was put at this start."""

    def __init__(
        self, path: Path, clock: Clock, *, boot: str = "", on_trouble: Callable[[str], None] = _ignore
    ) -> None:
        self._path = path
        self._clock = clock
        self._boot = boot
        self._on_trouble = on_trouble
        self._lock = threading.RLock()
        self._spare = path.with_name(path.name + ".spare")
        self.damaged: Path | None = None
        self._since = clock.monotonic()
        try:
            if not path.parent.is_dir():  # one that is there belongs to somebody: its mode is not ours to change
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._db, self._keeper = self._open_somehow()
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"the state in {path} cannot be used: {error}") from error
        self._lived = float((self._one("SELECT value FROM meta WHERE key = 'lived'") or (0.0,))[0])
        self._set_space_aside()

    def close(self) -> None:
        """Fold the log into the file and let go of both; the log keeps its place on the disk."""
        with self._lock:
            with suppress(UnavailableError, sqlite3.ProgrammingError):  # a full disk, or closed already
                self._note_lived()
                self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            self._db.close()
            self._keeper.close()

    # --- opening

    def _open_somehow(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """Open; from the spare on a full disk; a new file where there is a damaged one."""
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED:
                self._set_aside(error)
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
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                error = sqlite3.DatabaseError(found)
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

    def _set_aside(self, error: sqlite3.Error) -> None:
        """A damaged file is kept for whoever wants to look into it; a new one takes its place."""
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
            "THE STATE IS DAMAGED and was set aside; unsent reports and the ledger of tasks are in that file",
            file=str(target),
            reason=str(error),
        )

    def _set_space_aside(self) -> None:
        """See the module's docstring. On a disk that is full already: what there is must do."""
        with self._lock:
            try:
                (free,), (size,) = self._one("PRAGMA freelist_count"), self._one("PRAGMA page_size")
                if free * size < RESERVE // 2:
                    self._db.execute("DROP TABLE IF EXISTS reserve")  # left by a start that was cut off here
                    self._db.execute("CREATE TABLE reserve (space BLOB)")
                    self._db.execute("INSERT INTO reserve VALUES (zeroblob(?))", (RESERVE,))
                    self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
                    self._db.execute("DROP TABLE reserve")
                self._make_spare()
            except (sqlite3.OperationalError, OSError) as error:
                log.warning("no space could be set aside for a full disk", reason=str(error))
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

    # --- time

    def _now_lived(self) -> float:
        """Seconds that agents have run on this file, whatever the wall clock says."""
        return self._lived + max(self._clock.monotonic() - self._since, 0.0)

    def _note_lived(self) -> None:
        lived = self._now_lived()
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('lived', ?)", (lived,))

    def _age(self, boot: str, mono: float, wall: float) -> float:
        """Seconds since something was written down: exact within one boot; over a reboot as far as the wall clock
        knows, and a clock that was set back says nothing about youth."""
        if boot and boot == self._boot:
            return max(self._clock.monotonic() - mono, 0.0)
        return abs(self._clock.wall() - wall)

    # --- statements

    def _one(self, sql: str, *values: object) -> Any:
        return next(iter(self._all(sql, *values)), None)

    def _all(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is_ours(error):
                raise
            raise UnavailableError(f"the state folder does not give a row: {error}") from error

    def _before_commit(self) -> None:
        """What rides along with whatever is committed."""

    def _after_commit(self) -> None:
        """It is on the disk."""

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
                self._before_commit()
                self._db.execute("COMMIT")
            except BaseException as error:
                self._db.rollback()
                if isinstance(error, sqlite3.DatabaseError) and not _is_ours(error):
                    self._on_trouble(str(error))
                    raise UnavailableError(f"the state folder does not take a write: {error}") from error
                raise
            self._after_commit()
            self._on_trouble("")


def _is_ours(error: sqlite3.DatabaseError) -> bool:
    """A defect of ours rather than the disk's or the file's."""
    return isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError)

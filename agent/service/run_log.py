"""Log of this run and of the one before it, on the disk, for the archive that the command `logs` sends.

    run.log  run.older.log      this run: the newest lines, and those before them
    last.log  last.older.log    the run before this one

Each line is written at once and never synced: a killed process loses none, a power cut those that the kernel had not
written yet (half a minute). What the disk does not take is left out: the journal has it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

HALF = 1 << 20
"""Bytes of one file; a run has two of them at most."""

RUN, OLDER = "run.log", "run.older.log"
_LAST = {RUN: "last.log", OLDER: "last.older.log"}
NAMES = ("last.older.log", "last.log", OLDER, RUN)
"""The files in the order of their lines."""


class RunLog:
    """Writes lines; any thread. Making it begins the log of a new run."""

    def __init__(self, folder: Path, *, half: int = HALF) -> None:
        """`folder` is made if need be; `half` is for tests."""
        self._folder = folder
        self._half = half
        self._lock = threading.Lock()
        self._fd = -1
        self._size = 0
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, last in _LAST.items():
                (folder / last).unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    (folder / name).rename(folder / last)

    def write(self, line: bytes) -> None:
        """Append one line, without its newline. Never raises."""
        with self._lock, suppress(OSError):
            if self._fd < 0:
                self._open()
            elif self._size >= self._half:
                self._turn()
            self._size += os.write(self._fd, line + b"\n")

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        path = self._folder / RUN
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _turn(self) -> None:
        """Begin a new file; the full one takes the place of the one before it."""
        self._close()
        (self._folder / RUN).replace(self._folder / OLDER)
        self._open()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

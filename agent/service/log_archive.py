"""Archive of what tells an engineer what happened, as a .tar.gz of bounded size, written piece by piece.

Each text goes through `scrub` line by line. Of a text that is too long its end is kept, and its first line says so.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from agent.errors import CancelledError
from agent.service.scrub import scrub

ARCHIVE_LIMIT = 16_000_000
"""Bytes of the archive: of its texts, and so of what they are packed to."""
PART_LIMIT = 2 << 20
"""Bytes of one of its texts."""
BOXES = 10
"""Black boxes that are in it, the newest: all that the driver keeps."""
_RESERVE = 100_000  # bytes for names, padding and what gzip adds to what it cannot pack
_LINE = 64 << 10  # bytes of a line that are looked at together
_IN_MEMORY = 256 << 10  # bytes of a text that need no file


class ArchivePart(msgspec.Struct, frozen=True):
    """One text of the archive: its name, and where it is: a file, or what `text` gives."""

    name: str
    path: Path | None = None
    text: Callable[[], bytes] = bytes

    def open(self) -> BinaryIO | None:
        """Open it to be read, at most PART_LIMIT bytes from its end; None where there is none (any more)."""
        if self.path is None:
            content = self.text()[-PART_LIMIT:]
            return io.BytesIO(content) if content else None
        try:
            file = self.path.open("rb")
        except OSError:
            return None
        file.seek(max(os.fstat(file.fileno()).st_size - PART_LIMIT, 0))
        return file


def file_parts(folder: Path, names: Sequence[str], under: str) -> list[ArchivePart]:
    """The parts for files of a folder."""
    return [ArchivePart(f"{under}/{name}", path=folder / name) for name in names]


def box_names(folder: Path) -> list[str]:
    """The newest black boxes of the serial link, oldest first."""
    return sorted(path.name for path in folder.glob("box-*.txt"))[-BOXES:]


class ArchiveWriter:
    """Writes an archive to a file. `secrets` are known texts that must not be in it, `mtime` is the archive's time in
    seconds since the epoch; `progress` is told (parts done, parts) after each."""

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        mtime: float,
        folder: Path,
        cancelled: Callable[[], bool],
        progress: Callable[[int, int], None],
        limit: int = ARCHIVE_LIMIT,
    ) -> None:
        """`folder` is where a long text waits meanwhile, in a file without a name; `limit` is for tests."""
        self._secrets = secrets
        self._mtime = mtime
        self._folder = folder
        self._cancelled = cancelled
        self._progress = progress
        self._left = limit - _RESERVE

    def write(self, target: IO[bytes], parts: Sequence[ArchivePart]) -> None:
        """Write all parts; the first ones have room before the later ones. Raises OSError, CancelledError."""
        with (
            gzip.GzipFile("", "wb", compresslevel=6, fileobj=target, mtime=self._mtime) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for done, part in enumerate(parts, 1):
                source = part.open()
                if source is not None:
                    with closing(source), tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder)) as clean:
                        self._add(archive, part.name, source, clean)
                self._progress(done, len(parts))

    def _add(self, archive: tarfile.TarFile, name: str, source: BinaryIO, clean: IO[bytes]) -> None:
        for line in self._clean_lines(source):
            clean.write(line)
        size = clean.tell()
        room = max(self._left, 0)
        note = b""
        if size > room:
            note = b"[the beginning is left out]\n"
            clean.seek(size - max(room - len(note), 0))
            clean.readline()
        else:
            clean.seek(0)
        start = clean.tell()
        entry = tarfile.TarInfo(f"printer-agent-logs/{name}")
        entry.size, entry.mtime, entry.mode = size - start + len(note), int(self._mtime), 0o600
        self._left -= entry.size
        archive.addfile(entry, io.BufferedReader(_Joined(note, clean)))

    def _clean_lines(self, source: BinaryIO) -> Iterator[bytes]:
        while line := source.readline(_LINE):
            if self._cancelled():
                raise CancelledError("the logs were being packed")
            yield scrub(line.decode("utf-8", "replace"), self._secrets).encode("utf-8", "replace")


class _Joined(io.RawIOBase):
    """A few bytes, and then the rest of a file, as one."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; 0 at the end."""
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

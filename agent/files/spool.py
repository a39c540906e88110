"""Spool: write an incoming file beside its place, check it, and rename it into place as a whole or not at all.

`download` (HTTP) and `spool` (the local socket) share it. Every byte goes to the sink exactly once and in order, even
when a transfer had to start over, so that a scan can run in the same pass.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import msgspec

from agent.errors import CancelledError, ChangedError, DataError, NoSpaceError, UnavailableError
from agent.files import resume

BLOCK = 64 * 1024
"""Bytes of one read, at most."""

SPARE = 16 * 1024 * 1024
"""Bytes of the disk that a file must leave free: the database is on it too."""


class Downloaded(msgspec.Struct, frozen=True):
    """A complete file on the disk. `size` in bytes, `sha256` in hexadecimal. Of one that was fetched, `address` is
    where it was in the end, and `etag` its strong ETag, empty without one."""

    path: Path
    size: int
    sha256: str
    address: str = ""
    etag: str = ""


class Readable(Protocol):
    """A stream of bytes, such as `socket.makefile("rb")`."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes, b"" at the end."""


def ignore(*_: object) -> None:
    """A sink that does nothing."""


def never() -> bool:
    """A `cancelled` callback that never cancels."""
    return False


class SpoolFile:
    """The file `target` + `.part` until `finish` renames it to `target`. A context manager: it deletes what has failed.

    `boot` is the machine's boot id: the partial file of a killed process of the same boot is resumed; empty: never.
    `max_bytes` limits the size, `sink` gets every byte once, `cancelled` is asked before each block. Raises
    UnavailableError when the disk does not take it, DataError when it is too large.
    """

    def __init__(
        self,
        target: Path,
        *,
        max_bytes: int,
        cancelled: Callable[[], bool],
        sink: Callable[[bytes], None],
        boot: str,
    ) -> None:
        self.size = 0
        self.total: int | None = None
        self.uncompared = 0  # bytes that are sent a second time and only compared
        self._digests: dict[str, str] = {}  # algorithm → hexadecimal digits
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._max_bytes = max_bytes
        self._cancelled, self._sink = cancelled, sink
        self._hash = hashlib.sha256()
        self._comparison = hashlib.sha256()
        self._boot = boot
        self._resumable = resume.load_origin(self._part, boot)  # left by the process before this one
        fresh = 0 if self._resumable else os.O_TRUNC
        try:
            self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | fresh, 0o600)
        except OSError as error:
            raise self._disk_error(error) from error

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._part.unlink(missing_ok=True)
            resume.delete_origin(self._part)

    def resume_partial(self) -> str:
        """Read the partial file of a killed process as if its bytes came now; the validator of the server's file, empty
        where there is nothing to resume. Raises CancelledError, DataError, and whatever the sink raises."""
        if self._resumable is None:
            return ""
        try:
            while block := os.read(self._fd, BLOCK):
                self.check_cancelled()
                self._add(block)
        except OSError as error:
            raise self._disk_error(error) from error
        for algorithm, digits in self._resumable.expected.items():
            self.expect_digest(f"{algorithm}={digits}")
        return self._resumable.validator

    def record_origin(self, validator: str) -> None:
        """Write down which file of the server the bytes belong to, so that the next process can resume."""
        try:
            resume.save_origin(self._part, resume.Origin(self._boot, validator, self._digests))
        except OSError as error:
            raise self._disk_error(error) from error

    def set_total(self, total: int) -> None:
        """Set the size of the whole file. Raises ChangedError, DataError (too large), UnavailableError (no space)."""
        if self.total is not None and self.total != total:
            raise ChangedError(f"the file changed while it was fetched: {total} bytes, before it had {self.total}")
        if total > self._max_bytes:
            raise DataError(f"the file is too large: {total} bytes, allowed are {self._max_bytes}")
        free = shutil.disk_usage(self._target.parent).free
        if total - self.size > free - SPARE:
            raise NoSpaceError(f"no space for the file: {total} bytes, free are {max(free - SPARE, 0)}")
        self.total = total

    def expect_digest(self, digest: str) -> None:
        """Require this digest of the whole file: `sha-256=`, `sha-512=` or `md5=` and hexadecimal digits; empty: none.

        Raises ChangedError when another one was required before."""
        algorithm, _, digits = digest.partition("=")
        if digits and self._digests.setdefault(algorithm, digits) != digits:
            raise ChangedError("the file changed while it was fetched: its checksum is another one now")

    def restart(self) -> None:
        """Expect the file from its first byte again; what was received already is compared, not written again."""
        self.uncompared = self.size
        self._comparison = hashlib.sha256()

    def write(self, block: bytes) -> None:
        """Write the next bytes. Raises CancelledError, ChangedError, DataError when the file gets too large,
        UnavailableError, and whatever the sink raises."""
        self.check_cancelled()
        if self.uncompared:
            repeated, block = block[: self.uncompared], block[self.uncompared :]
            self._comparison.update(repeated)
            self.uncompared -= len(repeated)
            if not self.uncompared and self._comparison.digest() != self._hash.digest():
                raise ChangedError("the file changed while it was fetched: its beginning is another one now")
        if not block:
            return
        if self.size + len(block) > self._max_bytes:
            raise DataError(f"the file is too large: allowed are {self._max_bytes} bytes")
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise self._disk_error(error) from error
        if self.total is None and (self.size + len(block)) >> 20 != self.size >> 20:
            self._ensure_spare()
        self._add(block)

    def _add(self, block: bytes) -> None:
        """Account for bytes that are in the file."""
        self._hash.update(block)
        self.size += len(block)
        self._sink(block)

    def _ensure_spare(self) -> None:
        """Check the free space of a file whose size is not known; called each MiB."""
        if shutil.disk_usage(self._target.parent).free < SPARE:
            raise NoSpaceError(f"no space for the file: after {self.size} bytes, {SPARE} are to stay free")

    def check_cancelled(self) -> None:
        """Raise CancelledError when the transfer was cancelled."""
        if self._cancelled():
            raise CancelledError("the transfer of the file was cancelled")

    def finish(self) -> Downloaded:
        """Check the digests, sync the file to the disk and rename it into place; it survives a power cut from then on.

        Raises CancelledError, UnavailableError, DataError when a digest is not the expected one."""
        self.check_cancelled()
        try:
            self._check_digests()
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._part.replace(self._target)
            resume.delete_origin(self._part)
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self._part.unlink(missing_ok=True)
            raise self._disk_error(error) from error
        return Downloaded(self._target, self.size, self._hash.hexdigest())

    def _check_digests(self) -> None:
        for algorithm, digits in self._digests.items():
            if algorithm == "sha-256":
                actual = self._hash.hexdigest()
            else:  # rare enough to read the file again for it
                with self._part.open("rb") as file:
                    actual = hashlib.file_digest(file, _hash_factory(algorithm)).hexdigest()
            if actual != digits:
                raise DataError(f"the file arrived damaged: its {algorithm} is not the expected one")

    def _disk_error(self, error: OSError) -> UnavailableError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = NoSpaceError if full else UnavailableError
        return kind(f"{self._part}: {'no space left' if full else error.strerror or 'cannot be written'}")


def _hash_factory(algorithm: str) -> Callable[[], Any]:
    if algorithm == "md5":
        return functools.partial(
            hashlib.md5, usedforsecurity=False
        )  # against accidents only, also on a hardened system
    return hashlib.sha512


def spool(
    stream: Readable,
    size: int,
    target: Path,
    *,
    max_bytes: int,
    cancelled: Callable[[], bool] = never,
    sink: Callable[[bytes], None] = ignore,
) -> Downloaded:
    """Receive `size` bytes from `stream` into `target`; the counterpart of `download` for the local socket.

    Raises DataError (too large, or it ends early), UnavailableError (the disk, or the stream breaks or is silent for
    longer than its own time limit), CancelledError."""
    with SpoolFile(target, max_bytes=max_bytes, cancelled=cancelled, sink=sink, boot="") as file:
        file.set_total(size)
        while file.size < size:
            try:
                block = stream.read(min(BLOCK, size - file.size))
            except OSError as error:
                raise UnavailableError(f"the file broke off after {file.size} of {size} bytes: {error}") from error
            if not block:
                raise DataError(f"the file broke off after {file.size} of {size} bytes")
            file.write(block)
        return file.finish()

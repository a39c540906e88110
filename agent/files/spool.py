"""A file on its way in: written beside its place, checked, and put there as a whole or not at all.

`download` (HTTP) and `spool` (the local socket) share it. Every byte goes to the sink exactly once and in order, even
when a transfer had to begin again, so that a scan can run in the same pass.
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

from agent.errors import CancelledError, ChangedError, DataError, UnavailableError
from agent.files import resume

BLOCK = 64 * 1024
"""Bytes of one read at most."""

SPARE = 16 * 1024 * 1024
"""Bytes of the disk that a file may not take: the store lives there too."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and those there will be (None: not known)."""


class Downloaded(msgspec.Struct, frozen=True):
    """A file that is completely here and on the disk. `size` in bytes, `sha256` in hexadecimal."""

    path: Path
    size: int
    sha256: str


class Readable(Protocol):
    """A stream of bytes, such as `socket.makefile("rb")`."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes, b"" at the end."""


def ignore(*_: object) -> None:
    """For those who do not care for the progress or the bytes."""


def never() -> bool:
    """For those who do not cancel."""
    return False


class SpoolFile:
    """The file `target` + `.part` until `finish` gives it its name. A context manager: it cleans up after a failure.
    `boot` names the machine's present boot: what a process of the same boot left when it was killed is gone on with;
    empty: never.

    Raises UnavailableError when the disk does not take it, DataError when it is too large."""

    def __init__(
        self,
        target: Path,
        *,
        max_bytes: int,
        progress: Progress,
        cancelled: Callable[[], bool],
        sink: Callable[[bytes], None],
        boot: str = "",
    ) -> None:
        self.size = 0
        self.total: int | None = None
        self.behind = 0  # bytes that come a second time and are only compared
        self._expected: dict[str, str] = {}  # algorithm -> hexadecimal digits
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._max_bytes = max_bytes
        self._progress, self._cancelled, self._sink = progress, cancelled, sink
        self._hash = hashlib.sha256()
        self._again = hashlib.sha256()
        self._boot = boot
        self._left = resume.origin(self._part, boot)  # by the process before this one
        fresh = 0 if self._left else os.O_TRUNC
        try:
            self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | fresh, 0o600)
        except OSError as error:
            raise self._disk(error) from error

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._part.unlink(missing_ok=True)
            resume.forget(self._part)

    def take_up(self) -> str:
        """Take in what is here already, as if it came now; the validator of the file that it is a part of, empty for
        none. Raises CancelledError, DataError, and whatever the sink raises."""
        if self._left is None:
            return ""
        try:
            while block := os.read(self._fd, BLOCK):
                self.check_cancelled()
                self._take(block)
        except OSError as error:
            raise self._disk(error) from error
        for algorithm, digits in self._left.expected.items():
            self.expect(f"{algorithm}={digits}")
        return self._left.validator

    def note(self, validator: str) -> None:
        """The bytes come from the file with this validator, should the next process have to go on."""
        try:
            resume.note(self._part, resume.Origin(self._boot, validator, self._expected))
        except OSError as error:
            raise self._disk(error) from error

    def announce(self, total: int) -> None:
        """The whole file will have `total` bytes."""
        if self.total is not None and self.total != total:
            raise ChangedError(f"the file changed while it was fetched: {total} bytes, before it had {self.total}")
        if total > self._max_bytes:
            raise DataError(f"the file is too large: {total} bytes, allowed are {self._max_bytes}")
        free = shutil.disk_usage(self._target.parent).free
        if total - self.size > free - SPARE:
            raise UnavailableError(f"no space for the file: {total} bytes, free are {max(free - SPARE, 0)}")
        self.total = total

    def expect(self, digest: str) -> None:
        """The whole file must have this checksum: `sha-256=`, `sha-512=` or `md5=` and hexadecimal digits."""
        algorithm, _, digits = digest.partition("=")
        if digits and self._expected.setdefault(algorithm, digits) != digits:
            raise ChangedError("the file changed while it was fetched: its checksum is another one now")

    def begin_again(self) -> None:
        """The file comes from its first byte once more; what is here already is compared, not taken again."""
        self.behind = self.size
        self._again = hashlib.sha256()

    def write(self, block: bytes) -> None:
        """The next bytes. Raises CancelledError, ChangedError, and whatever the sink raises."""
        self.check_cancelled()
        if self.behind:
            known, block = block[: self.behind], block[self.behind :]
            self._again.update(known)
            self.behind -= len(known)
            if not self.behind and self._again.digest() != self._hash.digest():
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
            raise self._disk(error) from error
        if self.total is None and (self.size + len(block)) >> 20 != self.size >> 20:
            self._leave_space()
        self._take(block)

    def _take(self, block: bytes) -> None:
        """They are in the file."""
        self._hash.update(block)
        self.size += len(block)
        self._sink(block)
        self._progress(self.size, self.total)

    def _leave_space(self) -> None:
        """A file that does not say how long it is must leave the spare too; looked at each MiB."""
        if shutil.disk_usage(self._target.parent).free < SPARE:
            raise UnavailableError(f"no space for the file: after {self.size} bytes, {SPARE} are to stay free")

    def check_cancelled(self) -> None:
        """Raises CancelledError if somebody wants it."""
        if self._cancelled():
            raise CancelledError("the transfer of the file was cancelled")

    def finish(self) -> Downloaded:
        """All is here: checked, on the disk, and under its own name, even if the power goes now.

        Raises CancelledError, DataError when a checksum is not the expected one."""
        self.check_cancelled()
        try:
            self._check()
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._part.replace(self._target)
            resume.forget(self._part)
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self._part.unlink(missing_ok=True)
            raise self._disk(error) from error
        return Downloaded(self._target, self.size, self._hash.hexdigest())

    def _check(self) -> None:
        for algorithm, digits in self._expected.items():
            if algorithm == "sha-256":
                found = self._hash.hexdigest()
            else:  # rare enough to read the file once more for it
                with self._part.open("rb") as file:
                    found = hashlib.file_digest(file, _known(algorithm)).hexdigest()
            if found != digits:
                raise DataError(f"the file arrived damaged: its {algorithm} is {found}, expected was {digits}")

    def _disk(self, error: OSError) -> UnavailableError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return UnavailableError(f"{self._part}: {'no space left' if full else error.strerror or 'cannot be written'}")


def _known(algorithm: str) -> Callable[[], Any]:
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
    progress: Progress = ignore,
    cancelled: Callable[[], bool] = never,
    sink: Callable[[bytes], None] = ignore,
) -> Downloaded:
    """Take `size` bytes from `stream` into `target`, as `download` does it.

    Raises DataError (too large, or it ends early), UnavailableError (the disk, or the stream breaks or is silent for
    longer than its own time limit), CancelledError."""
    with SpoolFile(target, max_bytes=max_bytes, progress=progress, cancelled=cancelled, sink=sink) as incoming:
        incoming.announce(size)
        while incoming.size < size:
            try:
                block = stream.read(min(BLOCK, size - incoming.size))
            except OSError as error:
                raise UnavailableError(f"the file broke off after {incoming.size} of {size} bytes: {error}") from error
            if not block:
                raise DataError(f"the file broke off after {incoming.size} of {size} bytes")
            incoming.write(block)
        return incoming.finish()

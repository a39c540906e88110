"""Kept files: what was printed lately, so that a file that is here already is not fetched again.

    kept/<digest>.gcode    a further name (hard link) of the file to print
    kept/<digest>.index    the same of its index
    kept/<digest>.json     Origin: where it came from; written last, so that a file without it is none

`digest` is the SHA-256 of the bytes that came. A file is found by the digest that a command or a server names, or by
its address, and then only used when the server itself says that it is still the same (ETag, RFC 9110 §13.1.2). Its
content is checked against its digest before it is used. What is kept costs no space as long as it is printed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from agent.errors import AgentError, CancelledError
from agent.state import atomic_file

MAX_FILES = 32
KEEP_S = 7 * 86400.0
"""Seconds that agents run, since a file was used last, after which it is not kept any more."""
RESERVE = 256 << 20
"""Bytes of the disk that stay free beside what is kept."""

log = structlog.get_logger(part="jobfile")


class Origin(msgspec.Struct, frozen=True):
    """Where a kept file came from. `address` and `final_address` (after redirects) are digests of URLs, which may hold
    secrets. `etag` is a strong ETag, empty without one. `content` is the SHA-256 of the file as it is kept. `used_at`
    is in seconds that agents have run."""

    digest: str
    content: str
    size: int
    used_at: float
    address: str = ""
    final_address: str = ""
    etag: str = ""


class Known(msgspec.Struct, frozen=True):
    """Files that are here already, by the `digests` of their bytes (SHA-256, hexadecimal), and the one, `digest`, that
    the server is asked about by its `etag`; it came from `address` (`hide`)."""

    digests: frozenset[str] = frozenset()
    digest: str = ""
    etag: str = ""
    address: str = ""


class AlreadyHereError(AgentError):
    """The server's file is a known one, that with the SHA-256 `digest`; nothing of it was fetched."""

    def __init__(self, digest: str) -> None:
        super().__init__("the file is here already")
        self.digest = digest


class KeptFiles:
    """The folder of kept files. `elapsed` gives the seconds that agents have run on this state. No method raises for a
    disk that does not do what is asked: then a file is fetched."""

    def __init__(self, folder: Path, elapsed: Callable[[], float]) -> None:
        self._folder = folder
        self._elapsed = elapsed

    def by_digest(self, digest: str) -> Origin | None:
        """The kept file with this SHA-256, in hexadecimal digits."""
        return self._load(digest) if digest else None

    def by_address(self, url: str) -> Origin | None:
        """The file that came last from this URL, if the server can be asked whether it is still the same."""
        address = hide(url)
        found = [origin for origin in self._all() if origin.etag and origin.address == address]
        return max(found, key=lambda origin: origin.used_at, default=None)

    def digests(self) -> frozenset[str]:
        """The SHA-256 of each kept file."""
        return frozenset(origin.digest for origin in self._all())

    def keep(self, origin: Origin, file: Path, index: Path, limit: int) -> None:
        """Keep a complete file, which is in place at `file` with its `index`, within `limit` bytes in all."""
        if origin.size > limit:
            return
        try:
            for path, kind in ((index, "index"), (file, "gcode")):
                kept = self._path(origin.digest, kind)
                kept.unlink(missing_ok=True)
                os.link(path, kept)
            stamped = msgspec.structs.replace(origin, used_at=self._elapsed())
            atomic_file.write(self._path(origin.digest, "json"), msgspec.json.encode(stamped))
        except OSError as error:
            log.warning("file not kept", error=error.strerror)
            self._remove(origin.digest)
        self.tidy(limit)

    def take(self, origin: Origin, file: Path, index: Path, cancelled: Callable[[], bool]) -> bool:
        """Put a kept file in place at `file`, with its index if it has one. False when it is damaged or gone. Raises
        CancelledError."""
        kept = self._path(origin.digest, "gcode")
        try:
            if _sha256(kept, cancelled) != origin.content:
                log.warning("kept file damaged", file=kept.name)
                self._remove(origin.digest)
                return False
            if self._path(origin.digest, "index").exists() and not index.exists():
                os.link(self._path(origin.digest, "index"), index)
            os.link(kept, file)
        except OSError as error:
            log.warning("kept file not usable", file=kept.name, error=error.strerror)
            return False
        return True

    def clear(self) -> bool:
        """Keep nothing any more; whether there was anything."""
        return bool([self._remove(origin.digest) for origin in self._all()])

    def tidy(self, limit: int) -> None:
        """Delete what is beyond the bounds: what was used least lately goes first, and all of it while the disk has
        less than RESERVE."""
        origins = sorted(self._all(), key=lambda origin: origin.used_at, reverse=True)
        oldest, total = self._elapsed() - KEEP_S, 0
        for number, origin in enumerate(origins):
            total += origin.size
            if number >= MAX_FILES or total > limit or origin.used_at < oldest or self._is_disk_low():
                self._remove(origin.digest)
        known = {origin.digest for origin in self._all()}
        for path in self._paths():
            if path.stem not in known:
                _unlink(path)

    def _is_disk_low(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free < RESERVE
        except OSError:
            return True

    def _all(self) -> Iterator[Origin]:
        for path in self._paths():
            origin = self._load(path.stem) if path.suffix == ".json" else None
            if origin is not None:
                yield origin

    def _paths(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except OSError:
            return []

    def _load(self, digest: str) -> Origin | None:
        try:
            origin = msgspec.json.decode(self._path(digest, "json").read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError):
            return None
        return origin if origin.digest == digest and self._path(digest, "gcode").is_file() else None

    def _path(self, digest: str, kind: str) -> Path:
        return self._folder / f"{digest}.{kind}"

    def _remove(self, digest: str) -> str:
        for kind in ("json", "gcode", "index"):
            _unlink(self._path(digest, kind))
        return digest


def hide(url: str) -> str:
    """A digest of a URL, which may hold a secret."""
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # somebody put a folder there
        log.warning("kept file not deleted", file=path.name, error=error.strerror)


def _sha256(path: Path, cancelled: Callable[[], bool]) -> str:
    """SHA-256 of a file. Raises CancelledError, OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 18):
            if cancelled():
                raise CancelledError("reading the file was cancelled")
            digest.update(block)
    return digest.hexdigest()

"""The black box: the last lines of the serial link, both ways, kept in memory and written down when something fails.

    # printer-agent black box 1
    # time 2026-01-31T12:00:00Z
    # reason thermal runaway …
    -1.234567 > N41 G1 X1*34\n        sent, 1.234567 s before the failure
    -1.230001 < ok\n                  heard
Bytes that are not printable ASCII are written as in a Python string (`\\n`, `\\xff`). A file is one failure.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from agent.core.clock import Clock
from agent.errors import DataError

ENTRIES = 2000
"""What is kept: one entry is one write or one read, as good as always one line."""
FILES = 10
FILE_BYTES = 1 << 20
LARGE = 512
"""Bytes of a read after which the size of all that is kept is looked at: a printer's own lines are shorter."""
SENT, HEARD = ">", "<"
_TITLE = "# printer-agent black box 1"
_log = structlog.get_logger(part="gcode")


class Entry(msgspec.Struct, frozen=True):
    """Bytes on the line at `time`, in seconds before the failure (so mostly negative); `way` is SENT or HEARD."""

    time: float
    way: str
    data: bytes


class BlackBox:
    """The last ENTRIES reads and writes, recorded by the link's thread without any formatting; of more than FILE_BYTES,
    which no file could hold, the oldest go."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: deque[tuple[float, str, bytes]] = deque(maxlen=ENTRIES)

    def sent(self, data: bytes) -> None:
        """Record `data` as written to the port."""
        self._entries.append((self._now(), SENT, data))

    def heard(self, data: bytes) -> None:
        """Record `data` as read from the port."""
        self._entries.append((self._now(), HEARD, data))
        if len(data) > LARGE:
            self._trim()

    def lines(self, room: int = FILE_BYTES) -> list[str]:
        """Format the newest entries that fit into `room` bytes as lines of a file, oldest first, times as seconds
        before now."""
        now = self._now()
        found: list[str] = []
        for at, way, data in reversed(self._entries):
            line = f"{at - now:.6f} {way} {escape(data)}"
            room -= len(line) + 1
            if room < 0:
                break
            found.append(line)
        return found[::-1]

    def _trim(self) -> None:
        """Drop the oldest entries beyond FILE_BYTES."""
        size = sum(len(data) for _, _, data in self._entries)
        while size > FILE_BYTES:
            size -= len(self._entries.popleft()[2])


class Recorder:
    """Writes black boxes into a folder: the newest FILES of them, each of at most FILE_BYTES."""

    def __init__(self, box: BlackBox, folder: Path, clock: Clock) -> None:
        self._box = box
        self._folder = folder
        self._clock = clock

    def write(self, reason: str, about: dict[str, str]) -> None:
        """Write the box into a file because something failed. Never raises: a full disk must not make it worse."""
        time = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        facts = {"time": time, "reason": reason, **about}
        head = [_TITLE, *(f"# {name} {escape(text.encode())}" for name, text in facts.items() if text)]
        body = self._box.lines(FILE_BYTES - sum(len(line) + 1 for line in head))
        try:
            name = self._store("\n".join([*head, *body]) + "\n")
        except OSError as error:
            _log.warning("black box write failed", error=error.strerror)
        else:
            _log.info("black box written", file=name)

    def _store(self, text: str) -> str:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = files(self._folder)
        number = int(known[-1].stem[4:]) + 1 if known else 1
        path = self._folder / f"box-{number:06}.txt"
        part = path.with_suffix(".part")
        part.write_text(text, encoding="ascii")
        part.chmod(0o600)
        part.replace(path)
        for old in known[: max(0, len(known) + 1 - FILES)]:
            old.unlink(missing_ok=True)
        return path.name


def files(folder: Path) -> list[Path]:
    """List the black boxes in a folder, oldest first."""
    return sorted(path for path in folder.glob("box-*.txt") if path.stem[4:].isdigit())


def escape(data: bytes) -> str:
    """Escape bytes as one line of printable ASCII."""
    return data.decode("latin-1").encode("unicode_escape").decode("ascii")


def read(path: Path) -> tuple[dict[str, str], list[Entry]]:
    """Read a black box: the facts at its head, and its entries. Raises DataError that names the file and the line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not ASCII'}") from None
    if not lines or lines[0] != _TITLE:
        raise DataError(f"{path}: not a black box; expected «{_TITLE}» in line 1")
    facts: dict[str, str] = {}
    entries: list[Entry] = []
    for number, line in enumerate(lines[1:], 2):
        if line.startswith("# "):
            name, _, text = line[2:].partition(" ")
            facts[name] = text
            continue
        try:
            time, way, text = line.split(" ", 2)
            entries.append(Entry(float(time), {SENT: SENT, HEARD: HEARD}[way], _unescape(text)))
        except (ValueError, KeyError):
            raise DataError(
                f"{path}: line {number}: expected SECONDS, > or <, and the bytes; got {line[:60]!r}"
            ) from None
    return facts, entries


def _unescape(text: str) -> bytes:
    return codecs.decode(text, "unicode_escape").encode("latin-1")

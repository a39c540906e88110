"""The null firmware (`null_firmware.c`) from Python, and the files that are printed on it."""

from __future__ import annotations

import gzip
import mmap
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from agent.gcode.sendable import sendable

HERE = Path(__file__).parent
ROOT = HERE.parent
VASE = ROOT / "tests" / "data" / "vase_prusaslicer.gcode.gz"
_SEEN = struct.Struct("=4q2d")
END = 10.0  # seconds that the firmware has to notice that its client has gone


def compiled(folder: Path) -> Path:
    """The firmware's program."""
    program = folder / "null_firmware"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(program), str(HERE / "null_firmware.c")], check=True)
    return program


def sliced(path: Path, count: int) -> Path:
    """The first `count` lines to send of a real sliced file, with the comments between them, written to `path`."""
    kept, left = [], count
    for line in gzip.decompress(VASE.read_bytes()).splitlines(keepends=True):
        left -= bool(sendable(b"\n" + line))
        if left < 0:
            break
        kept.append(line)
    assert left <= 0, f"{VASE.name} has fewer than {count} lines"
    path.write_bytes(b"".join(kept))
    return path


@dataclass(frozen=True)
class Link:
    """How the firmware is reached: `baud` 0 is without limit, `ms` of latency; `ms` 0 and no baud: at once."""

    baud: int = 0
    ms: float = 0.0
    rx: int = 128
    queue: int = 4
    advanced: bool = False

    def arguments(self) -> list[str]:
        """For the program."""
        if not self.ms:
            return ["now"]
        return ["link", *(str(v) for v in (self.baud, self.ms, self.rx, self.queue, int(self.advanced)))]


@dataclass(frozen=True)
class Seen:
    """What the firmware counted: lines of the file, requests for a line, bytes that found no room, the most bytes that
    waited; when the first and the last line of the file came, in seconds of `time.monotonic`."""

    executed: int
    resends: int
    overflows: int
    most_bytes: int
    first_at: float
    last_at: float

    @property
    def rate(self) -> float:
        """Lines per second."""
        return self.executed / (self.last_at - self.first_at)


class Firmware:
    """One process of it; a context manager. `port` is its pty."""

    def __init__(self, program: Path, link: Link) -> None:
        stats = program.with_name(f"seen-{time.monotonic_ns()}")
        self._process = subprocess.Popen(
            [str(program), str(stats), *link.arguments()], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().strip()
        assert self.port, "the firmware did not start"
        with stats.open("rb") as file:
            self._seen = mmap.mmap(file.fileno(), _SEEN.size, prot=mmap.PROT_READ)
        stats.unlink()

    def __enter__(self) -> Firmware:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._seen.close()

    def seen(self) -> Seen:
        """What it has counted until now."""
        return Seen(*_SEEN.unpack(self._seen[: _SEEN.size]))

    def until(self, what: str, true: Callable[[Seen], bool], within: float = 60.0, look: float = 0.002) -> Seen:
        """The first count for which `true` is. Raises AssertionError after `within` seconds."""
        end = time.monotonic() + within
        while not true(seen := self.seen()):
            assert time.monotonic() < end, f"not within {within:.0f} s: {what}; {seen}"
            time.sleep(look)
        return seen

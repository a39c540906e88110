"""What an agent remembers of a print for the driver of the next one, and a keeper of its port, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from agent.core.driver import Host, LineSource, Unfinished


class Kept:
    """A `PortKeeper` that holds a copy, as systemd does."""

    def __init__(self) -> None:
        self.fd: int | None = None

    def take(self) -> int | None:
        """A copy: ours stays until `drop`, as systemd's does."""
        return None if self.fd is None else os.dup(self.fd)

    def keep(self, fd: int) -> None:
        self.drop()
        self.fd = os.dup(fd)

    def drop(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class Nowhere:
    """Keeps nothing."""

    def take(self) -> int | None:
        return None

    def keep(self, fd: int) -> None:
        pass

    def drop(self) -> None:
        pass


class Memories:
    """The memories of one print, in the order they were written."""

    def __init__(self, keeper: Kept | Nowhere) -> None:
        self.keeper = keeper
        self.written: list[bytes] = []
        self.beats = 0

    def remember(self, task_id: str, memory: bytes) -> None:
        assert task_id
        self.written.append(memory)

    def beat(self) -> None:
        self.beats += 1

    def host(self, wake: Callable[[], None]) -> Host:
        return Host(wake, self.beat, self.remember, self.keeper)

    def unfinished(self, task_id: str, source: LineSource, line: int = 0, preamble: tuple[str, ...] = ()) -> Unfinished:
        """With the memory that was written last."""
        return Unfinished(task_id, source, preamble, self.written[-1], settings_of(source), line)


def settings_of(source: LineSource) -> Callable[[int], Iterable[bytes]]:
    """`Unfinished.settings_before`, the slow way."""

    def before(ordinal: int) -> Iterable[bytes]:
        lines = [code for number, code in enumerate(source.lines(), 1) if number < ordinal]
        moves = (b"G0 ", b"G1 ")
        feeds = [at for at, code in enumerate(lines) if code.startswith(moves) and b"F" in code][-1:]
        return [code for at, code in enumerate(lines) if not code.startswith(moves) or at in feeds]

    return before

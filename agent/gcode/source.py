"""Read the sendable lines of a scanned G-code file from any place on, in constant memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from agent.errors import DataError
from agent.gcode.index import Index
from agent.gcode.modal import ModalState
from agent.gcode.sendable import sendable_lists

READ_BYTES = 64 * 1024
"""One read. Larger ones are not faster here, and the first line of a print waits for one."""


class FileSource:
    """Implements `agent.core.driver.LineSource` for the file at `path` and the index that its scan gave."""

    def __init__(self, path: Path, index: Index) -> None:
        """Raises DataError when the file is not there or has another size than the one that was scanned."""
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{path.name}: the G-code file cannot be read: {error.strerror}") from error
        if size != index.size:
            raise DataError(f"{path.name}: the G-code file has {size} bytes, but {index.size} when it was scanned")
        self.path = path
        self.index = index

    @property
    def total_lines(self) -> int:
        """How many sendable lines the file has."""
        return self.index.total_lines

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """Yield the sendable lines from ordinal `start` (1-based) on; none from total_lines + 1 on.

        Raises ValueError for a start below 1, and, on the way, OSError when the file cannot be read or ends early."""
        if start < 1:
            raise ValueError(f"start is {start}, the first line has ordinal 1")
        return self._lines(start)

    def settings_before(self, line: int) -> list[bytes]:
        """See `agent.core.driver.Unfinished.settings_before`. Reads what is between two seek points at most."""
        ordinal, offset = self.index.seek(line)
        modal = ModalState(self.index.modal(line))
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            for lines in sendable_lists(_blocks(file)):
                before = lines[: max(line - ordinal, 0)]
                modal.follow_settings(before)
                modal.follow_feedrate(before)
                ordinal += len(lines)
                if ordinal >= line:
                    break
        return modal.lines()

    def _lines(self, start: int) -> Iterator[bytes]:
        if start > self.total_lines:
            return
        ordinal, offset = self.index.seek(start)
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            for lines in sendable_lists(_blocks(file)):
                skip = start - ordinal
                ordinal += len(lines)
                if skip <= 0:
                    yield from lines
                elif skip < len(lines):
                    yield from lines[skip:]
        if ordinal != self.total_lines + 1:
            reason = f"the file changed during the print: {ordinal - 1} lines, it had {self.total_lines}"
            raise OSError(errno.EIO, reason, str(self.path))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block

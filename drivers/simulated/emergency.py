"""The emergency parser: finds M108, M112 and M410 in the bytes as they arrive, whatever waits in the buffers."""

from __future__ import annotations

import re

CODES = (b"M108", b"M112", b"M410")

_LINE = re.compile(rb"[ ]*(?:N[-0-9 ]*)?(M108|M112|M410)")
_KEEP = 64


class Scanner:
    """Remembers the start of the line that is being received; it acts at the line's end (SERIAL.md §23)."""

    def __init__(self) -> None:
        self._start = b""

    def scan(self, data: bytes) -> list[bytes]:
        """The emergency codes of the lines that end in `data`, in order."""
        *lines, rest = (self._start + data).replace(b"\r", b"\n").split(b"\n")
        self._start = rest[:_KEEP]
        found = (_LINE.match(line) for line in lines)
        return [match[1] for match in found if match is not None]

"""Split the bytes read from the serial port into lines, wherever the reads were cut. Pure."""

from __future__ import annotations

MAX_HEARD = 1024
"""Bytes kept of a line that was read; firmware lines are shorter, noise without a newline need not grow memory."""


class LineSplitter:
    """Chunks in, whole lines out, whatever the boundaries of the chunks are. LF and CR both end a line; blank lines
    are dropped; of a line longer than MAX_HEARD only its beginning is kept."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their ends."""
        *whole, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[:MAX_HEARD]
        return [line[:MAX_HEARD] for line in whole if line]

    def clear(self) -> None:
        """Drop a line that has begun."""
        self._rest = b""

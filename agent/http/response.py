"""Bounds on what http.client reads of an answer: the size of its head, and of each line outside of it.

http.client allows a hundred headers of 64 KiB and any number of interim answers (1xx); urllib3 reads the line before
each chunk however long it is. The body is bounded by whoever reads it.
"""

from __future__ import annotations

import io
import socket
from http.client import HTTPException, HTTPResponse
from typing import Any

HEAD_LIMIT = 64 << 10
"""Bytes of an answer's head in all, interim answers included."""
LINE_LIMIT = 8 << 10
"""Bytes of lines in a row after the head: a chunk's size and extensions, or all trailers."""


class BoundedReader(io.BufferedReader):
    """Buffered reader that raises HTTPException when the head, or the lines in a row after it, are too long."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self._left = HEAD_LIMIT  # bytes of lines until the next read of something else
        self._in_head = True

    def end_head(self) -> None:
        """Note that the head is complete."""
        self._in_head = False
        self._left = LINE_LIMIT

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line within the limit."""
        line = super().readline(self._left + 1 if size is None or size < 0 else min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise HTTPException("the head or a line of the answer is too long")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a part of the body."""
        self._end_lines()
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Read a part of the body."""
        self._end_lines()
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:
        """Read a part of the body."""
        self._end_lines()
        return super().readinto(buffer)

    def _end_lines(self) -> None:
        if not self._in_head:
            self._left = LINE_LIMIT


class BoundedResponse(HTTPResponse):
    """HTTPResponse that reads through a BoundedReader."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._reader = BoundedReader(self.open_raw(sock))
        self.fp = self._reader

    def open_raw(self, sock: socket.socket) -> io.RawIOBase:
        """The unbuffered stream to read from."""
        return sock.makefile("rb", buffering=0)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._reader.end_head()

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
"""Bytes of a line after the head: a chunk's size and extensions, a trailer."""


class BoundedReader(io.BufferedReader):
    """Buffered reader that raises HTTPException when the head, or a line after it, is too long."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self._head_left: int | None = HEAD_LIMIT

    def end_head(self) -> None:
        """Note that the head is complete."""
        self._head_left = None

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line within its limit."""
        limit = LINE_LIMIT if self._head_left is None else self._head_left
        line = super().readline(limit + 1 if size is None or size < 0 else min(size, limit + 1))
        if len(line) > limit:
            raise HTTPException("a line or the head of the answer is too long")
        if self._head_left is not None:
            self._head_left -= len(line)
        return line


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

"""Lines on the wire: number and checksum (docs/serial.md §7), and chunks of bytes back into lines. Pure."""

from __future__ import annotations

from functools import reduce
from operator import xor

MAX_HEARD = 1024
"""Bytes kept of a line that was heard; firmware lines are shorter, noise without a newline need not grow memory."""


def checksum(data: bytes) -> int:
    """The exclusive-or of all bytes. Folding one big integer is about twice as fast as going byte by byte."""
    if len(data) > 128:
        return reduce(xor, data)
    bits = int.from_bytes(data, "little")
    bits ^= bits >> 512
    bits ^= bits >> 256
    bits ^= bits >> 128
    bits ^= bits >> 64
    bits ^= bits >> 32
    bits ^= bits >> 16
    return (bits ^ bits >> 8) & 0xFF


def frame(number: int, code: bytes) -> bytes:
    """`N<number> <code>*<checksum>` and a newline."""
    body = b"N%d %b" % (number, code)
    return b"%b*%d\n" % (body, checksum(body))


def verify(line: bytes) -> tuple[int, bytes]:
    """The number and the code of a framed line. Raises ValueError that says what is wrong with it."""
    body, star, claimed = line.rstrip(b"\r\n").rpartition(b"*")
    if not star:
        raise ValueError(f"no checksum: {line!r}")
    if not claimed.isdigit() or int(claimed) != checksum(body):
        raise ValueError(f"checksum mismatch: {line!r}, expected {checksum(body)}")
    number, space, code = body.partition(b" ")
    if not space or number[:1] != b"N" or not number[1:].isdigit():
        raise ValueError(f"no line number: {line!r}")
    return int(number[1:]), code


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
        """Forget a line that has begun."""
        self._rest = b""

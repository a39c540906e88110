"""Decoding of a body's Content-Encoding (gzip, deflate) within bounds.

urllib3 and zlib read on after the end of a compressed body for as long as bytes come, and zlib keeps them all. Here
whatever follows the end is an error, and no piece is larger than asked for, so a body costs no memory of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from urllib3.exceptions import DecodeError

PIECE = 64 << 10
"""Bytes that are unpacked at once."""
KNOWN = frozenset(("gzip", "x-gzip", "deflate"))


class ContentEncodingError(DecodeError):
    """A body that cannot be decoded: an unknown encoding, damage, bytes after its end."""


class Inflater:
    """Decodes a body block by block. Raises ContentEncodingError for an encoding that is unknown."""

    def __init__(self, encoding: str) -> None:
        if encoding not in KNOWN:
            raise ContentEncodingError("an unknown Content-Encoding")
        self._encoding = encoding
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed body has come."""
        return self._stream.eof

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield what `block` unpacks to, in pieces of at most PIECE bytes. Raises ContentEncodingError."""
        rest = block
        while rest:
            if self._stream.eof:
                raise ContentEncodingError(f"bytes after the end of the {self._encoding} stream")
            try:
                piece = self._stream.decompress(rest, PIECE)
            except zlib.error as error:
                raise ContentEncodingError(f"a damaged {self._encoding} stream ({error})") from None
            rest = self._stream.unused_data or self._stream.unconsumed_tail
            if piece:
                yield piece


def content_encoding(value: str | None) -> str:
    """The encoding that a Content-Encoding header names, in lower case; `identity` without one."""
    return (value or "identity").strip().lower() or "identity"

"""Firmware image of the simulated board: what is written into its flash, and what the board then says that it is.

A real image has its name as a text somewhere in its code, and nothing but its own start tells whether it is whole. This
one has a head instead: MAGIC, size in four bytes, CRC-32 in four, then the name and filling."""

from __future__ import annotations

import zlib

MAGIC = b"SIMFW001"
_HEAD = len(MAGIC) + 8


def build_image(name: str, size: int = 4096) -> bytes:
    """Build an image of `size` bytes; the board with it says `name` as its FIRMWARE_NAME."""
    text = name.encode() + b"\0"
    seed = zlib.crc32(text)
    filling = bytes((i * 37 + seed) % 251 for i in range(max(0, size - _HEAD - len(text))))
    body = text + filling
    return MAGIC + len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def read_name(flash: bytes | bytearray) -> str | None:
    """Read the name of the image at the flash's start; None for no image, or one that is not whole: it does not run."""
    if bytes(flash[: len(MAGIC)]) != MAGIC:
        return None
    size, checksum = (int.from_bytes(flash[at : at + 4], "big") for at in (len(MAGIC), len(MAGIC) + 4))
    body = bytes(flash[_HEAD : _HEAD + size])
    if len(body) != size or zlib.crc32(body) != checksum:
        return None
    return body.partition(b"\0")[0].decode("ascii", "replace")

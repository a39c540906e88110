"""Of a transfer that may be cut off with its process: what the next process must know to go on with it.

    NAME.part       the bytes that are here
    NAME.part.from  JSON: which file of the server they belong to

Only within one boot of the machine: after a power cut nobody knows which of the bytes are on the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """`validator` is what If-Range takes (RFC 9110 §13.1.5), `expected` the checksums: algorithm -> hexadecimal."""

    boot: str
    validator: str
    expected: dict[str, str] = {}


def sidecar(part: Path) -> Path:
    """Where the origin of `part` is kept."""
    return part.with_name(part.name + ".from")


def origin(part: Path, boot: str) -> Origin | None:
    """What is known of `part`; None where it cannot be gone on with."""
    try:
        found = msgspec.json.decode(sidecar(part).read_bytes(), type=Origin)
    except (OSError, msgspec.DecodeError):
        return None
    return found if boot and found.boot == boot and found.validator and part.is_file() else None


def note(part: Path, found: Origin) -> None:
    """Keep it, where there is something to go on with. Raises OSError."""
    forget(part)
    if found.boot and found.validator:
        fd = os.open(sidecar(part), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(found))


def forget(part: Path) -> None:
    """The transfer is over, or another one. Raises OSError."""
    sidecar(part).unlink(missing_ok=True)

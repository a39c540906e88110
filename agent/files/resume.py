"""Resume of a download by the next process: which file of the server a partial file belongs to.

    NAME.part       the bytes received so far
    NAME.part.from  JSON: which file of the server they belong to

Only within one boot of the machine: after a power cut it is not known which of the bytes are on the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """Which file of the server a partial file belongs to, and the boot of the machine that it was written in.

    `validator` is the value of If-Range (RFC 9110 §13.1.5), `expected` maps algorithms to hexadecimal digests.
    """

    boot: str
    validator: str
    expected: dict[str, str] = {}


def origin_path(part: Path) -> Path:
    """Path of the file that holds the origin of `part`."""
    return part.with_name(part.name + ".from")


def load_origin(part: Path, boot: str) -> Origin | None:
    """The origin of `part`; None where its download cannot be resumed."""
    try:
        origin = msgspec.json.decode(origin_path(part).read_bytes(), type=Origin)
    except (OSError, msgspec.DecodeError):
        return None
    return origin if boot and origin.boot == boot and origin.validator and part.is_file() else None


def save_origin(part: Path, origin: Origin) -> None:
    """Write the origin of `part`, where its download could be resumed. Raises OSError."""
    delete_origin(part)
    if origin.boot and origin.validator:
        fd = os.open(origin_path(part), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(origin))


def delete_origin(part: Path) -> None:
    """Delete the origin of `part`: its download has ended, or begins again. Raises OSError."""
    origin_path(part).unlink(missing_ok=True)

"""Emergency commands (M108, M112, M410, M876): found in a line that is read, or, by the emergency parser, in the bytes
as they arrive, whatever waits in the buffers (docs/serial.md §6a, 23)."""

from __future__ import annotations

import re

from drivers.simulated.command_line import body_of
from drivers.simulated.dialect import Dialect

_LINE = re.compile(rb"[ ]*(?:N[-0-9 ]*)?(M876 *S\d|M(?!876)\d{3})")
_KEEP = 64


def codes_in(line: bytes, dialect: Dialect) -> list[bytes]:
    """The emergency code of a line that acts when it is read, in a list; else an empty one."""
    line = line.lstrip(b" ")
    if line[:1] == b"N" and dialect.early_numbered:
        line = body_of(line)
    if dialect.boxes and line[:4] == b"M292":
        return [line]
    return [line[:4]] if line[:4] in dialect.early else []


def codes_of_parser(dialect: Dialect) -> tuple[bytes, ...]:
    """The codes that an emergency parser acts on."""
    return (*dialect.early, b"M876") if dialect.prompts else dialect.early


class EmergencyParser:
    """Finds emergency codes in received bytes, M876 with its `S…`; a code acts at the end of its line (docs/serial.md
    §23)."""

    def __init__(self, dialect: Dialect) -> None:
        self._codes = codes_of_parser(dialect)
        self._start = b""

    def scan(self, data: bytes) -> list[bytes]:
        """The emergency codes of the lines that end in `data`, in order."""
        *lines, rest = (self._start + data).replace(b"\r", b"\n").split(b"\n")
        self._start = rest[:_KEEP]
        found = (_LINE.match(line) for line in lines)
        return [match[1] for match in found if match is not None and match[1][:4] in self._codes]

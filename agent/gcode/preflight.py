"""Preflight checks of single lines: what must not reach a printer, found before the print starts. Pure."""

from __future__ import annotations

import re

from agent.errors import DataError
from agent.gcode.command_policy import LINE_SIZES
from agent.gcode.framing import framed_length
from agent.gcode.words import COMMAND

MAX_FRAMED = max(LINE_SIZES.values())
"""Bytes of a numbered line with its checksum that some firmware takes (docs/serial.md §11)."""

SHORT = 64
"""Bytes of code that fit whatever the number and the checksum are: `N` + 19 digits + blank + `*255` + SHORT < 95."""

EXCERPT = 60
"""Characters of a bad line that an error shows."""
REASON = 300
"""Characters of why a line is refused."""

# A command with numbers: G1 X10.5 Y-3.
_QUOTABLE = re.compile(
    rb"[GM]\d{1,4}(?:\.\d)?(?![0-9A-Za-z_.])(?:[ \t]*[A-Z][-+]?\d{1,12}(?:\.\d{0,9})?(?![0-9A-Za-z_.]))*", re.IGNORECASE
)
_COMMAND = re.compile(rb"(?<![A-Z_])" + COMMAND)
_HEADS = (
    (b"GCDE", "a binary G-code file; export it as plain G-code"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a ZIP archive (a 3MF project?)"),
    (b"\x89PNG", "a picture"),
    (b"%PDF", "a PDF document"),
)


def too_long(ordinal: int, code: bytes) -> dict[str, str]:
    """Firmware -> why the line does not fit its buffer, for those whose it does not fit (docs/serial.md §11)."""
    length = framed_length(ordinal, code)
    return {
        dialect: f"the line is {length} bytes long as it is sent (with number and checksum), allowed are {size}"
        for dialect, size in LINE_SIZES.items()
        if length > size
    }


def foreign(head: bytes) -> str:
    """The file type of a file that begins with `head`, where it is certainly not G-code; empty otherwise."""
    return next((what for magic, what in _HEADS if head.startswith(magic)), "")


def not_a_command(code: bytes) -> str:
    """The reason why `code` cannot be a line of G-code, by its first character; empty if it can."""
    if code[:1].isalpha() or code[:1] in (b"@", b"_"):
        return ""
    if code[:1] == b"<":
        return "not G-code, it looks like an HTML page (did the link lead to a login or an error page?)"
    return "not G-code: a line begins with a letter, «@» or «_»"


def has_command(code: bytes) -> bool:
    """Whether `code` begins with a G, M or T command."""
    return _COMMAND.match(code.upper()) is not None


def refusal(line: int, code: bytes, why: str) -> DataError:
    """The error that refuses the file for its physical line `line` (1-based).

    It quotes the G-code words that the line begins with and nothing else: the file may be an answer that whoever named
    its address is not entitled to read."""
    words = _QUOTABLE.match(code)
    text = words[0].decode("ascii").strip().expandtabs(1) if words else ""
    excerpt = text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
    reason = why if len(why) <= REASON else why[: REASON - 1] + "…"
    return DataError(f"line {line} of the file: {reason}" + (f": «{excerpt}»" if excerpt else ""))

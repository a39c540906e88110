"""G-code words: what a command, a parameter and a sendable line are, for the file's checker and the sender alike. Pure.

A *word* is one ASCII letter and a number: `G1`, `X-1.5`, `S200`. Blanks may stand between the two, both cases of a
letter are the same word, and bytes that are not ASCII are in no word. A *command* is the first word of a line; its
letter is G, M or T and its number is whole, written with any number of leading zeros (`G01` is `G1`). What follows are
its *parameters*. A line that begins otherwise is a macro's name (Klipper), `@` and a host's command, or nonsense.

A fraction behind a command's number is a *subcode*: `G92.1` is another command than `G92` for some firmwares, others
pass over the fraction. So what is dangerous or slow is judged without it, and what sets a mode is followed only where
there is none.

Patterns are made of the fragments below, so that all agree on what a number is. A pattern that is not compiled with
`re.IGNORECASE` looks for capitals alone: that is what slicers write, and twice as fast. The simulated firmware has a
parser of its own (drivers.simulated.command_line), as lenient as the firmware is.
"""

from __future__ import annotations

import re

from agent.core.driver import COMMAND_SIZE
from agent.errors import DataError

BLANKS = rb"[ \t\f\v]*"
"""Between a letter and its number: any blank but an end of line, so that a pattern may search a whole text."""
_LETTER_AND_NUMBER = rb"([GMT])" + BLANKS + rb"0*(\d{1,6})"
COMMAND = _LETTER_AND_NUMBER + rb"(?!\d)"
"""A command, whatever its subcode (two groups: the letter, the number without leading zeros)."""
COMMAND_WITHOUT_SUBCODE = _LETTER_AND_NUMBER + rb"(?![\d.])"
"""The same, only where there is no subcode."""
UNSIGNED = rb"(?:\d+\.?\d*|\.\d+)"
NUMBER = rb"[-+]?" + UNSIGNED
"""The number of a parameter; exponents are unknown to firmwares."""

_COMMAND = re.compile(rb"\s*" + COMMAND, re.IGNORECASE)
_PARAMETER = re.compile(rb"([A-Z])" + BLANKS + rb"(" + NUMBER + rb")")
_COMMAND_START = re.compile(rb"[GMTgmt]\d")
_ONLY_WORDS = re.compile(rb"\w[\d.]+(?:\s*[A-Za-z](?:\s*[-+]?[\d.]+|(?=\s|$)))*\s*$")


def command_word(code: bytes) -> bytes:
    """The command of a line, for example `G1` for `G01 X1`, `T` for `T0`; empty when there is none."""
    command = _COMMAND.match(code)
    if command is None:
        return b""
    letter = command[1].upper()
    return letter if letter == b"T" else letter + command[2]


def parameters(code: bytes) -> dict[bytes, float]:
    """The parameters that have numbers, `{b"X": 10.0}`; capitals only, the command's own letter is not among them."""
    command = _COMMAND.match(code)
    return {letter: float(number) for letter, number in _PARAMETER.findall(code, command.end())} if command else {}


def uppercase(code: bytes) -> bytes:
    """`code` as Marlin understands it, to which lower case is unknown (docs/serial.md §5a). A text keeps its letters,
    and so does what is no G, M or T with a number."""
    if code.isupper() or not _COMMAND_START.match(code):
        return code
    return code.upper() if _ONLY_WORDS.match(code) else code[:1].upper() + code[1:]


def host_line(line: str) -> bytes:
    """A line of the host's own (a script's, a preamble's) as it is sent: no comment, no blanks around it; may be empty.
    Raises DataError for a line that is not one line of ASCII or does not fit the firmware's buffer."""
    code = line.split(";", 1)[0].strip()
    if not code.isascii() or not code.isprintable():
        raise DataError(f"G-code {line[:60]!r}: expected one line of printable ASCII")
    if len(code) > COMMAND_SIZE - 1:
        raise DataError(f"G-code {line[:60]!r}…: {len(code)} bytes, at most {COMMAND_SIZE - 1} fit the firmware")
    return uppercase(code.encode("ascii"))


MAY_BE_UNKNOWN = b"?"
"""Before a script's line whose command the firmware need not know."""


def script_line(line: str) -> bytes:
    """A line of a configured script, as `host_line`; `?` before it stays. Raises as `host_line`, and for a `?` without
    a command."""
    text = line.strip()
    code = host_line(text.removeprefix("?"))
    if not text.startswith("?"):
        return code
    if not code or code.startswith(MAY_BE_UNKNOWN):
        raise DataError(f"G-code {line[:60]!r}: expected a command after ?")
    return MAY_BE_UNKNOWN + code

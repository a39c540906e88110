"""Parser of the simulated firmware: a command line to its code and parameters, as leniently as Marlin does it.

On purpose not agent.gcode.words: the simulator is what that is tested by. It passes over subcodes (`G92.1` is `G92`)
and over letters that it does not know."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CODE = re.compile(rb"([GMT]) *(\d+)(?:\.\d+)?")
_WORD = re.compile(rb"([A-Z]) *([-+]?(?:\d+\.?\d*|\.\d+))?")


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A parsed command. `code` is normalised (`G01` is `G1`); `text` is all that follows it; a letter without a
    number has the value None."""

    code: str
    text: bytes
    values: dict[str, float | None]

    def has(self, letter: str) -> bool:
        """Whether the letter is there, with a number or without."""
        return letter in self.values

    def number(self, letter: str) -> float | None:
        """The letter's number; None when the letter or its number is missing."""
        return self.values.get(letter)


def body_of(line: bytes) -> bytes:
    """The command without line number and checksum: from the first letter behind `N<digits>` to the first `*`."""
    line = line.lstrip(b" ")
    if line[:1] == b"N" and line[1:2] and line[1:2] in b"-0123456789":
        line = line[1:].lstrip(b"-0123456789").lstrip(b" ")
    star = line.find(b"*")
    return line if star < 0 else line[:star].rstrip(b" ")


def parse_command(body: bytes) -> ParsedCommand | None:
    """The command in `body`, or None when it does not begin with a G, M or T code. Lower case is not understood
    (docs/serial.md §5a), nor are letters without meaning an error: as in the firmware, they are only never asked
    for."""
    match = _CODE.match(body)
    if match is None:
        return None
    text = body[match.end() :].lstrip(b" ")
    values = {
        letter.decode(): float(number) if number else None
        for letter, number in (found.groups() for found in _WORD.finditer(text))
    }
    return ParsedCommand(f"{match[1].decode()}{int(match[2])}", text, values)


def number_of(line: bytes) -> bytes:
    """` N12` for a line with a number, as it is in the line; nothing for one without."""
    line = line.lstrip(b" ")
    digits = len(line) - len(line[1:].lstrip(b"-0123456789")) if line[:1] == b"N" else 0
    return b" " + line[:digits] if digits else b""

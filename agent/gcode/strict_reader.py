"""Read a sendable line strictly: as one reading that no firmware can differ from, or say why there is none. Pure.

A line of code is words, each an ASCII letter and a plain decimal number, in either case and with blanks anywhere:

    M104 S210      G1X10Y-.5      g28 x y      T0      M109 T1 R200

What firmwares read in different ways is refused rather than guessed at: exponents and hexadecimal digits behind a
number (`S4E2` is 4, or 400), a number of a command above 9,999 (Marlin keeps 16 bits of it: M65640 is M104), control
characters (a backspace deletes, Ctrl-X halts Smoothieware), bytes that are not ASCII (Klipper takes the digits of any
script), quotes, braces and `=` outside of the commands that have them.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agent.gcode.words import BLANKS, NUMBER

_PRINTABLE = re.compile(rb"[\t -~]*")
_COMMAND = re.compile(rb"([GMT])" + BLANKS + rb"(-?)(\d{1,6})(?:\.(\d{1,2}))?(?![\d.]|E[-+]?\d)")
_TOOL_CHOICE = re.compile(rb"T[?XC]")  # Prusa's MMU asks for it, or loads it
_WORD = re.compile(rb"[ \t]*([A-Z])(?:[ \t]*(" + NUMBER + rb")((?::" + NUMBER + rb")*))?")
_OTHER_NUMBER = re.compile(rb"[\d.][EX][-+]?[\d.]")
"""Something behind a number that some take for its exponent, or for the beginning of a hexadecimal one."""
_PLACEHOLDER = re.compile(rb"\{[a-z_][a-z0-9_]*\}|\[[a-z_][a-z0-9_]*\]")
_NAME = re.compile(rb"([A-Z_][A-Z_]+\d*)(?=[ \t]|$)")
_ARGUMENT = re.compile(rb"[ \t]+([A-Z0-9_]+)=(\"[^\"\\]*\"|'[^'\\]*'|[^\s\"'\\#]*)(?=[ \t]|$)")

HIGHEST: Final = 9_999
"""The highest number of a command."""


class Word(msgspec.Struct, frozen=True):
    """A letter and its numbers: none for a letter alone, several where a firmware takes lists."""

    letter: str
    numbers: tuple[float, ...] = ()


class CodeLine(msgspec.Struct, frozen=True):
    """A line that begins with a G, M or T command, `command` (`T` for all tools). `others` are the G and M commands
    behind it; `words` all that is no command; for a command with a text: only `text`."""

    command: str
    words: tuple[Word, ...] = ()
    others: tuple[str, ...] = ()
    exponents: bool = False  # a letter directly behind a digit that some firmware takes as part of the number
    lists: bool = False  # numbers with colons
    placeholder: bool = False  # something that a slicer should have put a number for: `Y{machine_depth}`


class NamedLine(msgspec.Struct, frozen=True):
    """A line that begins with a longer name (Klipper), with its arguments; None where they are not KEY=VALUE."""

    name: str
    arguments: tuple[tuple[str, str], ...] | None


class UnreadableError(Exception):
    """There is no one reading of the line; the text says why."""


def first_command(upper: bytes) -> tuple[str, int]:
    """The command that a line begins with, `upper` without blanks around it, and where it ends; empty when it begins
    with none. Raises UnreadableError for a number that firmwares read in different ways."""
    found = _COMMAND.match(upper)
    if found is None:
        if upper[:1] in b"GMT" and upper[1:].lstrip(b" \t")[:1] in b"0123456789.-+":
            raise UnreadableError("the number of the command is not one that every firmware reads alike")
        return ("T", 2) if _TOOL_CHOICE.fullmatch(upper) else ("", 0)
    return _name(found), found.end()


def code_line(code: bytes, upper: bytes, command: str, at: int) -> CodeLine:
    """Read the words of `code` (and with capitals, `upper`) behind `command`, which ends at `at`. Raises
    UnreadableError."""
    words: list[Word] = []
    others: list[str] = []
    lists = placeholder = False
    end = len(upper)
    while at < end:
        if upper[at] in b" \t":
            at += 1
        elif upper[at] in b"GM":
            other = _COMMAND.match(upper, at)
            if other is None:
                raise UnreadableError(f"«{chr(upper[at])}» without the number of a command")
            others.append(_name(other))
            at = other.end()
        elif upper[at] in b"{[" and words and (left := _PLACEHOLDER.match(code, at)):
            placeholder, at = True, left.end()
        else:
            word = _WORD.match(upper, at)
            if word is None:
                raise UnreadableError("what is no letter and a number")
            numbers = (word[2], *word[3].split(b":")[1:]) if word[2] else ()
            lists = lists or len(numbers) > 1
            words.append(Word(word[1].decode(), tuple(map(float, numbers))))
            at = word.end()
    exponents = _OTHER_NUMBER.search(upper) is not None
    return CodeLine(command, tuple(words), tuple(others), exponents, lists, placeholder)


def named_line(upper: bytes) -> NamedLine:
    """Read a line that begins with a name. Raises UnreadableError."""
    found = _NAME.match(upper)
    if found is None:
        raise UnreadableError("it begins with no command and no name")
    at = found.end()
    arguments: list[tuple[str, str]] = []
    while at < len(upper):
        argument = _ARGUMENT.match(upper, at)
        if argument is None:
            return NamedLine(found[1].decode(), None)
        arguments.append((argument[1].decode(), argument[2].strip(b"\"'").decode()))
        at = argument.end()
    return NamedLine(found[1].decode(), tuple(arguments))


def unprintable(code: bytes, *, text: bool) -> str:
    """Why the bytes of a line cannot be sent; empty if they can. `text`: UTF-8 is fine too."""
    if _PRINTABLE.fullmatch(code):
        return ""
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in code):
        return "the line holds a control character"
    if not text:
        return "the line holds a character that is not ASCII"
    try:
        return "" if code.decode("utf-8").replace("\xa0", " ").replace("\t", " ").isprintable() else _NO_TEXT
    except UnicodeDecodeError:
        return _NO_TEXT


_NO_TEXT = "its text is not printable UTF-8"


def _name(command: re.Match[bytes]) -> str:
    letter, sign, number = command[1].decode(), command[2], int(command[3])
    if number > HIGHEST:
        raise UnreadableError(f"the number {number} of a command: firmwares know none above {HIGHEST}")
    if sign and letter != "T":
        raise UnreadableError("the number of a command is negative")
    return letter if letter == "T" else f"{letter}{number}"

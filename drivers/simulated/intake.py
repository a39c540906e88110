"""From received bytes to accepted command lines: receive buffer, comments, line numbers, checksums.

Marlin 2.1.2's rules (SERIAL.md §5a, 7–9b, 11, 13): which line is accepted, which is asked for again, which is passed
over in silence."""

from __future__ import annotations

from enum import Enum
from functools import reduce
from operator import xor

from agent.core.ports import COMMAND_SIZE

_TEXT = COMMAND_SIZE - 1  # what is left of the command buffer beside its terminating NUL
_BACKSLASH, _BACKSPACE, _SEMICOLON = 92, 8, 59
_SPECIAL = b"\\\x08;"


class Mode(Enum):
    """What the next byte of a line is for."""

    NORMAL = "normal"
    SKIP = "skip"  # to the end of the line: a comment, or more than the command buffer holds
    ESCAPED = "escaped"


class Verdict(Enum):
    """What becomes of a line."""

    ACCEPT = "accept"
    STALE = "stale"  # a repeat of the last accepted line or the one before: no answer at all
    WRONG_NUMBER = "Line Number is not Last Line Number+1, Last Line: "
    WRONG_CHECKSUM = "checksum mismatch, Last Line: "
    NO_CHECKSUM = "No Checksum with line number, Last Line: "


def leading_number(text: bytes) -> int:
    """The number at the start of `text` as C's strtol reads it: blanks, a sign, digits; 0 when there is none."""
    text = text.lstrip(b" \t")
    sign = -1 if text[:1] == b"-" else 1
    if text[:1] in (b"-", b"+"):
        text = text[1:]
    digits = len(text) - len(text.lstrip(b"0123456789"))
    return sign * int(text[:digits]) if digits else 0


class Intake:
    """The receive buffer, the line that is being put together, and the number of the last accepted line."""

    def __init__(self, rx_buffer: int) -> None:
        self.last_line = 0
        self.lost = 0  # bytes that found the receive buffer full
        self._room = rx_buffer - 1
        self._rx = bytearray()
        self._line = bytearray()
        self._mode = Mode.NORMAL

    @property
    def empty(self) -> bool:
        """Nothing is waiting, not even part of a line."""
        return not self._rx and not self._line and self._mode is Mode.NORMAL

    def receive(self, data: bytes) -> None:
        """Take bytes from the wire. `settle` must follow once the lines that can be taken have been."""
        self._rx += data

    def settle(self) -> None:
        """What nobody took stays in the receive buffer as far as that goes; the rest is lost."""
        self.lost += max(0, len(self._rx) - self._room)
        del self._rx[self._room :]

    def flush(self) -> None:
        """Throw away everything buffered, as the firmware does before it asks for a line again (SERIAL.md §9)."""
        self._rx.clear()
        self._line.clear()
        self._mode = Mode.NORMAL

    def next_line(self) -> bytes | None:
        """The next command line, without comment and end of line and at most 95 bytes long; blank lines are passed
        over. None when there is no whole line."""
        rx = self._rx
        while rx:
            end = _end_of_line(rx)
            chunk = bytes(rx[:end]) if end >= 0 else bytes(rx)
            del rx[: len(chunk) + (end >= 0)]
            self._take(chunk)
            if end >= 0:
                line = bytes(self._line)
                self._line.clear()
                self._mode = Mode.NORMAL
                if line:
                    return line
        return None

    def _take(self, chunk: bytes) -> None:
        plain = self._mode is Mode.NORMAL and not any(byte in chunk for byte in _SPECIAL)
        if plain and len(self._line) + len(chunk) < _TEXT:
            self._line += chunk
            return
        for byte in chunk:
            if self._mode is Mode.SKIP:
                return
            if self._mode is Mode.NORMAL and byte in (_BACKSLASH, _SEMICOLON):
                self._mode = Mode.ESCAPED if byte == _BACKSLASH else Mode.SKIP
                continue
            self._mode = Mode.NORMAL
            if byte == _BACKSPACE:
                del self._line[-1:]
                continue
            self._line.append(byte)
            if len(self._line) >= _TEXT:
                self._mode = Mode.SKIP

    def judge(self, line: bytes) -> tuple[Verdict, int | None]:
        """What becomes of a line, and its number; None when it has none. Changes nothing."""
        command = line.lstrip(b" ")
        if command[:1] != b"N":
            return Verdict.ACCEPT, None
        sets_number = b"M110" in command  # anywhere, even in a message (SERIAL.md §13)
        place = command.find(b"N", 4) if sets_number else 0
        number = leading_number(command[max(place, 0) + 1 :])
        if number != self.last_line + 1 and not sets_number:
            stale = self.last_line - 1 <= number <= self.last_line
            return (Verdict.STALE if stale else Verdict.WRONG_NUMBER), number
        star = command.rfind(b"*")
        if star < 0:
            return Verdict.NO_CHECKSUM, number
        if leading_number(command[star + 1 :]) != reduce(xor, command[:star], 0):
            return Verdict.WRONG_CHECKSUM, number
        return Verdict.ACCEPT, number


def _end_of_line(data: bytearray) -> int:
    """The index of the first CR or LF, -1 when there is none."""
    newline, carriage = data.find(10), data.find(13)
    if newline < 0 or carriage < 0:
        return max(newline, carriage)
    return min(newline, carriage)

"""Receive buffer of the simulated firmware: bytes to accepted command lines; comments, line numbers, checksums.

Which line is accepted, asked for again or passed over in silence is as the dialect has it, Marlin 2.1.2
unless told (docs/serial.md §5a, 7–9b, 11, 13)."""

from __future__ import annotations

from enum import Enum
from functools import reduce
from operator import xor

from drivers.simulated.command_line import body_of
from drivers.simulated.dialect import ChecksumRule, Dialect, LineVerdict

_BACKSLASH, _BACKSPACE, _SEMICOLON = 92, 8, 59
_SPECIAL = b"\\\x08;"


class Mode(Enum):
    """How the next byte of a line is taken."""

    NORMAL = "normal"
    SKIP = "skip"  # to the end of the line: a comment, or more than the command buffer holds
    ESCAPED = "escaped"


def leading_number(text: bytes) -> int:
    """The number at the start of `text` as C's strtol reads it: blanks, a sign, digits; 0 when there is none."""
    text = text.lstrip(b" \t")
    sign = -1 if text[:1] == b"-" else 1
    if text[:1] in (b"-", b"+"):
        text = text[1:]
    digits = len(text) - len(text.lstrip(b"0123456789"))
    return sign * int(text[:digits]) if digits else 0


class LineReceiver:
    """The receive buffer, the line that is being put together, and the number of the last accepted line."""

    def __init__(self, dialect: Dialect) -> None:
        self.last_line = 0
        self.lost = 0  # bytes that found the receive buffer full
        self._dialect = dialect
        self._room = dialect.rx_buffer - 1
        self._text = dialect.line_size - 1  # what is left of the command buffer beside its terminating NUL
        self._rx = bytearray()
        self._line = bytearray()
        self._mode = Mode.NORMAL

    @property
    def empty(self) -> bool:
        """Whether nothing is waiting, not even part of a line or the rest of a comment."""
        return not self._rx and not self._line and self._mode is Mode.NORMAL

    def receive(self, data: bytes) -> None:
        """Take bytes from the wire. `drop_overflow` must follow once the lines that can be taken have been."""
        # Where a blank line gets an `ok`, the end of a line is LF alone.
        self._rx += data.replace(b"\r", b"") if self._dialect.blank_ok else data

    def drop_overflow(self) -> None:
        """Drop the bytes that do not fit the receive buffer."""
        self.lost += max(0, len(self._rx) - self._room)
        del self._rx[self._room :]

    def flush(self) -> None:
        """Drop everything buffered, as the firmware does before it asks for a line again (docs/serial.md §9)."""
        self._rx.clear()
        self._line.clear()
        self._mode = Mode.NORMAL

    def next_line(self) -> bytes | None:
        """The next command line, without comment and end of line and no longer than the command buffer; blank lines
        are passed over where they get no `ok`. None when there is no whole line."""
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
                if line or self._dialect.blank_ok:
                    return line
        return None

    def _take(self, chunk: bytes) -> None:
        plain = self._mode is Mode.NORMAL and not any(byte in chunk for byte in _SPECIAL)
        if plain and len(self._line) + len(chunk) < self._text:
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
            if len(self._line) >= self._text:
                self._mode = Mode.SKIP

    def check(self, line: bytes) -> tuple[LineVerdict, int | None]:
        """Check a line: the verdict, and its number, None when it has none. Changes nothing."""
        dialect = self._dialect
        command = line.lstrip(b" ")
        if command[:1] != b"N":
            return self._check_unnumbered(command), None
        sets_number = self._sets_number(command)
        place = command.find(b"N", 4) if sets_number and not dialect.m110_outer else 0
        number = leading_number(command[max(place, 0) + 1 :])
        order = LineVerdict.ACCEPT
        if dialect.numbers and number != self.last_line + 1 and not sets_number:
            order = LineVerdict.STALE if 0 <= self.last_line - number < dialect.stale else LineVerdict.WRONG_NUMBER
        total = self._check_checksum(command)
        first, second = (total, order) if dialect.checksum_first else (order, total)
        return (second if first is LineVerdict.ACCEPT else first), number

    def _check_unnumbered(self, command: bytes) -> LineVerdict:
        dialect = self._dialect
        if dialect.checksums is ChecksumRule.ALL and not command.startswith(b"M110"):
            return self._check_checksum(command)
        if b"*" in command and not dialect.lone_checksum:
            return LineVerdict.NO_NUMBER
        return LineVerdict.ACCEPT

    def _check_checksum(self, command: bytes) -> LineVerdict:
        needed = self._dialect.checksums
        star = command.rfind(b"*")
        if needed is ChecksumRule.IGNORED:
            return LineVerdict.ACCEPT
        if star < 0:
            return LineVerdict.ACCEPT if needed is ChecksumRule.NONE else LineVerdict.NO_CHECKSUM
        right = leading_number(command[star + 1 :]) == reduce(xor, command[:star], 0)
        return LineVerdict.ACCEPT if right else LineVerdict.WRONG_CHECKSUM

    def _sets_number(self, command: bytes) -> bool:
        """Whether it is an M110. Some find that anywhere, even in a message (docs/serial.md §13)."""
        if b"M110" not in command:
            return False
        return self._dialect.m110_anywhere or body_of(command).startswith(b"M110")


def _end_of_line(data: bytearray) -> int:
    """The index of the first CR or LF, -1 when there is none."""
    newline, carriage = data.find(10), data.find(13)
    if newline < 0 or carriage < 0:
        return max(newline, carriage)
    return min(newline, carriage)

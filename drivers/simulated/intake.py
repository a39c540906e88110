"""From received bytes to accepted command lines: receive buffer, comments, line numbers, checksums.

Which line is accepted, which is asked for again, which is passed over in silence: as the family has it, Marlin 2.1.2
unless told (docs/serial.md §5a, 7–9b, 11, 13)."""

from __future__ import annotations

from enum import Enum
from functools import reduce
from operator import xor

from drivers.simulated.dialect import Dialect, Sum, Verdict
from drivers.simulated.words import body_of

_BACKSLASH, _BACKSPACE, _SEMICOLON = 92, 8, 59
_SPECIAL = b"\\\x08;"


class Mode(Enum):
    """What the next byte of a line is for."""

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


class Intake:
    """The receive buffer, the line that is being put together, and the number of the last accepted line."""

    def __init__(self, family: Dialect) -> None:
        self.last_line = 0
        self.lost = 0  # bytes that found the receive buffer full
        self._family = family
        self._room = family.rx_buffer - 1
        self._text = family.line_size - 1  # what is left of the command buffer beside its terminating NUL
        self._rx = bytearray()
        self._line = bytearray()
        self._mode = Mode.NORMAL

    @property
    def empty(self) -> bool:
        """Nothing is waiting, not even part of a line or the rest of a comment."""
        return not self._rx and not self._line and self._mode is Mode.NORMAL

    def receive(self, data: bytes) -> None:
        """Take bytes from the wire. `settle` must follow once the lines that can be taken have been."""
        # Where a blank line gets an `ok`, the end of a line is LF alone.
        self._rx += data.replace(b"\r", b"") if self._family.blank_ok else data

    def settle(self) -> None:
        """What nobody took stays in the receive buffer as far as that goes; the rest is lost."""
        self.lost += max(0, len(self._rx) - self._room)
        del self._rx[self._room :]

    def flush(self) -> None:
        """Throw away everything buffered, as the firmware does before it asks for a line again (docs/serial.md §9)."""
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
                if line or self._family.blank_ok:
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

    def judge(self, line: bytes) -> tuple[Verdict, int | None]:
        """What becomes of a line, and its number; None when it has none. Changes nothing."""
        family = self._family
        command = line.lstrip(b" ")
        if command[:1] != b"N":
            return self._judge_unnumbered(command), None
        sets_number = self._sets_number(command)
        place = command.find(b"N", 4) if sets_number and not family.m110_outer else 0
        number = leading_number(command[max(place, 0) + 1 :])
        order = Verdict.ACCEPT
        if family.numbers and number != self.last_line + 1 and not sets_number:
            order = Verdict.STALE if 0 <= self.last_line - number < family.stale else Verdict.WRONG_NUMBER
        total = self._judge_checksum(command)
        first, second = (total, order) if family.checksum_first else (order, total)
        return (second if first is Verdict.ACCEPT else first), number

    def _judge_unnumbered(self, command: bytes) -> Verdict:
        family = self._family
        if family.checksums is Sum.ALL and not command.startswith(b"M110"):
            return self._judge_checksum(command)
        if b"*" in command and not family.lone_checksum:
            return Verdict.NO_NUMBER
        return Verdict.ACCEPT

    def _judge_checksum(self, command: bytes) -> Verdict:
        needed = self._family.checksums
        star = command.rfind(b"*")
        if needed is Sum.IGNORED:
            return Verdict.ACCEPT
        if star < 0:
            return Verdict.ACCEPT if needed is Sum.NONE else Verdict.NO_CHECKSUM
        right = leading_number(command[star + 1 :]) == reduce(xor, command[:star], 0)
        return Verdict.ACCEPT if right else Verdict.WRONG_CHECKSUM

    def _sets_number(self, command: bytes) -> bool:
        """Is it M110? Some find it anywhere, even in a message (docs/serial.md §13)."""
        if b"M110" not in command:
            return False
        return self._family.m110_anywhere or body_of(command).startswith(b"M110")


def _end_of_line(data: bytearray) -> int:
    """The index of the first CR or LF, -1 when there is none."""
    newline, carriage = data.find(10), data.find(13)
    if newline < 0 or carriage < 0:
        return max(newline, carriage)
    return min(newline, carriage)

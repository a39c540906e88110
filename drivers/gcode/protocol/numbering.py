"""Numbers on the wire. Two spaces that can never be mistaken for each other, and what was sent last in the present one.

A line of the file carries its ordinal. A line the host adds (polls, scripts, settings) has a number and a checksum too,
so that a garbled `M155 S2` is asked for again instead of being carried out as something else; its number lies above
HOST. An `M110` leads from one space to the other. Should it get lost, the very next line is far from what the firmware
expects and makes it say so: a change of space never fails in silence. A host number also tells the file's place when
it was left (`file_line`), for whoever asks the firmware later (docs/serial.md §7, §9a).
"""

from __future__ import annotations

from agent.gcode.framing import frame
from agent.gcode.words import command_word
from drivers.gcode.protocol.phases import DRAIN, PROBE
from drivers.gcode.protocol.steps import OutgoingLine

HOST = 1_000_000_000
"""Above every ordinal (files have fewer than 71 million lines) and within a signed 32-bit number."""
VISIT = 16
"""Numbers of one visit to the host's space: its `M110` and 15 lines; a longer one begins again."""
NOWHERE = HOST - VISIT
"""Too high for the file, too low for the host, and far from both: Marlin passes over what it takes for a repeat of one
of the last two lines."""
HISTORY = 64
"""Lines that can be sent again."""
SET_LINE_NUMBER = b"M110"
_LONGEST = 95 - len(b"N1000000000 *255")
_HARMLESS = frozenset((PROBE, b"M114", DRAIN, b"G4"))
"""A host's lines whose loss would do no harm."""


def file_line(number: int) -> int:
    """The last line of the file before `number` was used, which may be a number of either space."""
    return (number - HOST) // VISIT if number >= HOST else number


def set_line_number(number: int, patience_s: float) -> OutgoingLine:
    """The `M110` after which the next line is `number + 1`; both numbers are equal because firmwares differ on which
    one wins (docs/serial.md §7)."""
    return OutgoingLine(frame(number, b"M110 N%d" % number), SET_LINE_NUMBER, number, patience_s)


def line_name(command: OutgoingLine) -> str:
    """`command` as a person is told of it: the file's line and its text, or only the text of a host's line."""
    text = command.code.decode("utf-8", "replace")
    return f"line {command.number} ({text})" if 0 < command.number < HOST else text


def numberable(code: bytes) -> bool:
    """Whether a host's line may have a number: Marlin finds `M110` anywhere in a numbered line (docs/serial.md §13),
    and a line must not become too long (§11)."""
    return b"M110" not in code and len(code) <= _LONGEST


class Numbers:
    """The present space. `cursor` is the number to be written next: up to `last` it was written before."""

    def __init__(self) -> None:
        self.base = 0  # of the M110 that opened this space
        self.last = 0  # the highest written
        self.cursor = 1
        self.ring: list[OutgoingLine | None] = [None] * HISTORY
        self.unproven = False  # the host's space holds lines that must not get lost
        self.confirmed_up_to = -1  # the printer has told that it has all up to this number

    @property
    def host(self) -> bool:
        """Whether this is the host's space."""
        return self.base >= HOST

    def host_base(self) -> int:
        """Where the host's space begins now."""
        return self.base if self.host else HOST + VISIT * self.last

    def full(self) -> bool:
        """Whether a visit to the host's space has used up its numbers."""
        return self.last - self.base >= VISIT - 1

    def adopt(self, last: int) -> None:
        """The firmware said that `last` was accepted last; of what was sent before nothing is known here. The space
        begins before it, so that the firmware is asked once more before this space is left (`preamble`)."""
        host = last >= HOST
        self.base = HOST + VISIT * file_line(last) if host else last - 1
        self.last = last
        self.cursor = last + 1
        self.unproven = True

    def written(self, command: OutgoingLine) -> None:
        """`command` is being written: keep it, if it has a number, or begin its space, if it is an M110."""
        if command.code == SET_LINE_NUMBER and command.number != self.base:
            self.begin(command)
            self.unproven = False
            self.confirmed_up_to = -1
        elif command.code == SET_LINE_NUMBER and self.cursor > self.last:
            self.begin(command)
            self.confirmed_up_to = -1
        elif command.number >= 0:
            self.keep(command)
            self.unproven = self.unproven or (self.host and command_word(command.code) not in _HARMLESS)

    def keep(self, command: OutgoingLine) -> None:
        """`command`, which has a number, is being written."""
        number = command.number
        self.last = max(self.last, number)
        self.cursor = number + 1
        self.ring[number % HISTORY] = command

    def begin(self, command: OutgoingLine) -> None:
        """`command` is an M110 that opens a space anew."""
        self.base = self.last = command.number
        self.cursor = command.number + 1
        self.ring[command.number % HISTORY] = command

    def ends_with(self, code: bytes) -> bool:
        """Whether the last line that has a number is `code`."""
        command = self.ring[self.last % HISTORY]
        return command is not None and command.number == self.last and command.code == code

    def at_cursor(self) -> OutgoingLine | None:
        """What is to be written again, None when there is nothing or it is no longer known."""
        command = self.ring[self.cursor % HISTORY]
        return command if self.cursor <= self.last and command and command.number == self.cursor else None

    def within(self, number: int) -> bool:
        """Whether the firmware can ask for `number` in this space."""
        return self.base < number <= self.last + 1

    def knows(self, number: int) -> bool:
        """Whether `number` and all after it can be sent again."""
        return self.last - number < HISTORY

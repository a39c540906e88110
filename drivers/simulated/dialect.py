"""Firmware dialect as data: one frozen struct, which `line_receiver.py` and `controller.py` read.

The dialects themselves are in `dialects.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class LineVerdict(Enum):
    """Result of the check of a received line."""

    ACCEPT = "accept"
    STALE = "stale"  # a repeat of a line that was accepted: no answer at all
    WRONG_NUMBER = "wrong number"
    WRONG_CHECKSUM = "wrong checksum"
    NO_CHECKSUM = "no checksum"
    NO_NUMBER = "a checksum without a number"


class ChecksumRule(Enum):
    """Rule which lines must have a checksum."""

    ALL = "all but M110"
    NUMBERED = "those with a number"
    NONE = "none"
    IGNORED = "none, and one that is there is not looked at"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One firmware dialect. Byte texts are %-formats with the names given beside them; sizes in bytes, times in
    seconds."""

    name: str
    identity: str  # M115: {machine}, {uuid}
    banner: str  # after power-on or a reset
    errors: Mapping[LineVerdict, bytes]  # why a line is asked for again: last, next, number
    heaters: Mapping[str, bytes]  # why it stops when a heater fails, by the fault's name
    capabilities: bool = False  # `Cap:` lines behind the identity
    # Which lines are taken (docs/serial.md §5a, 7–13)
    numbers: bool = True  # is the order of line numbers looked at?
    checksums: ChecksumRule = ChecksumRule.NUMBERED
    checksum_first: bool = False  # before the number
    lone_checksum: bool = True  # is a checksum without a number taken?
    stale: int = 0  # a repeat of one of so many last accepted lines gets no answer
    skips: int = 0  # after a request, so many lines with a wrong number are passed over, each with an ok
    m110_anywhere: bool = False  # is M110 looked for in the whole line?
    m110_outer: bool = False  # does the number of the line win over that of the command?
    blank_ok: bool = False
    any_case: bool = False
    line_size: int = 96
    rx_buffer: int = 128
    queue_size: int = 4
    # What is said (§1, 3, 8, 22)
    line_end: bytes = b"\n"
    ok_on_receipt: bool = False  # and not when the command is done
    ok_number: bool = False  # `ok 12`, but for M110
    resend: bytes | None = b"Resend: %(next)d"  # None: what cannot be used is dropped without a word
    resend_ok: bool = True
    nag: float | None = None  # the request is repeated, and a line without an end given up, after so long a silence
    idle_wait: float | None = None  # `wait` after so long with nothing to do
    temperatures: str = "T:{t:.2f} /{tt:.2f} B:{b:.2f} /{bt:.2f} @:{tp} B@:{bp}"
    temperatures_on_ok: bool = True
    countdown: bool = True  # ` W:9` behind the temperatures while heating
    place: str = "X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:{e:.2f} Count X:{cx} Y:{cy} Z:{cz}"
    place_on_ok: bool = False
    place_when_home: bool = True
    identity_on_ok: bool = False
    unknown: bytes = b'echo:Unknown command: "%(line)s"'  # line, code
    tool_targets: bool = False  # G10 sets what a tool is to have, in standby and in use
    all_off: bytes = b""  # a command that is a word: every heater off
    words: Mapping[bytes, bytes] = field(default_factory=dict)  # commands that are words, and what they say
    cold: bytes = b"echo: cold extrusion prevented"
    unhomed: bytes = b""  # why a move of an axis that is not homed is refused: x, y, z, e; the cold one is, too, then
    # What it can (§17, 23, 30)
    auto_report: bool = True
    busy: bool = True
    actions: bool = True  # `//action:` lines
    prompts: bool = True  # prompts and notifications among them, and M876
    asks_to_purge: bool = True  # M600's second question
    boxes: bool = False  # M291 asks in a box, which M292 answers (§32d); M600 runs the owner's macro that does so
    runout: bytes = b""  # what it says when the filament ends, where that does not hold the line (§32c, 32e, 32f)
    stop_button: bytes = b""  # what it says when somebody stops the print on its display
    lacks: frozenset[str] = frozenset()  # codes that it does not know, beside M155 and M113 without the above
    probing: Mapping[str, bytes] = field(default_factory=dict)  # probes the bed → what it says of each point (§15a)
    probe_points: int = 0  # of its mesh; 0: it has no probe, and does not know those commands
    # Starting (§k2)
    starting: bytes | None = None  # the answer to each line until it is ready; None: it is ready at once
    config_error: bytes = b""  # the same for ever, as its configuration cannot be used
    identity_starting: bytes = b""
    temperatures_refusing: bytes = b""  # M105 is answered with that as long as it refuses lines
    leaving: bytes = b""  # before it restarts
    restart_ok: bool = False
    # Stopping in a hurry, and afterwards (§23, 23a, 25)
    early: tuple[bytes, ...] = (b"M108", b"M112", b"M410")  # act when they are read, before their turn
    early_numbered: bool = False  # with a line number as well
    parser: bool = False  # they are read whatever waits in the buffers
    stop_byte: bytes = b""
    emergency_restarts: bool = False  # M112 resets the board
    heater_error: bytes = b"Error:%(reason)s"
    stopped: tuple[bytes, ...] = (b"Error:Printer halted. kill() called!", b"//action:poweroff")
    emergency_reason: bytes = b""
    refusal: bytes | None = None  # the answer to each line from then on: reason; None: it is dead
    refusal_ok: bool = False
    still: frozenset[str] = frozenset()  # what is executed nevertheless
    restart: tuple[bytes, ...] = (b"M997",)
    opening_resets: bool = True  # a board that has halted comes back when its port is opened anew (`ResetOnOpen`)

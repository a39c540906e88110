"""What a procedure yields: the vocabulary between what to send (procedures, feed) and how it is sent (pump).

A procedure is a generator of steps. An `OutgoingLine` is sent when a credit is free, and the generator is asked for its
next
step while the printer still works on it. An `Ask` is sent when nothing else is in flight, and the generator goes on
with what the printer answered. A `Hold` sends nothing until its condition is true; a `Stop` asks for a pause.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import IntEnum, StrEnum

import msgspec

from agent.core.driver import REFUSED
from agent.gcode.framing import frame
from drivers.gcode.protocol.patience import patience

UNNUMBERED = -1


class Unknown(IntEnum):
    """What it means that the firmware does not know a command."""

    IGNORED = 0  # nothing: lines of the file, and what the host adds by itself
    WARNS = 1
    FAILS = 2


class OutgoingLine(msgspec.Struct, frozen=True, gc=False):
    """One line to send. `number` is UNNUMBERED or its number on the wire; `wire` is the line as it is written.
    `gives_up` (with `patience` in seconds): when no `ok` comes the line is forgotten instead of asked after.
    `unknown`: what it means that the firmware does not know it."""

    wire: bytes
    code: bytes
    number: int = UNNUMBERED
    patience: float = 0.0
    gives_up: bool = False
    unknown: Unknown = Unknown.IGNORED


class Ask(msgspec.Struct, frozen=True):
    """Send a command and hand its answer (list of texts, None when it gave up) back to the procedure. `settle`:
    seconds to wait after its `ok` for a second one (docs/serial.md §1)."""

    command: OutgoingLine
    settle: float = 0.0


class Hold(msgspec.Struct, frozen=True):
    """Send nothing until `done()`, asked whenever temperatures came in, or for `limit` seconds at most."""

    done: Callable[[], bool]
    waiting: str
    limit: float


class Stop(msgspec.Struct, frozen=True):
    """The file asks for a pause; `reason` says so to a person."""

    reason: str


class End(StrEnum):
    """How a procedure ended, other than by an exception."""

    DONE = "done"
    NO_ANSWER = "no answer"
    REFUSED = "refused"


Step = OutgoingLine | Ask | Hold | Stop
Answer = list[str] | None
"""What was said until the `ok`; None: there was none."""
REFUSAL = REFUSED
"""Before the reason in the answer to a question that was refused."""
Procedure = Generator[Step, Answer, End]


def numbered(number: int, code: bytes) -> OutgoingLine:
    """A line of the file, with its ordinal and checksum."""
    return OutgoingLine(frame(number, code), code, number, patience(code))


def unnumbered(code: bytes) -> OutgoingLine:
    """A line the host adds, without number."""
    return OutgoingLine(code + b"\n", code, UNNUMBERED, patience(code))


def ask(code: bytes) -> Ask:
    """A line the host adds, whose answer is waited for."""
    return Ask(unnumbered(code))


RENUMBER = b"N0 M110 N0*125"
"""The next numbered line is 1. Both numbers are equal because firmwares differ on which one wins (docs/serial.md
§7)."""


def renumber(*, patience_s: float, gives_up: bool) -> Ask:
    """`M110`, after a newline that ends a line half sent before."""
    return Ask(OutgoingLine(b"\n" + RENUMBER + b"\n", RENUMBER, UNNUMBERED, patience_s, gives_up), settle=0.05)

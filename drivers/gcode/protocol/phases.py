"""What the parts of a `Protocol` share: its phase and failure, services before a line, counters. Pure."""

from __future__ import annotations

from enum import Enum, IntEnum, auto

from drivers.gcode.protocol.quality import Quality

PROBE = b"M105"
DRAIN = b"M400"


class Phase(IntEnum):
    """State of the exchange with the printer; `transitions` says how it changes."""

    OPEN = 0
    SETTLING = 1
    LOCATING = 2


class Service(Enum):
    """What may have to go before a line, when nothing is in flight."""

    LOCATE = auto()
    LISTEN = auto()  # a moment for an `ok` too many
    BARRIER = auto()  # an M105, whose `ok` cannot be taken for another's


class State:
    """The phase, and why nothing can be sent any more; set by the handlers and by `Sender` alone."""

    __slots__ = ("failure", "phase")

    def __init__(self) -> None:
        self.phase = Phase.OPEN
        self.failure = ""


class Counters:
    """Progress that is read from other threads: each is one assignment of an int."""

    def __init__(self, line: int = 0) -> None:
        self.line = line  # number of the last acknowledged line of the file
        self.sent = 0
        self.resent = 0  # lines sent again because they were damaged or lost on the way
        self.quality = Quality()

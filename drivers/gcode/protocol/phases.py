"""What `sending` and `protocol` share: phases, services, counters. Pure."""

from __future__ import annotations

from enum import Enum, auto

from drivers.gcode.protocol.quality import Quality

PROBE = b"M105"
DRAIN = b"M400"


class Phase(Enum):
    """See the table of `protocol`."""

    OPEN = auto()
    SETTLING = auto()
    LOCATING = auto()


class Service(Enum):
    """What may have to go before a line, when nothing is in flight."""

    LOCATE = auto()
    LISTEN = auto()  # a moment for an `ok` too many
    BARRIER = auto()  # an M105, whose `ok` cannot be taken for another's


class Counters:
    """Progress that is read from other threads: each is one assignment of an int."""

    def __init__(self, line: int = 0) -> None:
        self.line = line  # number of the last acknowledged line of the file
        self.sent = 0
        self.resent = 0
        self.quality = Quality()

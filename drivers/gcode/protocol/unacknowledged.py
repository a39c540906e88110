"""Lines that the printer has received and not acknowledged, until an M105 proves that they were executed. Pure."""

from __future__ import annotations

from collections import deque
from math import inf

from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.steps import OutgoingLine

EACH_ROUND = 8
"""So many rounds have an M105 each, the later ones each time that their count has doubled."""


class Unacknowledged:
    """`lines` is the oldest first; they fail when nothing has proved them until `deadline`. `ok_was_late`: an `ok` came
    although it was thought lost."""

    __slots__ = ("_rounds", "deadline", "lines", "ok_was_late")

    def __init__(self) -> None:
        self.lines: deque[OutgoingLine] = deque()
        self.deadline = inf
        self.ok_was_late = False
        self._rounds = 0  # in which the answer to an M105 was missing

    def take_from(self, flight: InFlight, now: float) -> bool:
        """Take over all lines in flight; whether an M105 is to be sent. With more than two M105 unanswered the printer
        works on something: then it is asked ever more rarely, and soon without an M105 each time, since those fill its
        queue."""
        if sum(command.code == PROBE for command in (*self.lines, *flight.lines)) > 2:
            flight.back_off()
            self._rounds += 1
            if self._rounds > EACH_ROUND and self._rounds & (self._rounds - 1):
                return False
        if not self.lines:
            patience = max(LONG_S, *(command.patience for command in flight.lines), 0.0)
            self.deadline = now + patience * flight.patience
            self.ok_was_late = False
        self.lines.extend(flight.lines)
        flight.keep([])
        return True

    def release(self, flight: InFlight) -> deque[OutgoingLine]:
        """An M105 was answered: hand over the lines, which were all executed."""
        lines, self.lines, self.deadline = self.lines, deque(), inf
        flight.back_off_s = 0.0
        self._rounds = 0
        return lines

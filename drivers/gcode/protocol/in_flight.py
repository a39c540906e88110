"""Lines in flight: written and not acknowledged, how many bytes they are, and the deadline for their `ok`. Pure."""

from __future__ import annotations

from collections import deque
from math import inf

from drivers.gcode.protocol.patience import ORDINARY_S, SHARE, asked_after
from drivers.gcode.protocol.steps import OutgoingLine

SOONEST_S = 0.05
"""Seconds without an `ok` before which nobody is asked, however short patience is: a busy computer hears late."""
LATER = 8.0
"""At most so many times later than at first the printer is asked after an ordinary line."""
BACK_OFF_S = 10.0
"""At most so many seconds later it is asked again when it told its place, and the `ok` is missing all the same."""


class InFlight:
    """`lines` is the oldest first, `bytes` their sum, `sent_at` when the last one was written, `deadline` when
    something is overdue. Times in seconds; `patience` multiplies what a command may take. `back_off_s` is added to the
    deadline of a line that has just been written."""

    __slots__ = ("_ask_first_s", "_framed", "ask_s", "back_off_s", "bytes", "deadline", "lines", "patience", "sent_at")

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.lines: deque[OutgoingLine] = deque()
        self.bytes = 0
        self.sent_at = 0.0
        self.deadline = inf
        self._ask_first_s = max(ORDINARY_S / SHARE * patience, SOONEST_S)
        self.ask_s = self._ask_first_s  # without an ok, for an ordinary line
        self.back_off_s = 0.0
        self._framed: tuple[OutgoingLine, OutgoingLine] | None = None  # a host's line as written, and as it was given

    def add(self, command: OutgoingLine, now: float) -> None:
        """Count `command`, which has just been written."""
        if not self.lines:
            self.deadline = now + self.due_after(command) + self.back_off_s
        self.lines.append(command)
        self.bytes += len(command.wire)
        self.sent_at = now

    def remove_oldest(self) -> OutgoingLine:
        """Take the oldest line out."""
        command = self.lines.popleft()
        self.bytes -= len(command.wire)
        return command

    def keep(self, lines: list[OutgoingLine]) -> None:
        """Drop all but `lines`."""
        self.lines = deque(lines)
        self.bytes = sum(len(command.wire) for command in lines)

    def restart_deadline(self, now: float) -> None:
        """Set the deadline for the oldest line anew; none when nothing is in flight."""
        self.deadline = now + self.due_after(self.lines[0]) + self.back_off_s if self.lines else inf

    def due_after(self, command: OutgoingLine) -> float:
        """Seconds without an `ok` after which the printer is asked about `command`, or it is given up."""
        if command.patience == ORDINARY_S:
            return self.ask_s
        if self.as_given(command).gives_up:
            return command.patience * self.patience
        return asked_after(command.code, command.patience) * self.patience

    def back_off(self) -> None:
        """The printer answers questions and acknowledges nothing: the next question comes twice as late."""
        self.back_off_s = min(max(self.ask_s, 2.0 * self.back_off_s), BACK_OFF_S)

    def ask_later(self) -> None:
        """An `ok` was only late: the next questions come later, because moves may wait for room in the planner."""
        self.ask_s = min(self.ask_s * 2.0, self._ask_first_s * LATER)

    def ask_early(self) -> None:
        """An `ok` was lost: questions come as early as at first."""
        self.ask_s = self._ask_first_s

    def remember(self, *, written: OutgoingLine, given: OutgoingLine) -> None:
        """`given` is written as `written`, with a number."""
        self._framed = (written, given)

    def as_given(self, command: OutgoingLine) -> OutgoingLine:
        """`command` as it was given to `Sender.send`."""
        return self._framed[1] if self._framed and self._framed[0] is command else command

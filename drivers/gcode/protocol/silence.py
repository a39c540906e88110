"""What an `ok` is for, and what happens when it is overdue. Pure.

The printer is asked for its place, by a number that is too high, early and then each time that the silence has doubled:
a question does no harm. It has failed when the line's patience is over, and `probe` seconds more, without any answer.
One that tells no place (it was garbled; Repetier says `skip`) is no silence, but there is an end to that too. A line
whose `ok` was merely late makes the next questions come later: where moves are long each may wait for room in the
planner.
"""

from __future__ import annotations

from collections import deque
from math import inf

from drivers.gcode.protocol.exchange import Exchange
from drivers.gcode.protocol.numbering import HOST, MOVE_TO
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.phases import PROBE, Phase, Service
from drivers.gcode.protocol.steps import Command

STRIKES = 3
"""At least so many questions before it fails, however slow this machine is."""
VAGUE = 20
"""So many answers in a row that tell no place count as none; of a printer that never told its place, STRIKES."""
LATER = 8.0
"""At most so many times later than at first the printer is asked after an ordinary line."""


class Silence(Exchange):
    """The part of a `Protocol` that waits for an `ok`, asks, and acts on there being no answer."""

    def _acknowledge(self, now: float, deadline: float | None = None) -> Command:
        command = self.in_flight.popleft()
        self._bytes -= len(command.wire)
        if 0 < command.number < HOST and command.number > self._counters.line and command.code != MOVE_TO:
            self._counters.line = command.number
        if self.window.recovering:
            self.window.acknowledged()
        if command.code == PROBE:
            self._doubt = self._doubt and not self._speaks
            if self._limbo:
                command = self._proven()
        if deadline is None:
            deadline = now + self._due_after() if self.in_flight else inf
        self.deadline = deadline
        return self._given(command)

    def _doubtful(self, now: float) -> None:
        """An `ok` is overdue."""
        if now >= self._limbo_until:
            self._fail(f"{self._name(self._limbo[0])}: the printer has it and never said ok")
            return
        self._strikes += 1
        self._locate(now)

    def _unanswered(self, now: float) -> Command | None:
        """The question for the place is."""
        if self._answered and self._vague < (VAGUE if self._located else STRIKES):
            self._vague += 1
            self._locate(now)
        elif not self._answered and (now < self._fails_at() or self._strikes < STRIKES):
            self._strikes += 1
            self._locate(now)
        elif self.in_flight or self._limbo:
            name, times = self._name((*self._limbo, *self.in_flight)[0]), self._strikes + self._vague
            self._fail(f"{name}: no answer, although asked {times} times")
        else:  # a firmware that does not care for numbers, or one that is gone: the next line will tell
            self._locates, self._strikes, self._vague = self._located, 0, 0
            self._phase = Phase.OPEN
            self.deadline = inf
            self._go_on(now)
        return None

    def _in_limbo(self, now: float) -> None:
        """The printer has all that is in flight and has not acknowledged it: an M105 must prove that it was done."""
        if sum(c.code == PROBE for c in (*self._limbo, *self.in_flight)) > 2:
            self._rounds += 1
            if self._rounds & (self._rounds - 1):
                return  # it works on something: another M105 ever more rarely, should an answer have been garbled
        if not self._limbo:
            self._limbo_until = now + max(LONG_S, *(c.patience for c in self.in_flight), 0.0) * self._scale
            self._was_late = False
        self._limbo.extend(self.in_flight)
        self.in_flight.clear()
        self._bytes = 0
        if Service.BARRIER not in self._todo:
            self._todo.appendleft(Service.BARRIER)

    def _proven(self) -> Command:
        """An M105 was answered: all before it was done."""
        limbo, self._limbo, self._limbo_until = self._limbo, deque(), inf
        self._rounds = 0
        if self._was_late:
            self._ask_later()
        else:
            self._ask_s = self._ask_first_s
        lines = [c.number for c in limbo if 0 < c.number < HOST and c.code != MOVE_TO]
        self._counters.line = max(self._counters.line, *lines, 0)
        for command in limbo:
            if self._given(command) is not command:
                return command
        return limbo[-1]

    def _ask_later(self) -> None:
        self._ask_s = min(self._ask_s * 2.0, self._ask_first_s * LATER)

    @staticmethod
    def _name(command: Command) -> str:
        text = command.code.decode("utf-8", "replace")
        return f"line {command.number} ({text})" if 0 < command.number < HOST else text

"""A procedure in progress: its next step, and the answer that it waits for. Pure."""

from __future__ import annotations

from math import inf

from drivers.gcode.protocol.steps import Answer, Ask, End, Procedure, Step


class Running:
    """A procedure, and where it is. It can be set aside and taken up again at the same step."""

    def __init__(self, procedure: Procedure) -> None:
        self.procedure = procedure
        self.next: Step | None = None
        self.asked: Ask | None = None
        self.answer: list[str] = []
        self.hold_until = inf
        self.end: End | None = None

    def advance(self, answer: Answer = None) -> None:
        """Get the next step."""
        self.hold_until = inf
        try:
            self.next = self.procedure.send(answer)
        except StopIteration as stop:
            self.next = None
            self.end = stop.value


def prepared(procedure: Procedure) -> Running:
    """A procedure at its first step, to be taken up later. Raises what that step raises."""
    running = Running(procedure)
    running.advance()
    return running

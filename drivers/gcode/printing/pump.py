"""Runs one procedure at a time over the protocol: takes its steps, sends them as credits allow, hands answers back."""

from __future__ import annotations

from math import inf

from agent.gcode.words import command_word
from drivers.gcode.protocol.protocol import PROBE, Protocol
from drivers.gcode.protocol.running import Running
from drivers.gcode.protocol.steps import (
    RENUMBER,
    Ask,
    End,
    Hold,
    OutgoingLine,
    Procedure,
    Step,
    Stop,
    Unknown,
    unnumbered,
)
from drivers.gcode.timing import Timing

ANSWER_LINES = 400
"""Lines of an answer that are kept: M503 tells each point of a mesh."""


class Pump:
    """`ended`, `stop` and `waiting` are for the session, which looks at them when `changed` is set; `running`, `asker`
    (whose question is in flight) and `poll_at` for `fast_path`."""

    def __init__(self, protocol: Protocol, timing: Timing) -> None:
        self.protocol = protocol
        self.changed = False
        self.ended: End | None = None
        self.stop = ""
        self.waiting = ""
        self._hold_poll_s = timing.idle_poll
        self._refused_s = timing.refused
        self.running: Running | None = None
        self.asker: Running | None = None
        self._answered: list[str] = []  # the last answer; what comes before the next question still belongs to it
        self._not_before = 0.0
        self._asked_last: OutgoingLine | None = None  # the question before the one in flight
        self._refused = False  # whether the question in flight was refused
        self._poll_every = inf
        self.poll_at = inf

    def run(self, procedure: Procedure) -> None:
        """Begin `procedure`; one that ran is dropped. Raises what its first step raises."""
        self.drop()
        self.ended = None  # that of one before, which nobody has looked at yet
        self.running = running = Running(procedure)
        running.advance()
        self.note_end(running)

    def park(self) -> Running | None:
        """Set the running procedure aside."""
        running, self.running = self.running, None
        self._wait_for("")
        return running

    def unpark(self, running: Running) -> None:
        """Take it up again, with the very next step."""
        running.hold_until = inf  # a wait for heat begins anew
        self.running = running
        self.note_end(running)

    def drop(self) -> None:
        """End the running procedure where it is."""
        running = self.park()
        if running:
            running.procedure.close()

    def poll_every(self, seconds: float, now: float) -> None:
        """Ask for temperatures that often, between other lines; `inf`: not at all."""
        if seconds != self._poll_every:
            self._poll_every = seconds
            self.poll_at = now + seconds

    def note(self, text: str) -> None:
        """The printer said `text`: part of the answer to the question in flight, if there is one."""
        answer = self.asker.answer if self.asker else self._answered
        if len(answer) < ANSWER_LINES:
            answer.append(text)

    def refused(self) -> OutgoingLine | None:
        """The printer refuses the oldest line in flight (docs/serial.md §k1). That line, when its procedure cannot go
        on without it; None for a question that may fail, and for lines that only serve the exchange."""
        command = self.protocol.oldest
        if command is None or command.code in (PROBE, RENUMBER):
            return None
        self._refused = command.gives_up
        return None if command.gives_up else command

    def unknown(self, code: str) -> OutgoingLine | None:
        """The printer does not know the command `code`. The line that it is, in flight or, where an `ok` comes before
        the execution, the one before; None for a line that may be unknown without a word."""
        for command in (self.protocol.oldest, self._asked_last):
            if command is not None and command.unknown is not Unknown.IGNORED and _is_of(command, code):
                return command
        return None

    def acknowledged(self, command: OutgoingLine, now: float, *, gave_up: bool = False) -> None:
        """A credit came back. Raises what the procedure raises."""
        owner = self.asker
        if owner is None or owner.asked is None or owner.asked.command is not command:
            return
        self.asker = None
        self._not_before = now if gave_up else now + (self._refused_s if self._refused else owner.asked.settle)
        self._refused = False
        self._asked_last = command
        owner.asked = None
        self._answered = owner.answer
        owner.advance(None if gave_up else owner.answer)
        if owner is self.running:
            self.note_end(owner)

    def step(self, now: float) -> None:
        """Send what may be sent now. Raises PortError from the port, and what the procedure raises."""
        protocol = self.protocol
        protocol.send_again(now)
        while protocol.free() and now >= self._not_before:
            if now >= self.poll_at:
                if protocol.quiet():
                    self.poll_at = now + self._poll_every
                    if self.running is not None and self.running.hold_until < inf:
                        self.poll_at = now + min(self._poll_every, self._hold_poll_s)
                    protocol.send(unnumbered(PROBE), now)
                return
            running = self.running
            if running is None:
                return
            step = running.next
            if type(step) is OutgoingLine:
                if not protocol.fits(step):
                    return
                protocol.send(step, now)
                running.advance()
                if running.next is None:
                    self.note_end(running)
            elif step is None or not protocol.quiet() or not self._act(running, step, now):
                return

    def due(self, now: float) -> float:
        """When `step` or the protocol's `tick` has something to do, if nothing is heard before."""
        protocol = self.protocol
        if not protocol.quiet():
            return protocol.deadline
        if now < self._not_before:
            return self._not_before
        return min(protocol.deadline, self.poll_at, self.running.hold_until if self.running else inf)

    def _act(self, running: Running, step: Step, now: float) -> bool:
        """Deal with a step that is no plain line; whether there may be more to do at once."""
        if isinstance(step, Ask):
            running.asked, running.next, running.answer = step, None, []
            self.asker = running
            self.protocol.send(step.command, now)
            return False
        if isinstance(step, Hold):
            if running.hold_until == inf:
                running.hold_until = now + step.limit
                if not step.done():
                    self.poll_at = now  # what is known may be old
            if not step.done() and now < running.hold_until:
                # It reports by itself, or is polled as ever: nothing is in flight that a cancel would wait for.
                self._wait_for(step.waiting)
                return self.poll_at <= now
            self._wait_for("")
        elif isinstance(step, Stop):
            self.stop = step.reason
            self.changed = True
            running.advance()
            return False
        running.advance()
        self.note_end(running)
        return True

    def note_end(self, running: Running) -> None:
        """Note for the session that `running` has ended, if it has."""
        if running.end is not None:
            self.ended = running.end
            self.changed = True
            self.running = None

    def _wait_for(self, waiting: str) -> None:
        if waiting != self.waiting:
            self.waiting = waiting
            self.changed = True


def _is_of(command: OutgoingLine, code: str) -> bool:
    """Whether `code` as the printer repeats it, the line or its command alone, is `command`."""
    heard = code.upper().encode("ascii", "replace")
    word = command_word(command.code)
    return word == command_word(heard) if word else heard.split()[:1] == command.code.upper().split()[:1]

"""Standstill of a connection: nothing is sent until the printer has said something certain, or a while is over.

begins with                    ends with                                          after a while without
a shutdown of the firmware     the refusal that says why: halted                  halted, without a reason
a reset                        a new beginning, or the firmware's answer: hello   lost: the port is opened anew
"""

from __future__ import annotations

from math import inf

from drivers.gcode.protocol.replies import Event, ReplyKind
from drivers.gcode.session.interfaces import PrinterEvents
from drivers.gcode.timing import Timing

RESET = "the printer was reset"


class Standstill:
    """Listens in place of the protocol while it is `active`; `owner` is the connection."""

    def __init__(self, owner: PrinterEvents, timing: Timing) -> None:
        self.due = inf
        self._owner = owner
        self._timing = timing
        self._shutdown = ""  # what a firmware said that has shut down; empty in a reset
        self._oks_due = 0  # of lines before the reset
        self._answered = False

    @property
    def active(self) -> bool:
        """Whether nothing may be sent."""
        return self.due < inf

    def explain(self, shutdown: str, now: float) -> None:
        """Begin after a shutdown: the firmware was sent a line, which it will refuse with the reason (docs/serial.md
        §k3)."""
        self._shutdown = shutdown
        self.due = now + self._timing.answer

    def await_restart(self, now: float, *, in_flight: int, answered: bool) -> None:
        """Begin after a reset, with so many lines `in_flight`; `answered`: the `ok` after theirs is all that the
        firmware says about it."""
        self._shutdown, self._oks_due, self._answered = "", in_flight, answered
        self.due = now + self._timing.reset

    def end(self) -> None:
        """Go on as usual."""
        self._shutdown, self.due = "", inf

    def heard(self, event: Event, now: float) -> None:
        """Deal with one event."""
        if event.kind in (ReplyKind.START, ReplyKind.READY):
            self._owner.restarted(now)
        elif self._shutdown and event.kind is ReplyKind.REFUSED:
            self._owner.halted(event.text)
        elif not self._shutdown and event.kind is ReplyKind.OK:
            self._oks_due -= 1
            if self._oks_due < 0 and self._answered:
                self._owner.restarted(now)

    def step(self, now: float) -> None:
        """End it, when it has lasted long enough."""
        if now >= self.due and self._shutdown:
            self._owner.halted(self._shutdown)
        elif now >= self.due:
            self._owner.lost(RESET)

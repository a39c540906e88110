"""Exchange of lines and acknowledgements with a printer: credits, resends, silence. Pure: bytes go to `write`.

What is heard goes to the handler that `transitions` names for it in the present phase; the handlers work on the parts:

    in_flight        lines written and not acknowledged, and their deadline
    unacknowledged   lines that the printer has received, and whose `ok` is missing
    numbering        the two spaces of line numbers, and the history that can be sent again
    window           how much may be in flight
    locator          asks where the printer is
    resend_guard     which requests are believed
    ok_traits        what this printer's `ok`s are like
    preamble         what has to go before a line
    sending          writes
    acknowledging    takes credits back

A number too high executes nothing and tells the printer's place, whereas a repeat of the last line is passed over in
silence (docs/serial.md §9a). `M110` is never in flight with anything else: Marlin carries it out twice, on arrival and
in its turn. Failures: a silence, the same number requested ten times, a number older than the history.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from drivers.gcode.protocol.heard import NO_DETAILS, Heard, Reply
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.phases import PROBE, Counters, Phase
from drivers.gcode.protocol.steps import OutgoingLine
from drivers.gcode.protocol.transitions import HANDLERS
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing

__all__ = ["PROBE", "Counters", "Phase", "Protocol"]


class Protocol:
    """One connection. Methods that may bring a credit back return the command whose credit it was, the last of them
    when there were several. `parts` are for `fast_path` and tests."""

    __slots__ = ("_sender", "_state", "parts", "window")

    def __init__(self, write: Callable[[bytes], object], counters: Counters, timing: Timing, window: Window) -> None:
        self.parts = Parts(write, counters, timing, window)
        self.window = window
        self._state = self.parts.state
        self._sender = self.parts.sender

    @property
    def in_flight(self) -> deque[OutgoingLine]:
        """Lines written and not acknowledged, the oldest first."""
        return self.parts.flight.lines

    @property
    def oldest(self) -> OutgoingLine | None:
        """The oldest line in flight, as it was given to `send`; None when nothing is in flight."""
        flight = self.parts.flight
        return flight.as_given(flight.lines[0]) if flight.lines else None

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        return self.parts.flight.deadline

    @property
    def failure(self) -> str:
        """Why nothing can be sent any more, for a person; empty while it can."""
        return self._state.failure

    @property
    def last(self) -> int:
        """The number of the last line that has one."""
        return self.parts.numbers.last

    @property
    def ok_carries_temps(self) -> bool:
        """Whether an `ok` to M105 holds its answer."""
        return self.parts.traits.carries_temps

    def take_over(self, last: int, *, ok_carries_temps: bool, patience_s: float) -> None:
        """Nothing was sent yet, but by an agent before this one: the printer has all up to number `last`. An `ok` of
        that may still come; `patience_s` is what all that may take before the first move to another space."""
        parts = self.parts
        parts.preamble.renumber_patience_s = patience_s
        parts.numbers.adopt(last)
        parts.locator.has_answered = parts.traits.in_doubt = True
        parts.traits.carries_temps = ok_carries_temps

    def write_with(self, write: Callable[[bytes], object]) -> None:
        """From now on bytes go to `write`."""
        self._sender.write = write

    def free(self) -> bool:
        """Whether a new line may be sent, as far as that can be said without knowing which."""
        return self._sender.free()

    def fits(self, command: OutgoingLine) -> bool:
        """Whether `command` may be sent now."""
        return self._sender.fits(command)

    def quiet(self) -> bool:
        """Whether nothing is in flight and nothing waits to be sent again."""
        return self._sender.quiet()

    def send(self, command: OutgoingLine, now: float) -> None:
        """Take `command`; only when it `fits`. It is written at once, or after what must go before it."""
        self._sender.send(command, now)

    def send_again(self, now: float) -> None:
        """Send what was requested again, as far as credits go. Call it in every round; it is cheap."""
        self._sender.send_again(now)

    def urgent(self, code: bytes) -> None:
        """Write `code` before everything else; it takes no credit (docs/serial.md §23)."""
        self._sender.urgent(code)

    def ok(self, text: str, now: float) -> OutgoingLine | None:
        """An `ok` came, with `text` after it."""
        return self._handle(Heard.OK, now, Reply(text))

    def resend(self, number: int, now: float) -> OutgoingLine | None:
        """The printer requests line `number` again (-1: cannot be read)."""
        return self._handle(Heard.RESEND, now, Reply(number=number))

    def error(self, text: str, now: float) -> None:
        """An `Error:` line came; it may name the line that was accepted last."""
        self._handle(Heard.ERROR, now, Reply(text))

    def other(self, now: float) -> None:
        """A line came that is neither `ok` nor a request."""
        self._handle(Heard.OTHER, now)

    def damaged(self, now: float) -> None:
        """A line came that may have been an answer before it was garbled."""
        self._handle(Heard.DAMAGED, now)

    def busy(self, now: float, *, user: bool = False) -> None:
        """The printer still works on the line in flight, or waits for a `user`."""
        self._handle(Heard.BUSY_USER if user else Heard.BUSY, now)

    def temperatures(self, now: float) -> None:
        """A temperature line came."""
        self._handle(Heard.TEMPERATURES, now)

    def wait(self, now: float) -> None:
        """The printer says that it has nothing to do."""
        self._handle(Heard.WAIT, now)

    def saved(self, now: float) -> OutgoingLine | None:
        """`Done saving file` came."""
        return self._handle(Heard.SAVED, now)

    def tick(self, now: float) -> OutgoingLine | None:
        """Something is overdue when `now` has reached `deadline`."""
        if now < self.deadline or self._state.failure:
            return None
        return self._handle(Heard.OVERDUE, now)

    def _handle(self, heard: Heard, now: float, reply: Reply = NO_DETAILS) -> OutgoingLine | None:
        return HANDLERS[self._state.phase][heard](self.parts, reply, now)

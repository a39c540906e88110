"""The parts of a `Protocol`, wired to each other. Pure."""

from __future__ import annotations

from collections.abc import Callable

from drivers.gcode.protocol.acknowledging import Acknowledger
from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.locator import Locator
from drivers.gcode.protocol.numbering import Numbers
from drivers.gcode.protocol.ok_traits import OkTraits
from drivers.gcode.protocol.phases import Counters, State
from drivers.gcode.protocol.preamble import Preamble
from drivers.gcode.protocol.resend_guard import ResendGuard
from drivers.gcode.protocol.sending import Sender
from drivers.gcode.protocol.unacknowledged import Unacknowledged
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing


class Parts:
    """What the handlers of `transitions` work on: each part keeps its own facts."""

    __slots__ = (
        "acknowledger",
        "counters",
        "flight",
        "guard",
        "locator",
        "numbers",
        "preamble",
        "sender",
        "state",
        "timing",
        "traits",
        "unacknowledged",
        "window",
    )

    def __init__(self, write: Callable[[bytes], object], counters: Counters, timing: Timing, window: Window) -> None:
        self.counters = counters
        self.timing = timing
        self.window = window
        self.state = State()
        self.traits = OkTraits()
        self.numbers = Numbers()
        self.flight = InFlight(timing.patience)
        self.unacknowledged = Unacknowledged()
        self.guard = ResendGuard(self.numbers)
        self.locator = Locator(timing, self.flight, self.unacknowledged)
        self.preamble = Preamble(timing, self.numbers, self.locator, self.traits)
        self.sender = Sender(
            write=write,
            state=self.state,
            counters=counters,
            timing=timing,
            window=window,
            flight=self.flight,
            numbers=self.numbers,
            locator=self.locator,
            traits=self.traits,
            preamble=self.preamble,
        )
        self.acknowledger = Acknowledger(
            counters=counters,
            window=window,
            flight=self.flight,
            traits=self.traits,
            unacknowledged=self.unacknowledged,
        )

"""The hot path of a session: an `ok`, and the file's next line goes out; where it is not so simple nothing is done."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Protocol as Interface

from agent.core.driver import PrinterState
from agent.errors import DataError
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.protocol import Counters, Protocol


class LinePump(Interface):
    """What sends the lines of the file."""

    def quick(self, now: float) -> bool:
        """See `Pump.quick`."""

    def stream(
        self, listen: Callable[[], bytes], now_is: Callable[[], float], until: float, mail: Sized
    ) -> tuple[float, bytes]:
        """See `Pump.stream`."""


class Stack(Interface):
    """The protocol and the pump of this moment."""

    @property
    def protocol(self) -> Protocol:
        """The protocol."""

    @property
    def pump(self) -> LinePump:
        """The pump over it."""


class Operation(Interface):
    """What runs on the printer."""

    @property
    def state(self) -> PrinterState:
        """The printer's state."""

    @property
    def person_needed(self) -> bool:
        """Whether the printer waits for the person in front of it."""

    @property
    def counters(self) -> Counters:
        """Those of the connection."""


class Flow:
    """Used by the link's thread alone."""

    def __init__(
        self, stack: Stack, operation: Operation, scale: float, unreadable: Callable[[DataError], object]
    ) -> None:
        """`scale` is that of all patience; `unreadable` is told of a file that cannot be read any more."""
        self._stack = stack
        self._operation = operation
        self._unreadable = unreadable
        self._short = ORDINARY_S * scale

    def flows(self, now: float) -> bool:
        """Whether short lines of the file go out one after the other: a request can wait for the next answer."""
        return self._operation.state is PrinterState.PRINTING and self._stack.protocol.deadline - now < self._short

    def stream(
        self, listen: Callable[[], bytes], now_is: Callable[[], float], until: float, mail: Sized
    ) -> tuple[float, bytes]:
        """`quick` for each plain `ok` that `listen` gives, until there is `mail` or something else is heard. That, and
        when; nothing when nothing came. `until`: a moment after which it returns in any case, as `now_is` tells it."""
        if self._operation.person_needed:
            data = listen()
            return now_is(), data
        try:
            return self._stack.pump.stream(listen, now_is, until, mail)
        except DataError as error:
            self._unreadable(error)
            return now_is(), b""

    def quick(self, now: float) -> bool:
        """`ok` and `step` in one where nothing else is to be done; False, and nothing done, where it is not so."""
        if self._operation.person_needed:
            return False
        try:
            return self._stack.pump.quick(now)
        except DataError as error:
            self._unreadable(error)
            return True

    def quickly(self, data: bytes, now: float) -> bytes:
        """`quick` for each `ok`, plain or with the number of the oldest line in flight, that `data` begins with; the
        rest of it."""
        while data[:2] == b"ok":
            line, end, rest = data.partition(b"\n")
            plain = line in (b"ok", b"ok\r")
            if not end or not (plain or self._stack.protocol.means_oldest(line)) or not self.quick(now):
                break
            if not plain:
                printing = self._operation.state is PrinterState.PRINTING
                self._operation.counters.quality.planner(line.decode("ascii", "replace"), printing=printing)
            data = rest
        return data

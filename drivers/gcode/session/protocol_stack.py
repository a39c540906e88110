"""The protocol of one connection and the pump over it: made anew whenever the printer begins anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from drivers.gcode.printing.dialects import with_checksums
from drivers.gcode.printing.pump import Pump
from drivers.gcode.protocol.protocol import Counters, Protocol
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing


class ProtocolStack:
    """`protocol` and `pump` of this moment; look them up at each use. `write` is the port's; `window` is lines in
    flight, as configured."""

    def __init__(
        self, *, write: Callable[[bytes], object], counters: Counters, timing: Timing, window: Literal["auto"] | int
    ) -> None:
        self._write = write
        self._counters = counters
        self._timing = timing
        self._window = window
        self.renew()

    def renew(self) -> None:
        """Begin with a protocol that knows nothing of the printer. What ran on the old one is gone with it."""
        self.protocol = Protocol(self._write, self._counters, self._timing, Window(self._window))
        self.pump = Pump(self.protocol, self._timing)

    def step(self, now: float) -> None:
        """Act on the protocol's deadline, then send what may be sent. Raises DataError, PortError."""
        if now >= self.protocol.deadline:
            command = self.protocol.tick(now)
            if command is not None:
                self.pump.acknowledged(command, now, gave_up=command.gives_up)
        self.pump.step(now)

    def add_checksums(self) -> None:
        """Write a checksum on every line from now on (docs/serial.md, Dialects)."""
        self.protocol.write_with(with_checksums(self._write))

"""What is written past the protocol, without waiting for an answer: emergency stop, reboot, heaters off."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.gcode.framing import frame
from drivers.gcode.printing.dialects import Firmware, with_checksums
from drivers.gcode.printing.procedures import off


class Urgent:
    """`write` is the port's; `firmware` what the printer said that it is, once it has."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write
        self.firmware = Firmware()

    def halt(self, last: int) -> None:
        """Emergency stop: unnumbered, after what may be half a line, then again with the number after `last`
        (docs/serial.md §23)."""
        self.write(self.firmware.dialect.halt)
        self.write(frame(last + 1, b"M112"))

    def reboot(self) -> None:
        """Ask the firmware to reboot, where it has a word for that; the rest is the reset line's."""
        self._say(self.firmware.dialect.reboot)

    def heaters_off(self, heaters: Iterable[str]) -> None:
        """Heaters and fan off."""
        self._say(b"\n" + b"\n".join(off(heaters)) + b"\n")

    def _say(self, lines: bytes) -> None:
        (with_checksums(self.write) if self.firmware.dialect.checksums else self.write)(lines)

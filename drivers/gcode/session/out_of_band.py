"""Out-of-band writes, past the protocol and without waiting for an answer: emergency stop, reboot, heaters off."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.gcode.framing import frame
from drivers.gcode.printing.dialects import with_checksums
from drivers.gcode.printing.heaters_off import lines_off
from drivers.gcode.printing.printer_identity import PrinterIdentity


class OutOfBandWriter:
    """`write` is the port's; `identity` says how the firmware wants it."""

    def __init__(self, write: Callable[[bytes], object], identity: PrinterIdentity) -> None:
        self._write = write
        self._identity = identity

    def halt(self, last: int) -> None:
        """Write the emergency stop: unnumbered, after what may be half a line, then again with the number after `last`
        (docs/serial.md §23)."""
        self._write(self._identity.firmware.dialect.halt)
        self._write(frame(last + 1, b"M112"))

    def reboot(self) -> None:
        """Ask the firmware to reboot, where it has a command for that; the rest is the reset line's."""
        self._write_host_line(self._identity.firmware.dialect.reboot)

    def ask_why(self) -> None:
        """Write a line that a firmware that has shut down refuses with its reason (docs/serial.md §k3)."""
        self._write(b"\nM400\n")

    def switch_off(self, heaters: Iterable[str]) -> None:
        """Switch heaters and fan off."""
        self._write_host_line(b"\n" + b"\n".join(lines_off(heaters, self._identity.firmware.dialect)) + b"\n")

    def _write_host_line(self, lines: bytes) -> None:
        (with_checksums(self._write) if self._identity.firmware.dialect.checksums else self._write)(lines)

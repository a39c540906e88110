"""A host for the tests: talks to a virtual firmware at instants of its own choosing."""

from __future__ import annotations

from functools import reduce
from operator import xor

from drivers.simulated import Faults, Options, VirtualFirmware


def numbered(number: int, text: str) -> bytes:
    """`text` as a numbered line with its checksum."""
    line = f"N{number} {text}".encode()
    return line + b"*%d\n" % reduce(xor, line)


def checked(text: str) -> bytes:
    """`text` as a line with a checksum, without a number."""
    line = text.encode()
    return line + b"*%d\n" % reduce(xor, line)


class Host:
    """A firmware that has booted, and what it executed. `now` is the simulated time."""

    def __init__(self, *, leap: bool = False, faults: tuple[str, ...] = (), **options: object) -> None:
        self.executed: list[str] = []
        made = Options(**options)  # type: ignore[arg-type]
        self.faults = Faults(faults)
        self.firmware = VirtualFirmware(
            made, self.faults, leap=leap, on_line=lambda body: self.executed.append(body.decode("latin-1"))
        )
        self.now = 0.0
        self.booted = self.wait(0.0)

    def raw(self, data: bytes) -> list[str]:
        """Send bytes; the lines of the answer so far."""
        return self.firmware.receive(data, self.now).decode("latin-1").splitlines()

    def send(self, text: str) -> list[str]:
        """Send a line without a number."""
        return self.raw(text.encode("latin-1") + b"\n")

    def line(self, number: int, text: str) -> list[str]:
        """Send a line with a number and checksum."""
        return self.raw(numbered(number, text))

    def wait(self, seconds: float) -> list[str]:
        """Let the time pass; what the firmware says meanwhile."""
        self.now += seconds
        return self.firmware.advance(self.now).decode("latin-1").splitlines()

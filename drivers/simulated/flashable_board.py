"""Board with a bootloader: which of the two, bootloader or firmware, has the serial line.

reset ──▶ bootloader ── nobody speaks to it for WINDOW_S ──▶ firmware, if a whole one is in the flash
              └── a programmer does ──▶ it stays, until the programmer leaves ──▶ firmware
"""

from __future__ import annotations

import math

from drivers.simulated.bootloader import FLASH_SIZE, Bootloader
from drivers.simulated.faults import ScheduledFault
from drivers.simulated.firmware import VirtualFirmware
from drivers.simulated.firmware_image import build_image, read_name

WINDOW_S = 0.5
"""Seconds of the host in which a bootloader waits for a programmer after a reset."""


class FlashableBoard:
    """Bytes in, bytes out, as `VirtualFirmware`, on which it runs what is in the flash."""

    def __init__(self, firmware: VirtualFirmware, bootloader: Bootloader, *, second: float) -> None:
        """`second` is a second of the host in simulated ones."""
        self._firmware = firmware
        self._bootloader = bootloader
        self._second = second
        self._runs = read_name(bootloader.flash) is not None  # the firmware has the line
        self._until = -math.inf  # the bootloader's window

    @property
    def opening_helps(self) -> bool:
        """See VirtualFirmware; with DTR every opening resets."""
        return True

    @property
    def unplug(self) -> ScheduledFault | None:
        """See VirtualFirmware."""
        return self._firmware.unplug

    def reset(self, now: float) -> None:
        """Reboot into the bootloader. The heaters are off: an AVR's pins float until its firmware runs."""
        self._firmware.reset(now)
        self._firmware.advance(now)  # what it would say as it starts, it does not
        self._bootloader.restart()
        self._runs = False
        self._until = now + WINDOW_S * self._second

    def wake_at(self) -> float:
        """See VirtualFirmware."""
        if self._runs:
            return self._firmware.wake_at()
        return math.inf if self._bootloader.entered else self._until

    def receive(self, data: bytes, now: float) -> bytes:
        """See VirtualFirmware."""
        output = self.advance(now)
        if self._runs:
            return output + self._firmware.receive(data, now)
        output += self._bootloader.receive(data)
        return output + self._leave(now) if self._bootloader.left else output

    def advance(self, now: float) -> bytes:
        """See VirtualFirmware."""
        if self._runs:
            return self._firmware.advance(now)
        if self._bootloader.entered or now < self._until:
            return b""
        return self._leave(now)

    def _leave(self, now: float) -> bytes:
        """Start the firmware that is in the flash; without a whole one nothing runs until the next reset."""
        name = read_name(self._bootloader.flash)
        self._until = math.inf
        if name is None:
            return b""
        self._runs = True
        self._firmware.rename(name)
        self._firmware.reset(now)
        return self._firmware.advance(now)


def new_flash(name: str) -> bytearray:
    """A flash with the firmware `name`, as it left the factory."""
    image = build_image(name)
    return bytearray(image + b"\xff" * (FLASH_SIZE - len(image)))

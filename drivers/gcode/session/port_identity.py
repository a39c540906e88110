"""Identity of a serial port: its names and its USB device, so that the same printer is found under another name."""

from __future__ import annotations

import msgspec


class PortIdentity(msgspec.Struct, frozen=True):
    """A serial port. `path` is the best name to open it by, `by_id` its name in /dev/serial/by-id, `usb` its
    `vendor:product:serial`; the last two are empty where it has none (docs/serial.md §29)."""

    path: str
    by_id: str = ""
    usb: str = ""

    def same_device(self, other: PortIdentity) -> bool:
        """Whether both are the same device, whatever it is called now. A port without identity is no other's same."""
        return bool((self.by_id and self.by_id == other.by_id) or (self.usb and self.usb == other.usb))

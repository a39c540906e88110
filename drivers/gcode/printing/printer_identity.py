"""Identity of the connected printer: its firmware and capabilities, in one place for all that depend on them."""

from __future__ import annotations

import msgspec

from drivers.gcode.printing.dialects import BUSY, Dialect, Firmware, identify

CAPABILITIES = 100
"""Capabilities that are noted: a firmware tells some twenty, one that has gone mad any number."""
CAPABILITY_TEXT = 60  # characters


class PrinterIdentity:
    """What the printer said about itself on this connection. `configured` is the dialect that the configuration names,
    None for auto; it overrules what the printer says."""

    def __init__(self, configured: Dialect | None) -> None:
        self.firmware = Firmware()
        self._configured = configured
        self._capabilities: set[str] = set()

    def add_capability(self, name: str) -> None:
        """Note a `Cap:` line with a value other than 0 (docs/serial.md §19). What comes after CAPABILITIES others, or
        is longer than any name, is not."""
        if len(self._capabilities) < CAPABILITIES and len(name) <= CAPABILITY_TEXT:
            self._capabilities.add(name)

    def note_busy(self) -> None:
        """Note that a `busy:` was heard: the firmware has that, whatever it told of itself (docs/serial.md §17)."""
        if BUSY not in self._capabilities:
            self._capabilities.add(BUSY)
            self.firmware = msgspec.structs.replace(self.firmware, capabilities=frozenset(self._capabilities))

    def clear_capabilities(self) -> None:
        """Forget the capabilities before the printer is asked anew."""
        self._capabilities.clear()

    def identify(self, texts: list[str]) -> Firmware:
        """Set and return the firmware, from the answer to M115 and the capabilities heard before."""
        self.firmware = identify(texts, frozenset(self._capabilities), self._configured)
        return self.firmware

    def recover(self, firmware: Firmware) -> None:
        """Set the firmware that a checkpoint names, without asking the printer."""
        self.firmware = firmware
        self._capabilities = set(firmware.capabilities)

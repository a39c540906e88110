"""What the parts of a session need of each other, as protocols, so that none of them knows the session itself."""

from __future__ import annotations

from typing import Protocol

from drivers.gcode.session.driver_checkpoint import DriverCheckpoint


class PrinterEvents(Protocol):
    """What the printer itself has done to the connection."""

    def halted(self, text: str) -> None:
        """The printer has halted and says why; nothing more is sent until a reset."""

    def shut_down(self, text: str, now: float) -> None:
        """The firmware has shut down and says why to the next line."""

    def ready(self, now: float) -> None:
        """The firmware takes lines from now on."""

    def lost(self, why: str) -> None:
        """The connection is of no use any more."""

    def restarted(self, now: float) -> None:
        """The board has restarted; what ran has failed."""


class HeatOwner(Protocol):
    """What the guard over the heat asks of the connection."""

    def heaters_off(self) -> None:
        """Switch the heaters off, before everything else and whatever runs."""

    def overheated(self, reason: str, *, stop: bool) -> None:
        """An error until a reset, because of `reason`; `stop`: with the emergency stop."""


class TakeoverOwner(Protocol):
    """What a takeover asks of the connection that it decides for."""

    def halted(self, text: str) -> None:
        """As `PrinterEvents.halted`."""

    def adopt(self, task_id: str, checkpoint: DriverCheckpoint, last: int, now: float) -> None:
        """Set the connection up as the print's former agent left it; `last` is the number that the printer took
        last."""

    def abandon(self, error: str, now: float) -> None:
        """Fail the print and say hello instead."""


class PrintControl(Protocol):
    """What somebody at the printer can do to a print."""

    def pause(self, reason: str) -> None:
        """Pause by the host's procedure."""

    def pause_by_printer(self, reason: str) -> None:
        """The printer has paused by itself."""

    def resume(self) -> None:
        """Resume by the host's procedure."""

    def resume_by_printer(self) -> None:
        """The printer has resumed by itself."""

    def cancel(self) -> None:
        """End what runs."""

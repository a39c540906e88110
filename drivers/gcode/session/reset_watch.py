"""Whether the board was seen to begin anew after a reset was asked for."""

from __future__ import annotations

from drivers.gcode.printing.dialects import Firmware


class ResetWatch:
    """One reset of a driver, over the connections that it takes. Used by the link's thread alone."""

    def __init__(self) -> None:
        self._obstacle = ""  # why nothing was reset, should the board not be seen to begin anew

    @property
    def pending(self) -> bool:
        """Whether a reset was asked for, and the board was not seen to begin anew."""
        return bool(self._obstacle)

    def begin(self, firmware: Firmware, *, reset_line: bool) -> None:
        """A reset is asked for: by `firmware`'s own command, if it has one, and with `reset_line` by DTR."""
        name, command = firmware.name or "the firmware", firmware.dialect.reboot.strip().decode()
        line = "the board did not restart when DTR was moved" if reset_line else "the port has no reset line"
        other = f"{name} did not restart at {command}" if command else f"{name} has no command for it"
        self._obstacle = f"nothing was reset: {line}, and {other}"

    def restarted(self) -> None:
        """The board was seen to begin anew."""
        self._obstacle = ""

    def conclude(self) -> str:
        """End the watch, as the printer answers again; why nothing was reset, empty when the board has begun anew."""
        obstacle, self._obstacle = self._obstacle, ""
        return obstacle

"""Whether the board was seen to begin anew after a reset was asked for."""

from __future__ import annotations


class ResetWatch:
    """One reset of a driver, over the connections that it takes. Used by the link's thread alone."""

    def __init__(self) -> None:
        self._obstacle = ""

    @property
    def pending(self) -> bool:
        """Whether a reset was asked for, and the board was not seen to begin anew."""
        return bool(self._obstacle)

    def begin(self, obstacle: str) -> None:
        """A reset is asked for; `obstacle` is why the board was not reset, should it not be seen to begin anew."""
        self._obstacle = obstacle

    def restarted(self) -> None:
        """The board was seen to begin anew."""
        self._obstacle = ""

    def conclude(self) -> str:
        """End the watch, as the printer answers again; why nothing was reset, empty when the board has begun anew."""
        obstacle, self._obstacle = self._obstacle, ""
        return obstacle

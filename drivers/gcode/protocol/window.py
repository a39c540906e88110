"""How much may be in flight: lines and bytes (docs/serial.md §6, §6a). Pure.

    window = 1       one line at a time
    window = n       n lines, at most 3 unless the firmware shows that it can take more
    window = auto    one line at a time until `ok N… P… B…` has shown the command queue, then up to 3

More than three need an emergency parser (else M112 and M108 would wait behind them) and a queue of more than the usual
four places. A resend request brings it back to one at a time until CLEAN lines went well; a window above three that
has brought SPOILT of them is not tried again.
"""

from __future__ import annotations

from typing import Literal

BYTES = 127
"""Usable of the receive buffer of 128 bytes."""
SAFE = 3
MOST = 16
CLEAN = 100
SPOILT = 3
_QUEUE = 4
_LINE = 96


class Window:
    """`lines` and `bytes` are the present limits; a single line may always go."""

    def __init__(self, wanted: Literal["auto"] | int = 1) -> None:
        self.lines = 1
        self.bytes = BYTES
        self._emergency = False
        self._wanted = wanted
        self._places = 0  # in the command queue, as far as it has shown
        self._spoilt = 0
        self._clean = 0
        self._resent = False
        self.grow()

    def grow(self) -> None:
        """The widest window that is safe now; after a resend not before a clean run."""
        if self._resent:
            return
        spacious = self._emergency and self._places > _QUEUE and self._spoilt < SPOILT
        most = min(MOST, self._places - 1) if spacious else SAFE
        if self._wanted == "auto":
            self.lines = max(1, min(most, self._places - 1))
        else:
            self.lines = max(1, min(most, self._wanted))
        self.bytes = BYTES + _LINE * (self._places - _QUEUE) if spacious else BYTES

    def parses_emergencies(self, emergency: bool) -> None:
        """Whether the firmware reads M112 and M108 ahead of its queue."""
        self._emergency = emergency
        self.grow()

    def shown(self, free: int) -> None:
        """An `ok` said `B<free>`: so many places of the command queue were free beside the line's own."""
        if free + 1 > self._places and free < 256:
            self._places = free + 1
            self.grow()

    def resend(self) -> None:
        """The printer asked for a line again."""
        if self.lines > SAFE:
            self._spoilt += 1
        self.lines, self._resent, self._clean = 1, True, 0

    def acknowledged(self) -> None:
        """A line went well. Needed only while `recovering`."""
        self._clean += 1
        if self._clean >= CLEAN:
            self._resent = False
            self.grow()

    @property
    def known(self) -> bool:
        """Whether the firmware has shown its command queue."""
        return self._places > 0

    @property
    def recovering(self) -> bool:
        """Whether a resend has narrowed it."""
        return self._resent

"""Places in a G-code file from which its lines can be numbered without reading it from the start. Pure."""

from __future__ import annotations

from agent.gcode.index import Thinned
from agent.gcode.modal import ModalState

MAX_SEEKS = 4_096
STEP = 64 * 1024
"""Bytes between two seek points, at least; finding a line means to read at most about two of them."""


class SeekPoints:
    """Collects the points, each with its ordinal, its byte offset and what the lines before it have set."""

    def __init__(self) -> None:
        self.modal = ModalState()
        """What the lines have set, up to the last call of `settle`."""
        self._points: Thinned[tuple[int, bytes]] = Thinned(MAX_SEEKS)
        self._last_offset = -STEP
        self._odd: list[bytes] = []  # lines since the last point that may set something
        self._recent: list[list[bytes]] = []  # all lines since then

    def reach(self, offset: int, ordinal: int) -> None:
        """The line `ordinal` begins at the byte `offset`, or is the first after it: a point, if far enough on."""
        if offset - self._last_offset >= STEP:
            self._last_offset = offset
            self.settle()
            self._points.add(ordinal, (offset, b"\n".join(self.modal.lines())))

    def add(self, lines: list[bytes], odd: list[bytes]) -> None:
        """The next lines of the file, and those of them that may set anything but the feed rate."""
        self._odd += odd
        self._recent.append(lines)

    def settle(self) -> None:
        """Follow the lines that were added since the last point."""
        self.modal.follow_settings(self._odd)
        any(self.modal.follow_feedrate(lines) for lines in reversed(self._recent))
        self._odd.clear()
        self._recent.clear()

    @property
    def lines(self) -> tuple[int, ...]:
        """The ordinal of each point."""
        return self._points.keys()

    @property
    def offsets(self) -> tuple[int, ...]:
        """The byte offset of each point."""
        return tuple(offset for offset, _ in self._points.values())

    @property
    def modals(self) -> tuple[str, ...]:
        """What holds at each point, as lines with LF between them."""
        return tuple(modal.decode("latin-1") for _, modal in self._points.values())

"""Times of the lines of a file, from samples of its moves, so that the cost hardly grows with the file. Pure.

All blocks of a small file are reckoned (agent.gcode.move_times). Of a large one a half, a quarter, an eighth … are, and
the lines between take as long as those of the sample before them. The first blocks wait: nearly all files that have
times of their slicer have some by then, and are not reckoned at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.gcode.index import Thinned
from agent.gcode.move_times import BATCH, MoveTimes
from agent.gcode.slicer_marks import LONGEST

MAX_MARKS = 2_048

FULL_BLOCKS = 32
"""Blocks of which all are reckoned; of the next as many a half, of the next twice as many a quarter …"""

SPREAD = 0x9E3779B1
"""2³² × the golden ratio: its multiples are spread evenly, and beat with no regular structure of a file."""

HELD_BLOCKS = 4
"""Blocks that wait."""

MARK_S = 4.0
"""Seconds between two marks, at least."""


class SampledTimes:
    """Marks of the time for the sendable lines of a file, fed in order: all of a small one, samples of a large one."""

    def __init__(self, dialect: str = "") -> None:
        self._times = MoveTimes(dialect)
        self._marks: Thinned[float] = Thinned(MAX_MARKS)
        self._held: list[tuple[Sequence[bytes], int]] | None = []
        self._marked = 0.0
        self._left_out = 0.0  # seconds of the lines that were not reckoned
        self._sampling = True
        self._sample_lines = 0
        self._sample_begin = 0.0
        self._rate = 0.0  # seconds a line, in the last sample

    @property
    def seconds(self) -> float:
        """Of all lines so far."""
        return self._times.seconds + self._left_out

    def reach(self, block: int) -> None:
        """The next lines are of block number `block` of the file, from 0."""
        if block >= HELD_BLOCKS:
            self._release()
        sampling = (block * SPREAD & 0xFFFFFFFF) >> (32 - (block // FULL_BLOCKS).bit_length()) == 0
        if self._sampling and not sampling:
            self._times.jump()
        if self._sample_lines:
            self._rate = (self._times.seconds - self._sample_begin) / self._sample_lines
        self._sampling = sampling
        self._sample_lines, self._sample_begin = 0, self._times.seconds

    def feed(self, lines: Sequence[bytes], first: int) -> None:
        """Take the next lines; `first` is the ordinal of the first of them."""
        if self._held is not None:
            self._held.append((lines, first))
        else:
            self._reckon(lines, first)

    def _release(self) -> None:
        held, self._held = self._held, None
        for lines, first in held or ():
            self._reckon(lines, first)

    def _reckon(self, lines: Sequence[bytes], first: int) -> None:
        if not self._sampling:
            self._left_out += self._rate * len(lines)
            self._mark(first + len(lines) - 1)
            return
        self._sample_lines += len(lines)
        start = 0
        while start < len(lines):
            stop = start + BATCH - (first + start) % BATCH  # batches end at the same lines, wherever the blocks do
            self._times.feed(lines[start:stop])
            if stop <= len(lines):
                self._times.settle()
                self._mark(first + stop - 1)
            start = stop

    def _mark(self, ordinal: int) -> None:
        if self.seconds - self._marked >= MARK_S:
            self._marked = self.seconds
            self._marks.add(ordinal, self._marked)

    def left(self, whole: float | None = None) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Ordinals, and the seconds that are left when each is done; empty where nothing moves. `whole`: seconds that
        the whole takes, where that is known better."""
        self._release()
        self._times.settle()
        seconds = self.seconds
        if not MARK_S <= seconds <= LONGEST:
            return (), ()
        scale = (whole if whole is not None else seconds) / seconds
        return (0, *self._marks.keys()), tuple((seconds - mark) * scale for mark in (0.0, *self._marks.values()))

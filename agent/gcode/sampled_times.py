"""Times of the lines of a file, from samples of its moves, so that the cost hardly grows with the file. Pure.

All lines of a small file are reckoned (agent.gcode.move_times). Of a large one a half, a quarter, an eighth … are, in
groups, and the lines between take as long as those of the group before them. The first lines wait: nearly all files
that have times of their slicer have some by then, and are not reckoned at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter

from agent.gcode.index import Thinned
from agent.gcode.move_times import BATCH, MoveTimes
from agent.gcode.slicer_marks import LONGEST

MAX_MARKS = 2_048

GROUP = 4 * BATCH
"""Lines that are reckoned together, or left out."""

FULL_GROUPS = 256
"""Groups that are all reckoned, about 2 MB; of the next as many a half, of the next twice as many a quarter …"""

SPREAD = 0x9E3779B1
"""2³² × the golden ratio: its multiples are spread evenly, and beat with no regular structure of a file."""

HELD_BYTES = 256 * 1024
"""Bytes of the file whose lines wait."""

MARK_S = 4.0
"""Seconds between two marks, at least."""

Specials = Sequence[tuple[int, bytes]]
"""Lines, each with its place among those that it came with."""

_place = itemgetter(0)


class SampledTimes:
    """Marks of the time for the sendable lines of a file, fed in order: all of a small one, samples of a large one."""

    def __init__(self, dialect: str = "") -> None:
        self._times = MoveTimes(dialect)
        self._marks: Thinned[float] = Thinned(MAX_MARKS)
        self._held: list[tuple[Sequence[bytes], int, Specials]] | None = []
        self._marked = 0.0
        self._left_out = 0.0  # seconds of the lines that were not reckoned
        self._sampling = True
        self._begin = 0.0  # `_times.seconds` when the group that was reckoned last began
        self._rate = 0.0  # seconds a line, in that group

    @property
    def seconds(self) -> float:
        """Of all lines so far."""
        return self._times.seconds + self._left_out

    def reach(self, offset: int) -> None:
        """The next lines begin at this byte of the file."""
        if offset >= HELD_BYTES and self._held is not None:
            self._release()

    def feed(self, lines: Sequence[bytes], first: int, specials: Specials) -> None:
        """Take the next lines; `first` is the ordinal of the first of them, `specials` are those that are no moves."""
        if self._held is not None:
            self._held.append((lines, first, specials))
        else:
            self._reckon(lines, first, specials)

    def _release(self) -> None:
        held, self._held = self._held, None
        for lines, first, specials in held or ():
            self._reckon(lines, first, specials)

    def _reckon(self, lines: Sequence[bytes], first: int, specials: Specials) -> None:
        start = 0
        while start < len(lines):
            group, into = divmod(first + start, GROUP)  # groups and batches end at the same lines, however they come
            if not into:
                self._begin_group(group)
            if self._sampling:
                stop = start + BATCH - into % BATCH
                self._times.feed(lines[start:stop])
                if stop <= len(lines):
                    self._times.settle()
                    self._mark(first + stop - 1)
            else:
                stop = start + GROUP - into
                for _, code in specials[
                    bisect_left(specials, start, key=_place) : bisect_left(specials, stop, key=_place)
                ]:
                    self._times.follow(code)
                self._left_out += self._rate * (min(stop, len(lines)) - start)
                self._mark(first + min(stop, len(lines)) - 1)
            start = stop

    def _begin_group(self, group: int) -> None:
        if self._sampling:
            self._rate = (self._times.seconds - self._begin) / GROUP
        else:
            self._times.jump()
        self._begin = self._times.seconds
        self._sampling = (group * SPREAD & 0xFFFFFFFF) >> (32 - (group // FULL_GROUPS).bit_length()) == 0

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

"""Motion of the simulated printer: position, modal state, and the planner with the time that moves take.

It follows G90, G91, M82, M83, G20 and G21 by itself, not with agent.gcode.modal: that is tested against it.

The model is a simple one: a move takes its length at its feed rate, no axis goes faster than it can, and blocks
follow each other without a gap. There is no acceleration. Millimetres, simulated seconds, millimetres per minute."""

from __future__ import annotations

import math
from collections import deque

Block = tuple[float, float, float, float, float]
"""The instant at which a block ends, and X Y Z E there."""

_Z_MAX = 5.0
_E_MAX = 50.0
_XY_MAX = 300.0
"""The fastest each axis goes, in mm/s."""

STEPS_PER_MM = (80.0, 80.0, 400.0)


class Motion:
    """The modal state of movement and the planner's queue. `position` is where the planned moves will end."""

    def __init__(self, blocks: int) -> None:
        """`blocks` is the size of the planner's ring, which holds one block less."""
        self._capacity = blocks - 1
        self._blocks: deque[Block] = deque()
        self._start: Block = (0.0, 0.0, 0.0, 0.0, 0.0)  # the instant and place where the oldest block begins
        self.x = self.y = self.z = self.e = 0.0
        self.homed: set[str] = set()
        self.feed = 1500.0
        self.unit = 1.0
        self.relative = False
        self.relative_e = False
        self.feed_percent = 100.0

    # -- the planner

    def free(self, now: float) -> int:
        """Free planner blocks at `now`."""
        blocks = self._blocks
        while blocks and blocks[0][0] <= now:
            self._start = blocks.popleft()
        return self._capacity - len(blocks)

    def next_free(self) -> float:
        """The instant at which the oldest block ends. Only with at least one block planned."""
        return self._blocks[0][0]

    def end(self) -> float:
        """The instant at which the last planned block ends; in the past when nothing moves."""
        return self._blocks[-1][0] if self._blocks else self._start[0]

    def busy(self, now: float) -> bool:
        """Whether anything moves at `now`."""
        return self.end() > now

    def actual(self, now: float) -> tuple[float, float, float, float]:
        """The actual position of the head at `now`."""
        self.free(now)
        if not self._blocks:
            return (self.x, self.y, self.z, self.e)
        start, block = self._start, self._blocks[0]
        begin = start[0]
        part = min(1.0, max(0.0, (now - begin) / (block[0] - begin))) if block[0] > begin else 1.0
        x, y, z, e = (a + (b - a) * part for a, b in zip(start[1:], block[1:], strict=True))
        return (x, y, z, e)

    def quick_stop(self, now: float) -> None:
        """Drop what is planned; the head stays where it is (M410)."""
        self.x, self.y, self.z, self.e = self.actual(now)
        self._blocks.clear()
        self._start = (now, self.x, self.y, self.z, self.e)

    # -- moves

    def move_words(self, now: float, words: list[bytes], *, cold: bool) -> bool:
        """Plan a move, on the hot path of G0 and G1, from raw words such as `X1.5`; True when a cold nozzle kept the
        filament still. Raises ValueError, with nothing changed, when a word is not a plain number."""
        unit = self.unit
        x, y, z, e, feed = self.x, self.y, self.z, self.e, self.feed
        for word in words:
            letter = word[0]
            value = float(word[1:]) * unit
            if letter == 88:
                x = x + value if self.relative else value
            elif letter == 89:
                y = y + value if self.relative else value
            elif letter == 69:
                e = e + value if self.relative_e else value
            elif letter == 70:
                feed = value if value > 0 else feed
            elif letter == 90:
                z = z + value if self.relative else value
        if not math.isfinite(x + y + z + e + feed):
            raise ValueError("not a finite number")
        self.feed = feed
        return self.move_to(now, x, y, z, e, cold=cold)

    def move_to(
        self, now: float, x: float, y: float, z: float, e: float, *, cold: bool, length: float | None = None
    ) -> bool:
        """Plan a move to an absolute place; `length` is that of the path when it is not straight. True when a cold
        nozzle kept the filament still (the position counts it as done, as the firmware does)."""
        dx, dy, dz, de = x - self.x, y - self.y, z - self.z, e - self.e
        held = cold and de != 0.0
        path = length if length is not None else math.sqrt(dx * dx + dy * dy + dz * dz)
        if path > 0.0 or (de != 0.0 and not held):
            speed = self.feed * self.feed_percent / 6000.0
            seconds = path / min(speed, _XY_MAX) if path else abs(de) / min(speed, _E_MAX)
            if dz and abs(dz) / _Z_MAX > seconds:
                seconds = abs(dz) / _Z_MAX
            if self._blocks:
                begin = self._blocks[-1][0]
            else:
                begin = now
                self._start = (now, self.x, self.y, self.z, self.e)
            self._blocks.append((begin + seconds, x, y, z, e))
        self.x, self.y, self.z, self.e = x, y, z, e
        return held

    def arc_length(self, x: float, y: float, i: float, j: float, *, clockwise: bool) -> float:
        """The length of an arc in the XY plane to (x, y) round the centre at offset (i, j); a full circle when it ends
        where it began."""
        radius = math.hypot(i, j)
        start = math.atan2(-j, -i)
        stop = math.atan2(y - (self.y + j), x - (self.x + i))
        angle = (start - stop if clockwise else stop - start) % (2 * math.pi)
        return radius * (angle if angle > 1e-9 else 2 * math.pi)

    def place(self, x: float | None, y: float | None, z: float | None, e: float | None) -> None:
        """Set the position without moving (G92, and the end of G28)."""
        dx = x - self.x if x is not None else 0.0
        dy = y - self.y if y is not None else 0.0
        dz = z - self.z if z is not None else 0.0
        de = e - self.e if e is not None else 0.0
        self.x, self.y, self.z, self.e = self.x + dx, self.y + dy, self.z + dz, self.e + de
        # The planned blocks keep their ends in time and in the real world: only the names of the places move.
        self._start = _shift(self._start, dx, dy, dz, de)
        if self._blocks and (dx or dy or dz or de):
            shifted = [_shift(block, dx, dy, dz, de) for block in self._blocks]
            self._blocks.clear()
            self._blocks.extend(shifted)


def _shift(block: Block, dx: float, dy: float, dz: float, de: float) -> Block:
    return (block[0], block[1] + dx, block[2] + dy, block[3] + dz, block[4] + de)

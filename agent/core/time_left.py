"""Time left of a print: what the file or its moves say, corrected by the speed that is set and by what the print shows.

    reckoned  seconds that are left by the file's own times, or by its moves (agent.gcode.index)
    expected  the same at the speed that is set: M220 at half speed does not double the time, because short moves are
              limited by acceleration
    pace      seconds that the print really took for each expected one, so far: newer ones count more

The time left is expected × pace. Pauses, heating and what comes before the first layer (homing, levelling) tell nothing
about the pace. Where nothing is reckoned, the time that passed and the share that is done tell: `elapsed`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

TRUST_S = 30.0
"""Expected seconds that the file's own pace counts for: as if the print had shown it so long, before it began."""

FORGET_SHARE = 0.25
"""Of the expected time of the print: what was longer ago counts 1/e or less."""

FORGET_S = 300.0
"""The same in seconds, at least."""

CHUNK_S = 15.0
"""Expected seconds after which the pace is looked at again."""

ODD = 2.5
"""A chunk that took so many times longer or shorter than the pace so far is taken for one that took just so many."""

SPEED_EXPONENT = 0.8
"""How the time follows the speed that is set: 1 is as in the feed rate, 0 not at all."""

RISE_S = 10.0
RISE_SHARE = 0.01
"""A time left that rises by less than both of these together is shown as it was: it counts down."""

ENOUGH_S = 30.0
ENOUGH_SHARE = 0.01
"""Of the time that passed and of the print that must be known to go by them alone."""


_SPEED = re.compile(r"M220\s+S(\d{1,4})")


class TimeSource(StrEnum):
    """What the time left was reckoned from: `data.seconds_left_from` (docs/protocol.md)."""

    FILE = "file"
    MOVES = "moves"
    ELAPSED = "elapsed"


class Pace(msgspec.Struct, frozen=True):
    """What a print has shown: `took` seconds for `expected` ones, the newer counting more; `printed` seconds in all.
    It is kept with the job, so that it outlives the agent."""

    took: float = TRUST_S
    expected: float = TRUST_S
    printed: float = 0.0

    def value(self) -> float:
        """Real seconds for each expected one."""
        return self.took / self.expected

    def with_chunk(self, took: float, expected: float, forget_s: float) -> Pace:
        """The pace after a further chunk of the print."""
        usual = self.value() * expected
        took = min(max(took, usual / ODD), usual * ODD)
        kept = math.exp(-expected / forget_s)
        return Pace(self.took * kept + took, self.expected * kept + expected, self.printed)


class Reckoned(msgspec.Struct, frozen=True):
    """Where a print is: `left` seconds as reckoned from `source`, None where nothing is; `progress` is 0 to 1; `speed`
    the percentage that is set, over that which the file supposes; `begun`: whether its first layer has."""

    left: float | None
    progress: float
    source: TimeSource = TimeSource.FILE
    speed: float = 100.0
    begun: bool = True


class TimeLeft:
    """The time left of one print. Call `update` about each second."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.seconds: int | None = None
        """Seconds that are left; None while nobody can tell."""
        self.source: TimeSource | None = None
        self._last: float | None = None  # when `update` was called, if the print ran since then
        self._before: float | None = None  # what was left by the reckoning then
        self._total = 0.0
        self._took = self._expected = 0.0  # of the chunk at hand

    def update(self, now: float, reckoned: Reckoned, *, runs: bool) -> None:
        """`now` is a monotonic clock's, in seconds; `runs`: the printer prints, and does not heat or wait."""
        passed = now - self._last if self._last is not None and runs else 0.0
        self._last = now if runs else None
        self.pace = msgspec.structs.replace(self.pace, printed=self.pace.printed + passed)
        if reckoned.left is None:
            self._from_elapsed(reckoned.progress)
            return
        stretch = (100.0 / max(reckoned.speed, 1.0)) ** SPEED_EXPONENT
        left = reckoned.left * stretch
        self._learn(passed, reckoned.left, stretch, begun=reckoned.begun)
        self._show(left * self.pace.value(), reckoned.source)

    def _learn(self, passed: float, left: float, stretch: float, *, begun: bool) -> None:
        before, self._before = self._before, left
        self._total = max(self._total, left * stretch)
        if before is None or not begun:
            return
        self._took += passed
        self._expected += max(0.0, before - left) * stretch
        if self._expected >= CHUNK_S:
            forget_s = max(FORGET_S, FORGET_SHARE * self._total)
            self.pace = self.pace.with_chunk(self._took, self._expected, forget_s)
            self._took = self._expected = 0.0

    def _from_elapsed(self, progress: float) -> None:
        printed = self.pace.printed
        if printed >= ENOUGH_S and progress >= ENOUGH_SHARE:
            self._show(printed * (1.0 - progress) / progress, TimeSource.ELAPSED)

    def _show(self, seconds: float, source: TimeSource) -> None:
        shown = self.seconds
        if shown is None or seconds < shown or seconds > shown + max(RISE_S, RISE_SHARE * shown):
            self.seconds = round(seconds)
        self.source = source


def speed_percent(preamble: Sequence[str]) -> float:
    """The speed factor in percent that lines before a print set (M220); 100 when none does."""
    found = [int(speed[1]) for line in preamble if (speed := _SPEED.fullmatch(line.strip()))]
    return float(found[-1] or 100) if found else 100.0

"""Times of moves: how long a program takes as far as each of its lines, for files whose slicer does not say. Pure.

Each move is a trapezoid: it begins and ends with the speed at which its corners can be passed (M205), and changes its
speed with the acceleration that the file sets (M204) or that is usual for the firmware, within the limits of the axes
(M201, M203). What a printer really does is not in the file: what the print shows corrects the estimate
(agent.core.time_left).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from agent.gcode.modal import ModalState
from agent.gcode.slicer_marks import LONGEST
from agent.gcode.words import command_word, parameters

BATCH = 64
"""Lines that are planned together: each knows what comes after it, but for the last."""

_NUMBER = rb"([-+]?(?:\d+(?:\.\d*)?|\.\d+))"
_MOVE = re.compile(
    rb"G[01](?: F"
    + _NUMBER
    + rb")?(?: X"
    + _NUMBER
    + rb")?(?: Y"
    + _NUMBER
    + rb")?(?: Z"
    + _NUMBER
    + rb")?(?: E"
    + _NUMBER
    + rb")?(?: F"
    + _NUMBER
    + rb")?"
)


class Motion(NamedTuple):
    """What a firmware is usually set to: acceleration while extruding and travelling and of the filament alone
    (mm/s²), and the change of speed with which a corner is passed (mm/s)."""

    extruding: float = 1_000.0
    travel: float = 1_250.0
    filament: float = 1_250.0
    jerk: float = 9.0


USUAL = Motion()
DIALECTS = {
    "klipper": Motion(3_000.0, 3_000.0, 3_000.0, 7.0),
    "reprap": Motion(2_000.0, 2_000.0, 2_000.0, 10.0),
    "smoothie": Motion(2_000.0, 2_000.0, 1_000.0, 8.0),
}
"""Firmware, as agent.gcode.command_policy names it → what printers with it are usually set to; others: USUAL."""

FASTEST = (300.0, 12.0, 60.0)
"""mm/s of X and Y, of Z, and of the filament, where the file sets nothing (M203)."""

STRONGEST_Z = 200.0
"""mm/s² of Z."""

CORNER_E = 4.0
"""mm/s between a move of the filament alone and the next."""

SHORTEST, LONGEST_MOVE = 1e-4, 1e5
"""mm; a shorter move is none, and a longer one nonsense."""

SLOWEST = 0.01
"""mm/s; a slower move is taken for one of this speed."""

_MOVES = frozenset((b"G0", b"G1", b"G2", b"G3"))
_ARCS = frozenset((b"G2", b"G3"))
_MODES = frozenset((b"G90", b"G91", b"M82", b"M83", b"G20", b"G21"))
_SETTINGS = frozenset((b"M201", b"M203", b"M204", b"M205", b"G92", b"G4"))
_SETS = _MODES | {b"M20"}  # how lines begin that set a mode or a limit
_Z_SHARE = 10.0  # Z changes its speed so much less readily
_STRAIGHT = 1e-3
_NONE = (0.0, 0.0, 0.0)
_Arc = tuple[float, tuple[float, float], tuple[float, float]]  # length, and its direction at the begin and the end
_Move = tuple[float, float, float, float]  # length, speed, acceleration, squared speed at which it may be entered


class MoveTimes:
    """Times of all sendable lines, fed in order. `seconds` is the time of the moves that have been settled."""

    def __init__(self, dialect: str = "") -> None:
        usual = DIALECTS.get(dialect, USUAL)
        self.seconds = 0.0
        self._extruding, self._travel, self._filament, self._jerk = usual
        self._fastest, self._fastest_z, self._fastest_e = FASTEST
        self._strongest = math.inf  # mm/s² of X and Y, where the file limits it
        self._feed = 25.0  # mm/s
        self._place = (0.0, 0.0, 0.0, 0.0)
        self._modal = ModalState()
        self._absolute = self._absolute_e = True
        self._unit = 1.0
        self._direction = _NONE  # of the last move
        self._speed = 0.0  # that it may have, mm/s
        self._plan: list[_Move] = []
        self._entry = 0.0  # squared speed at which the first move of the plan is entered

    def feed(self, lines: Sequence[bytes]) -> None:
        """Take the next lines; `settle` after each BATCH of them."""
        match = _MOVE.fullmatch
        for line in lines:
            if move := match(line):
                self._move(*move.groups())
            else:
                self._other(line)

    def _move(
        self,
        first_feed: bytes | None,
        x: bytes | None,
        y: bytes | None,
        z: bytes | None,
        e: bytes | None,
        last_feed: bytes | None,
    ) -> None:
        """A move in the form that slicers write; `_other` has those in other forms."""
        before_x, before_y, before_z, before_e = self._place
        unit, absolute = self._unit, self._absolute
        if feed := last_feed or first_feed:
            self._feed = float(feed) * unit / 60.0 or self._feed
        to_x = before_x if x is None else float(x) * unit if absolute else before_x + float(x) * unit
        to_y = before_y if y is None else float(y) * unit if absolute else before_y + float(y) * unit
        to_z = before_z if z is None else float(z) * unit if absolute else before_z + float(z) * unit
        to_e = before_e if e is None else float(e) * unit if self._absolute_e else before_e + float(e) * unit
        self._place = (to_x, to_y, to_z, to_e)
        self._plan_move(to_x - before_x, to_y - before_y, to_z - before_z, to_e - before_e, None)

    def _plan_move(self, dx: float, dy: float, dz: float, de: float, arc: _Arc | None) -> None:
        """Plan a move by these distances."""
        speed = self._feed
        if dx or dy or arc:
            length = math.sqrt(dx * dx + dy * dy + dz * dz) if arc is None else arc[0]
            acceleration = self._extruding if de > 0.0 else self._travel
            speed = min(speed, self._fastest)
            if not SHORTEST <= length <= LONGEST_MOVE:  # NaN is neither
                return
            ux, uy, uz = dx / length, dy / length, dz / length
            if arc is not None:
                ux, uy = arc[1]
            if dz:
                speed = min(speed, self._fastest_z / abs(uz))
                acceleration = min(acceleration, STRONGEST_Z / abs(uz))
            px, py, pz = self._direction
            change = max(abs(ux - px), abs(uy - py), abs(uz - pz) * _Z_SHARE)
            corner = self._jerk / change if change > _STRAIGHT else speed
            corner = min(corner, speed, self._speed)
            self._direction, self._speed = (ux, uy, uz) if arc is None else (*arc[2], uz), speed
        elif dz:
            length, acceleration, corner = abs(dz), STRONGEST_Z, 0.0
            if not SHORTEST <= length <= LONGEST_MOVE:
                return
            speed = min(speed, self._fastest_z)
            self._direction, self._speed = (0.0, 0.0, 1.0), speed
        else:
            length, acceleration, corner = abs(de), self._filament, 0.0
            if not SHORTEST <= length <= LONGEST_MOVE:
                return
            speed = min(speed, self._fastest_e)
            self._direction, self._speed = _NONE, CORNER_E
        self._plan.append((length, max(speed, SLOWEST), acceleration, corner * corner))

    def follow(self, line: bytes) -> None:
        """A line that is left out, no move: what it sets holds for those that follow, but for places (G92)."""
        if line[:3] in _SETS:
            self._other(line)

    def jump(self) -> None:
        """Moves were left out here: nobody knows where the next one begins, which is not counted."""
        self._stop()
        z = self._place[2]
        here, filament = (math.nan if absolute else 0.0 for absolute in (self._absolute, self._absolute_e))
        self._place = (here, here, z, filament)

    def _stop(self) -> None:
        self.settle()
        self._direction, self._speed, self._entry = _NONE, 0.0, 0.0

    def settle(self) -> None:
        """Reckon the moves that were fed, into `seconds`."""
        plan = self._plan
        if not plan:
            return
        leave = plan[-1][3]  # at the last one it is not known: as it was entered
        entries = [leave]
        for length, _, acceleration, entry in reversed(plan):
            leave = min(entry, leave + 2.0 * acceleration * length)  # so that it can brake
            entries.append(leave)
        speed = min(self._entry, entries.pop())
        seconds = 0.0
        for length, top, acceleration, _ in plan:
            leave = min(entries.pop(), speed + 2.0 * acceleration * length)
            peak = min(top * top, acceleration * length + (speed + leave) / 2.0)
            root = math.sqrt(peak)
            cruise = length - (peak - (speed + leave) / 2.0) / acceleration
            seconds += (2.0 * root - math.sqrt(speed) - math.sqrt(leave)) / acceleration
            if cruise > 0.0:
                seconds += cruise / root
            speed = leave
        self._entry = speed
        self.seconds += seconds
        plan.clear()

    def _other(self, line: bytes) -> None:
        """A line that is no move in the usual form."""
        command = command_word(line)
        if command in _MOVES:
            words = parameters(line)
            if command in _ARCS and (b"I" in words or b"J" in words):
                self._arc(words, clockwise=command == b"G2")
            else:
                self._move_words(words)
        elif command in _MODES:
            self._modal.follow(line)
            self._absolute, self._absolute_e = self._modal.absolute, self._modal.extruder_absolute
            self._unit = 25.4 if self._modal.inches else 1.0
            x, y, z, e = (0.0 if math.isnan(place) else place for place in self._place)
            self._place = (x, y, z, e)
        elif command in _SETTINGS:
            self._set(command, parameters(line))

    def _target(self, words: dict[bytes, float]) -> tuple[float, float, float, float]:
        """Where a move goes, and its feed rate."""
        if feed := words.get(b"F"):
            self._feed = abs(feed) * self._unit / 60.0
        place = []
        for letter, before in zip((b"X", b"Y", b"Z", b"E"), self._place, strict=True):
            value = words.get(letter)
            absolute = self._absolute_e if letter == b"E" else self._absolute
            place.append(before if value is None else value * self._unit + (0.0 if absolute else before))
        return place[0], place[1], place[2], place[3]

    def _move_words(self, words: dict[bytes, float], arc: _Arc | None = None) -> None:
        before, self._place = self._place, self._target(words)
        dx, dy, dz, de = (b - a for a, b in zip(before, self._place, strict=True))
        self._plan_move(dx, dy, dz, de, arc)

    def _arc(self, words: dict[bytes, float], *, clockwise: bool) -> None:
        """An arc around the centre at a distance of I, J: chords that the planner passes at its speed."""
        x, y = self._place[:2]
        i, j = words.get(b"I", 0.0) * self._unit, words.get(b"J", 0.0) * self._unit
        to_x, to_y = self._target(words)[:2]
        begin, end = math.atan2(-j, -i), math.atan2(to_y - y - j, to_x - x - i)
        turn = (begin - end if clockwise else end - begin) % (2 * math.pi) or 2 * math.pi
        sign = -1.0 if clockwise else 1.0
        first = (-sign * math.sin(begin), sign * math.cos(begin))
        last = (-sign * math.sin(end), sign * math.cos(end))
        self._move_words(words, (math.hypot(i, j) * turn, first, last))

    def _set(self, command: bytes, words: dict[bytes, float]) -> None:
        """What the file sets of the firmware's motion, and what waits."""
        match command:
            case b"G92":
                x, y, z, e = (
                    words.get(letter, before / self._unit) * self._unit
                    for letter, before in zip((b"X", b"Y", b"Z", b"E"), self._place, strict=True)
                )
                self._place = (x, y, z, e)
            case b"G4":
                self._stop()
                wait = max(words.get(b"S", 0.0), 0.0) + max(words.get(b"P", 0.0), 0.0) / 1_000.0
                self.seconds += min(wait, LONGEST)
            case _:
                limits = {letter: value for letter, value in words.items() if value >= 1.0}
                self._set_limits(command, limits, words.get(b"J", 0.0))

    def _set_limits(self, command: bytes, limits: dict[bytes, float], deviation: float) -> None:
        match command:
            case b"M204":
                every = limits.get(b"S")
                self._extruding = limits.get(b"P") or every or self._extruding
                self._travel = limits.get(b"T") or every or self._travel
                self._filament = limits.get(b"R") or self._filament
            case b"M201":
                self._strongest = min(limits.get(b"X", self._strongest), limits.get(b"Y", self._strongest))
            case b"M203":
                self._fastest = min(limits.get(b"X", self._fastest), limits.get(b"Y", self._fastest))
                self._fastest_z = limits.get(b"Z", self._fastest_z)
                self._fastest_e = limits.get(b"E", self._fastest_e)
            case _:
                self._jerk = min(limits.get(b"X", self._jerk), limits.get(b"Y", self._jerk))
                if 0.0 < deviation < 1.0:  # junction deviation in mm: 0.4 × jerk² / acceleration (docs/serial.md)
                    self._jerk = math.sqrt(deviation * self._extruding / 0.4)
        self._extruding, self._travel = min(self._extruding, self._strongest), min(self._travel, self._strongest)

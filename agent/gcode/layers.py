"""Layer detection from the moves, for files whose slicer wrote no layer comments (Slic3r). Pure.

A layer starts with the first extruding move at a height above the last layer's. Z-hops do not extrude, so they do not
count. What a start script draws beside the model is the first "layer" for a while, and is forgotten when it turns out
to be a line or two at another height than the model's first layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.gcode.index import Thinned
from agent.gcode.modal import ModalState
from agent.gcode.words import BLANKS, COMMAND_WITHOUT_SUBCODE, NUMBER

MIN_RISE = 0.02
"""Millimetres: less than the thinnest layer anyone prints, more than the noise of rounded and summed-up heights."""

PRIME_MOVES = 2
"""Extruding moves in the usual priming lines (Cura's and Prusa's start scripts draw two)."""

_COMMAND = re.compile(COMMAND_WITHOUT_SUBCODE)
_AXIS = re.compile(rb"([XYZEIJ])" + BLANKS + rb"(" + NUMBER + rb")")


class LayersFromMoves:
    """Detects layers in all sendable lines, fed in order; `starts`: the ordinal of each layer's first extruding
    move."""

    def __init__(self, cap: int) -> None:
        self.starts: Thinned[None] = Thinned(cap)
        self._cap = cap
        self._z = 0.0
        self._e: float | None = 0.0  # None: not known
        self._modal = ModalState()  # as Marlin 2: G90 and G91 are for all axes, the extruder's too
        self._absolute = self._absolute_e = True  # what it says; many moves ask
        self._top = float("-inf")  # height of the newest layer
        self._moves = 0  # extruding moves of the first layer so far
        self._looking = True  # may the next extruding move start a layer (or still be a priming line)?

    def feed(self, lines: Sequence[bytes], first: int) -> None:
        """Take the next lines; `first` is the ordinal of the first of them."""
        seen = -1  # the last line that was looked at; those after it can only have moved X, Y and E
        for at, line in enumerate(lines):
            if not self._looking and b"Z" not in line and line[:3] in (b"G1 ", b"G0 "):
                continue
            if at - seen > 1:
                self._catch_up(lines, seen, at)
            seen = at
            if code := _COMMAND.match(line):
                self._act(code[1] + code[2], line[code.end() :], first + at)
        self._catch_up(lines, seen, len(lines))

    def _catch_up(self, lines: Sequence[bytes], after: int, before: int) -> None:
        """Update the extruder's place from the moves between, which were passed over: the last one with an E has it."""
        if not self._absolute_e:
            return
        for at in range(before - 1, after, -1):
            if b"E" in lines[at] and (e := _words(lines[at]).get(b"E")) is not None:
                self._e = e
                return

    def _act(self, code: bytes, rest: bytes, ordinal: int) -> None:
        match code:
            case b"G0" | b"G1" | b"G2" | b"G3":
                self._move(_words(rest), ordinal)
            case b"G90" | b"G91" | b"M82" | b"M83":
                self._modal.follow(code)
                self._absolute = self._modal.absolute
                if self._modal.extruder_absolute and not self._absolute_e:
                    self._e = None  # relative moves are not summed up; the next E or G92 tells
                self._absolute_e = self._modal.extruder_absolute
            case b"G92":
                words = _words(rest)
                self._z = words.get(b"Z", self._z)
                self._e = words.get(b"E", self._e)
            case b"G28" if b"Z" in rest or not (b"X" in rest or b"Y" in rest):
                self._z = 0.0
            case _:
                return
        self._looking = (
            self._z > self._top + MIN_RISE
            or (self.starts.count == 1 and self._z < self._top - MIN_RISE)
            or (self.starts.count == 1 and self._moves <= PRIME_MOVES)
        )

    def _move(self, words: dict[bytes, float], ordinal: int) -> None:
        if (z := words.get(b"Z")) is not None:
            self._z = z if self._absolute else self._z + z
        if (e := words.get(b"E")) is None:
            return
        grows = e > self._e if self._absolute_e and self._e is not None else e > 0 and not self._absolute_e
        self._e = e
        if grows and (b"X" in words or b"Y" in words or b"I" in words or b"J" in words):
            self._extrude(ordinal)

    def _extrude(self, ordinal: int) -> None:
        rises = self._z > self._top + MIN_RISE
        priming = self.starts.count == 1 and (self._z < self._top - MIN_RISE or (rises and self._moves <= PRIME_MOVES))
        if priming:
            self.starts, self._moves = Thinned(self._cap), 0
        if priming or rises:
            self.starts.add(ordinal, None)
            self._top = self._z
        if self.starts.count == 1:
            self._moves += 1


def _words(text: bytes) -> dict[bytes, float]:
    return {letter: float(number) for letter, number in _AXIS.findall(text)}

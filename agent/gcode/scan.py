"""Scan a G-code file in one pass, block by block as it arrives: index it, and refuse what must not be printed.

Made for the speed of a slow board: whole blocks are split at once, and only what is not a plain move is looked at one
by one. Comments that say something cut a block into segments, so that their ordinal is known.
"""

from __future__ import annotations

import re

from agent.errors import DataError
from agent.gcode import preflight
from agent.gcode.command_check import CommandCheck
from agent.gcode.index import Caution, Index, Thinned
from agent.gcode.layers import LayersFromMoves
from agent.gcode.limits import Limits
from agent.gcode.program_check import ProgramCheck
from agent.gcode.sampled_times import SampledTimes
from agent.gcode.seek_points import STEP, SeekPoints
from agent.gcode.sendable import LineBlocks, sendable
from agent.gcode.slicer_marks import COMMENTS, SlicerMarks

MAX_LAYERS = 16_384

NUL_SHARE = 0.1
"""More NULs than this are not damage but a binary."""

# A literal "\n;" first: the regex engine searches for it far faster than for an alternative.
_MARK = re.compile(rb"\n;[ \t]*(LAYER_CHANGE|LAYER:|" + COMMENTS + rb")([^\n]*)")
_SETS = re.compile(rb"G[ \t0]*(?:9[01]|2[018])(?![\d.])")  # the G codes that agent.gcode.modal wants to see
# Plain moves, of which a file mostly consists: lines, each with its end, that no firmware can take for anything else.
# No possessive group: Python before 3.11.5 matches too little with one that holds something to try again.
_MOVES = re.compile(rb"(?:G[0-3](?:[ XYZEFIJ][-XYZEFIJ.0-9 ]*+)?\n)*")
# What else there is much of and may stand on any firmware, with words that are no commands.
_HARMLESS = re.compile(
    rb"(?:M10[67](?: ?[PS][0-9]*\.?[0-9]*+)*"
    rb"|(?:G(?:2[18]|9[0-2])|M(?:73|20[1345]|22[01]|8[234]|900))(?: ?[A-FH-LO-SU-Z]-?[0-9]*\.?[0-9]*+)*) *+"
)


class Scanner:
    """Scans one file: `feed` its bytes in order, then `finish`. Both raise DataError when the file must not be printed;
    the message names the line. Memory does not grow with the file."""

    def __init__(self, limits: Limits | None = None, dialect: str = "", *, begun: bool = False) -> None:
        """`dialect` is the firmware's of the printer that the file is for; empty when that is not known yet: what it
        may refuse is in `Index.refused`. `begun`: the file is being printed, its commands are not judged again."""
        self._begun = begun
        self._limits = limits or Limits()
        self._commands = CommandCheck(self._limits, dialect)
        self._blocks = LineBlocks()
        self._size = self._nuls = 0
        self._count = 0  # sendable lines so far
        self._physical = 0  # physical lines before the block at hand
        self._head = b""
        self._has_command = False
        self._program = ProgramCheck(self._limits.volume)
        self._warnings: dict[str, tuple[int, int]] = {}
        self._layer_comment = b""  # the kind of comment that starts a layer here; the first kind seen
        self._layers_due = 0  # layers whose first line has not come yet
        self._layers: Thinned[None] = Thinned(MAX_LAYERS)
        self._moves: LayersFromMoves | None = LayersFromMoves(MAX_LAYERS)
        self._seeks = SeekPoints()
        self._sets = False  # whether the block at hand has a G code that sets something
        self._marks = SlicerMarks()
        self._times: SampledTimes | None = SampledTimes(dialect)  # until the slicer tells times itself

    def feed(self, block: bytes) -> None:
        """Scan the next bytes of the file, as many as there are. Raises DataError for what must not be printed."""
        for start in range(0, len(block), STEP):
            self._feed(block[start : start + STEP] if len(block) > STEP else block)

    def _feed(self, block: bytes) -> None:
        if len(self._head) < 8:
            self._head += block[:8]
            if what := preflight.foreign(self._head):
                raise DataError(f"not G-code: the file is {what}")
        self._size += len(block)
        if b"\0" in block:
            self._nuls += block.count(b"\0")
            if self._size >= STEP:
                self._refuse_binary()
        offset = self._blocks.offset
        if self._times is not None:
            self._times.reach(offset)
        if text := self._blocks.feed(block):
            self._seeks.reach(offset, self._count + 1)
            self._text(text)

    def finish(self) -> Index:
        """End the scan and give the index. Raises DataError also where there is nothing to print in the file."""
        self._refuse_binary()
        if text := self._blocks.finish():
            self._text(text)
        if not self._size:
            raise DataError("the file is empty")
        if not self._count:
            raise DataError("the file holds no line to send: nothing but comments and blanks")
        if not self._has_command:
            raise DataError("not G-code: the file holds no G, M or T command")
        return self._index()

    def _refuse_binary(self) -> None:
        if self._nuls > NUL_SHARE * self._size:
            raise DataError(f"not G-code: {self._nuls} of the first {self._size} bytes are NUL, it looks like a binary")

    def _text(self, text: bytes) -> None:
        """Scan whole lines; between two comments that matter there is a segment of lines to send."""
        text = b"\n" + text
        self._sets = _SETS.search(text) is not None
        at = 0
        for mark in _MARK.finditer(text):
            self._segment(text, at, mark.start())
            self._mark(mark[1], mark[2])
            at = mark.end()
        self._segment(text, at, len(text))
        self._whole(text)
        self._physical += text.count(b"\n") - 1

    def _whole(self, text: bytes) -> None:
        """The checks of the whole program."""
        if found := self._program.outside(text):
            at, why = found
            raise preflight.refusal(self._line_at(text, at), text[at:].partition(b"\n")[0].strip(), why)
        for at, warning in self._program.cautions(text):
            self._warn(warning, self._line_at(text, at))

    def _line_at(self, text: bytes, at: int) -> int:
        return self._physical + text.count(b"\n", 0, at)

    def _warn(self, warning: str, line: int) -> None:
        first, count = self._warnings.get(warning, (line, 0))
        self._warnings[warning] = (first, count + 1)

    def _segment(self, text: bytes, start: int, end: int) -> None:
        lines = sendable(text[start:end])
        if not lines:
            return
        first = self._count + 1
        self._check_lengths(lines, (text, start, end))
        specials = _specials(lines)
        for at, code in specials:
            if code[:2] in (b"M7", b"M2"):
                self._marks.command(code, first + at)
            if _HARMLESS.fullmatch(code) is None:
                self._special(code, (text, start, end, at))
        sets = self._sets and _SETS.search(text, start, end)
        self._seeks.add(lines, lines if sets else [code for _, code in specials])
        if not self._has_command:
            self._has_command = any(map(preflight.has_command, lines))
        if self._layers_due:
            for _ in range(self._layers_due):
                self._layers.add(first, None)
            self._layers_due = 0
        if self._moves:
            self._moves.feed(lines, first)
        self._reckon(lines, first, specials)
        self._count += len(lines)

    def _check_lengths(self, lines: list[bytes], place: tuple[bytes, int, int]) -> None:
        if max(map(len, lines)) > preflight.SHORT:
            for at, code in enumerate(lines):
                if len(code) > preflight.SHORT and (long := preflight.too_long(self._count + 1 + at, code)):
                    self._refuse(long, code, (*place, at))

    def _reckon(self, lines: list[bytes], first: int, specials: list[tuple[int, bytes]]) -> None:
        """Reckon the times of moves, until the slicer's own are there."""
        if self._times is not None:
            if self._marks.timed:
                self._times = None
            else:
                self._times.feed(lines, first, specials)

    def _special(self, code: bytes, place: tuple[bytes, int, int, int]) -> None:
        """Check a line that is not plainly harmless."""
        if why := preflight.not_a_command(code):
            raise preflight.refusal(self._physical_line(*place), code, why)
        refusals, warning = self._commands.check(code) if not self._begun else ({}, "")
        if refusals:
            self._refuse(refusals, code, place)
        if warning:
            known = self._warnings.get(warning)
            self._warn(warning, known[0] if known else self._physical_line(*place))

    def _refuse(self, refusals: dict[str, str], code: bytes, place: tuple[bytes, int, int, int]) -> None:
        """Keep why some firmwares must not get the file. Raises DataError where that ends the scan."""
        line = self._physical_line(*place)
        texts = {dialect: str(preflight.refusal(line, code, why)) for dialect, why in refusals.items()}
        if final := self._commands.refuse(texts):
            raise DataError(final)

    def _mark(self, kind: bytes, rest: bytes) -> None:
        """Take a comment that matters: a layer's start, or a mark of the slicer."""
        if kind in (b"LAYER_CHANGE", b"LAYER:"):
            if kind == (self._layer_comment or kind):
                self._layer_comment = kind
                self._layers_due += 1
                self._moves = None
        else:
            self._marks.comment(kind, rest, self._count)

    def _index(self) -> Index:
        self._seeks.settle()
        layers = self._layers if self._moves is None else self._moves.starts
        share_lines, shares = self._marks.shares()
        left_from, left_lines, left = self._left()
        return Index(
            size=self._size,
            total_lines=self._count,
            total_layers=layers.count,
            layer_starts=layers.keys(),
            layer_step=layers.step,
            share_lines=(0, *share_lines, self._count),
            shares=(0.0, *shares, 1.0),
            left_lines=(*left_lines, self._count) if left else (),
            left_seconds=(*left, 0.0) if left else (),
            left_from=left_from,
            own_speed=self._marks.first_speed,
            estimate=self._marks.estimate,
            slicer=self._marks.slicer,
            seek_lines=self._seeks.lines,
            seek_offsets=self._seeks.offsets,
            seek_modal=self._seeks.modals,
            warnings=self._all_warnings(),
            limits=self._limits.text,
            refused=self._commands.refused,
        )

    def _left(self) -> tuple[str, tuple[int, ...], tuple[float, ...]]:
        """Where the time left comes from, the ordinals, and the seconds that are left with each."""
        whole = self._marks.estimate
        lines, left = self._marks.left()
        if self._times is not None and (whole or not any(left)):
            lines, left = self._times.left(whole)
        if whole and not left:  # nothing moves: as the lines
            lines, left = (0,), (whole,)
        return ("file" if whole else "moves") if left else "", lines, left

    def _all_warnings(self) -> tuple[Caution, ...]:
        found = [Caution(text, line, count) for text, (line, count) in self._warnings.items()]
        if not self._seeks.modal.absolute:
            found.append(Caution("relative positioning (G91) is still on at the end", self._physical))
        return tuple(found)

    def _physical_line(self, text: bytes, start: int, end: int, wanted: int) -> int:
        """The physical line (1-based) of sendable line `wanted` (0-based) of the segment: for people, so it may take
        its time."""
        line = self._physical + text.count(b"\n", 0, start)
        for at, physical in enumerate(text[start:end].split(b"\n")):
            if sendable(physical):
                if not wanted:
                    return line + at
                wanted -= 1
        return line


def _specials(lines: list[bytes]) -> list[tuple[int, bytes]]:
    """The lines that are no plain moves, each with its place in `lines`."""
    text = b"\n".join(lines) + b"\n"
    found = []
    at = place = 0
    while (stop := _MOVES.match(text, at).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing too
        place += text.count(b"\n", at, stop)
        at = text.index(b"\n", stop) + 1
        found.append((place, text[stop : at - 1]))
        place += 1
    return found

"""What a G-code program has set that its later lines rely on, as the few lines that say so: pure.

Whoever goes on in the middle of a print must know it, as whoever pauses one: absolute or relative, millimetres or
inches, the tool, the fans, whether the axes were homed, and the feed rate (docs/serial.md §27).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agent.gcode.words import COMMAND

FANS = 16
"""Fans that are told apart; a file that names more of them is not about fans."""

MOVES = frozenset((b"G0 ", b"G1 ", b"G2 ", b"G3 "))
"""How nearly all moves begin; what begins otherwise is looked at more closely."""

_COMMAND = re.compile(COMMAND, re.IGNORECASE)
_MOVE = re.compile(rb"G[ \t]*0*[0-3](?![\d.])", re.IGNORECASE)
_FAN = re.compile(rb"P[ \t]*(\d{1,6})", re.IGNORECASE)
_AXES = re.compile(rb"[XYZ]", re.IGNORECASE)
_FEED = re.compile(rb"F[ \t]*(\d{1,9}(?:\.\d{0,6})?)", re.IGNORECASE)
_ABOUT = {  # the command -> what it says something about; the last one that speaks of a thing holds
    b"G90": b"axes",
    b"G91": b"axes",
    b"M82": b"extruder",
    b"M83": b"extruder",
    b"G20": b"unit",
    b"G21": b"unit",
    b"G28": b"homed",
    b"M18": b"homed",
    b"M84": b"homed",
    b"M106": b"fan",
    b"M107": b"fan",
}
_IS_MOVE = frozenset((b"G0", b"G1", b"G2", b"G3"))


class Modal:
    """Give it all sendable lines in order, or the `lines` of another one first. Bounded, whatever comes."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._kept: dict[bytes, bytes] = {}
        for line in lines:
            self.follow(line)

    def lines(self) -> list[bytes]:
        """What holds, in the order in which it was said last: `G90` and `G91` may speak of the extruder too."""
        return list(self._kept.values())

    @property
    def relative(self) -> bool:
        """Whether `G91` holds."""
        return self._kept.get(b"axes", b"")[-2:] == b"91"

    def feed(self, lines: Sequence[bytes]) -> None:
        """The next lines, but for the feed rate, which `moves` is for."""
        odd = [code for code in lines if code[:3] not in MOVES]
        for code in reversed(dict.fromkeys(reversed(odd))):  # each once, where it was said last
            self.follow(code)

    def moves(self, lines: Sequence[bytes]) -> bool:
        """Of the next lines only the feed rate: that of the last move which names one. Whether one does."""
        for code in reversed(lines):
            if b"F" in code and (code[:3] in MOVES or _MOVE.match(code)):
                self.follow(code)
                return True
        return False

    def follow(self, code: bytes) -> None:
        """One line more."""
        word = _COMMAND.match(code)
        if word is None:
            return
        name = word[1].upper() + word[2]
        rest = code[word.end() :]
        if name in _IS_MOVE:
            if feed := _FEED.search(rest):
                self._keep(b"feed", b"G1 F" + feed[1])
        elif word[1] in (b"T", b"t"):
            self._keep(b"tool", code)
        elif about := _ABOUT.get(name):
            if about == b"fan":
                fan = _FAN.search(rest)
                number = int(fan[1]) if fan else 0
                if number >= FANS:
                    return
                about = b"fan %d" % number
            elif name == b"G28" and _AXES.search(rest):
                return  # some axes alone: the others may be anywhere
            self._keep(about, code)

    def _keep(self, about: bytes, code: bytes) -> None:
        self._kept.pop(about, None)  # in the order of the last word
        self._kept[about] = code

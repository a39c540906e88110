"""What a G-code program leaves set and a pause must put back (SERIAL.md §27). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from drivers.gcode.codes import values, word

_AXIS = re.compile(r"(?<![A-Za-z])([XYZE])\s*:\s*([-+]?\d+(?:\.\d+)?)")


class Modes:
    """The modal state, followed line by line as the file goes by."""

    def __init__(self) -> None:
        self.absolute = True
        self.extruder_absolute = True
        self.feed = b""  # the last move that named a feed rate; read only when it is needed
        self.fan = b""
        self.tool = 0

    def follow(self, code: bytes) -> None:
        """`code` is part of the program; moves with a feed rate are told by setting `feed`."""
        name = word(code)
        if name in (b"G90", b"G91"):
            self.absolute = self.extruder_absolute = name == b"G90"
        elif name in (b"M82", b"M83"):
            self.extruder_absolute = name == b"M82"
        elif name in (b"M106", b"M107"):
            self.fan = code
        elif name == b"T" and code[1:].strip().isdigit():
            self.tool = int(code[1:])
        elif name in (b"G0", b"G1", b"G2", b"G3") and b"F" in code:
            self.feed = code

    def restore(self) -> list[bytes]:
        """The lines that set it again. `M82` and `M83` come last: in Marlin G90 and G91 change the extruder too."""
        feed = values(self.feed).get(b"F")
        return [
            *([self.fan] if self.fan else []),
            *([b"G1 F%g" % feed] if feed else []),
            b"G90" if self.absolute else b"G91",
            b"M82" if self.extruder_absolute else b"M83",
        ]


class Position(msgspec.Struct, frozen=True):
    """Where the head is, mm, in the printer's own coordinates."""

    x: float
    y: float
    z: float
    e: float

    def restore(self) -> list[bytes]:
        """Back there, first sideways, then down; the extruder's count is set, not moved."""
        return [
            b"G90",
            b"G1 X%.3f Y%.3f F6000" % (self.x, self.y),
            b"G1 Z%.3f F600" % self.z,
            b"G92 E%.5f" % self.e,
        ]


def position_in(texts: Iterable[str]) -> Position | None:
    """The position in the answer to M114, `X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 …`; None when there is none."""
    for text in texts:
        axes = dict(_AXIS.findall(text.split("Count", 1)[0]))
        if axes.keys() >= {"X", "Y", "Z"}:
            return Position(float(axes["X"]), float(axes["Y"]), float(axes["Z"]), float(axes.get("E", 0.0)))
    return None

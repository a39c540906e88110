"""What a G-code program leaves set and a pause must put back (docs/serial.md §27). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from agent.gcode.words import command_word, parameters

_AXIS = re.compile(r"(?<![A-Za-z])([XYZE])\s*:\s*([-+]?\d+(?:\.\d+)?)")


class Modes:
    """The modal state, followed line by line as the file goes by. `extruder_follows`: G90 and G91 change the extruder
    too, as in Marlin 2; elsewhere only M82 and M83 do."""

    def __init__(self, *, extruder_follows: bool = True, homed: bool = False) -> None:
        self.absolute = True
        self.extruder_absolute = True
        self.inches = False
        self.feed = b""  # the last move that named a feed rate; read only when it is needed
        self.fans: dict[int, bytes] = {}
        self.tool = 0
        self.homed = homed
        self._extruder_follows = extruder_follows

    def follow(self, code: bytes) -> None:
        """`code` is part of the program; moves with a feed rate are told by setting `feed`."""
        name = command_word(code)
        if name in (b"G90", b"G91"):
            self.absolute = name == b"G90"
            if self._extruder_follows:
                self.extruder_absolute = self.absolute
        elif name in (b"M82", b"M83"):
            self.extruder_absolute = name == b"M82"
        elif name in (b"G20", b"G21"):
            self.inches = name == b"G20"
        elif name in (b"M106", b"M107"):
            self.fans[int(parameters(code).get(b"P", 0))] = code
        elif name == b"G28":
            self.homed = self.homed or not set(b"XYZ") & set(code[1:].upper())
        elif name in (b"M18", b"M84"):
            self.homed = False
        elif name == b"T" and code[1:].strip().isdigit():
            self.tool = int(code[1:])
        elif name in (b"G0", b"G1", b"G2", b"G3") and b"F" in code:
            self.feed = code

    def restore(self) -> list[bytes]:
        """The lines that set it again. `M82` and `M83` come last: in Marlin G90 and G91 change the extruder too."""
        feed = parameters(self.feed).get(b"F")
        return [
            *([b"G20"] if self.inches else []),
            *self.fans.values(),
            *([b"G1 F%g" % feed] if feed else []),
            b"G90" if self.absolute else b"G91",
            b"M82" if self.extruder_absolute else b"M83",
        ]

    def millimetres(self) -> list[bytes]:
        """What goes before lines of ours that move."""
        return [b"G21"] if self.inches else []


class Position(msgspec.Struct, frozen=True):
    """Where the head is, mm, in the printer's own coordinates. `e` is None where the firmware does not say."""

    x: float
    y: float
    z: float
    e: float | None

    def go_back(self) -> list[bytes]:
        """Back there, first sideways, then down."""
        return [b"G90", b"G1 X%.3f Y%.3f F6000" % (self.x, self.y), b"G1 Z%.3f F600" % self.z]

    def count(self) -> list[bytes]:
        """The extruder's count is set, not moved."""
        return [] if self.e is None else [b"G92 E%.5f" % self.e]


def position_in(texts: Iterable[str]) -> Position | None:
    """The position in the answer to M114, `X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 …`; None when there is none."""
    for text in texts:
        axes = dict(_AXIS.findall(text.split("Count", 1)[0]))
        if axes.keys() >= {"X", "Y", "Z"}:
            e = float(axes["E"]) if "E" in axes else None
            return Position(float(axes["X"]), float(axes["Y"]), float(axes["Z"]), e)
    return None

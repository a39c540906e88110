"""Where the print head is, as the answer to M114 tells, and the lines that bring it back (docs/serial.md §27). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_AXIS = re.compile(r"(?<![A-Za-z])([XYZE])\s*:\s*([-+]?[0-9]{1,7}(?:\.[0-9]{1,9})?)(?![0-9.])")


class HeadPosition(msgspec.Struct, frozen=True):
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


def position_in(texts: Iterable[str]) -> HeadPosition | None:
    """The position in the answer to M114, `X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 …`; None when there is none."""
    for text in texts:
        axes = dict(_AXIS.findall(text.split("Count", 1)[0]))
        if axes.keys() >= {"X", "Y", "Z"}:
            e = float(axes["E"]) if "E" in axes else None
            return HeadPosition(float(axes["X"]), float(axes["Y"]), float(axes["Z"]), e)
    return None

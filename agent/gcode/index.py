"""Index of a scanned G-code file: layers, progress, time left and seek points by line. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from agent.errors import DataError
from agent.gcode.command_check import refusal_of

FORMAT = 4
"""Version of the encoded index; another one is not read, the file is scanned again."""


V = TypeVar("V")


class Thinned(Generic[V]):
    """A bounded series of growing numbers, each with a value: when it holds `cap` of them every second one goes, and
    from then on only every second one comes in. `step` is how many were added for each that is kept, `count` how many
    were added."""

    def __init__(self, cap: int) -> None:
        self.step = 1
        self.count = 0
        self._cap = cap
        self._keys = array("q")  # 8 bytes each; in a list of pairs one would be 130 with its value
        self._values: list[V] = []

    def add(self, key: int, value: V) -> None:
        """Append `value` under `key`, which is not below the last one."""
        if self.count % self.step == 0:
            if len(self._keys) >= self._cap:
                del self._keys[1::2]
                del self._values[1::2]
                self.step *= 2
            if self.count % self.step == 0:
                self._keys.append(key)
                self._values.append(value)
        self.count += 1

    def keys(self) -> tuple[int, ...]:
        """The kept numbers."""
        return tuple(self._keys)

    def values(self) -> tuple[V, ...]:
        """The kept values, one for each of `keys`."""
        return tuple(self._values)


class PrintPosition(msgspec.Struct, frozen=True):
    """Layer, progress and time left of a print. `layer` is 1-based, 0 before the first; `progress` is a share, 0 to 1;
    `seconds_left` is None when nothing in the file says."""

    layer: int
    total_layers: int
    progress: float
    seconds_left: int | None


class Caution(msgspec.Struct, frozen=True):
    """A warning for a person before the print: its text, its first line in the file, and how often it is there."""

    text: str
    line: int
    count: int = 1


class Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the scan of a file found. Ordinals are 1-based places among the sendable lines; all sequences are
    bounded."""

    format: int = FORMAT
    size: int  # bytes of the file
    sha256: str = ""  # of the file, in hexadecimal; empty where nobody has reckoned it
    total_lines: int  # sendable lines
    total_layers: int
    layer_starts: tuple[int, ...]  # ordinal of the first line of layer 1, 1 + layer_step, 1 + 2 * layer_step …
    layer_step: int = 1
    share_lines: tuple[int, ...]  # when these ordinals are done (0 and total_lines are among them) …
    shares: tuple[float, ...]  # … this share (0..1) of the print is done; never falling
    left_lines: tuple[int, ...]  # when these ordinals are done …
    left_seconds: tuple[float, ...]  # … this many seconds are left; both empty when neither marks nor moves tell
    left_from: str = ""  # `file` for marks of the slicer, `moves`; empty when there are none
    own_speed: int = 0  # from this line on the file itself sets the speed factor (M220); 0: it never does
    estimate: float | None  # seconds, as the slicer has it for the whole print
    slicer: str
    seek_lines: tuple[int, ...]  # the line with this ordinal …
    seek_offsets: tuple[int, ...]  # … is the first sendable one at or after this byte; strictly growing …
    seek_modal: tuple[str, ...] = ()  # … and these lines before it still hold: see agent.gcode.modal; LF between them
    warnings: tuple[Caution, ...] = ()
    limits: str = ""  # what the file was held to: `agent.gcode.limits.Limits.text`
    refused: dict[str, str] = msgspec.field(default_factory=dict)  # firmware -> why it must not get the file

    def position(self, line: int) -> PrintPosition:
        """The position of the print when line `line` (0..total_lines, clamped) is done. Progress never falls as `line`
        grows, is 0.0 at 0 and 1.0 at the end."""
        line = max(0, min(line, self.total_lines))
        progress = _between(line, self.share_lines, self.shares)
        if line in (0, self.total_lines):  # even if a mark at the very first or last line says otherwise
            progress = float(line > 0)
        left = self.seconds_left(line)
        return PrintPosition(self._layer(line), self.total_layers, progress, None if left is None else round(left))

    def seconds_left(self, line: int) -> float | None:
        """Seconds that are left of the print when line `line` is done, as the slicer says or its moves (`left_from`);
        None when neither does."""
        line = max(0, min(line, self.total_lines))
        return _between(line, self.left_lines, self.left_seconds) if self.left_lines else None

    @property
    def first_layer(self) -> int:
        """Ordinal of the first line of the first layer; 1 where there are no layers."""
        return self.layer_starts[0] if self.layer_starts else 1

    def _layer(self, line: int) -> int:
        kept = bisect_right(self.layer_starts, line)
        return (kept - 1) * self.layer_step + 1 if kept else 0

    def seek(self, line: int) -> tuple[int, int]:
        """(ordinal, byte offset) of the last seek point at or before line `line`; (1, 0) before the first."""
        kept = bisect_right(self.seek_lines, line)
        return (self.seek_lines[kept - 1], self.seek_offsets[kept - 1]) if kept else (1, 0)

    def modal(self, line: int) -> list[bytes]:
        """The modal state at `seek(line)`, as lines to follow (agent.gcode.modal)."""
        kept = bisect_right(self.seek_lines, line)
        return self.seek_modal[kept - 1].encode("latin-1").split(b"\n") if kept else []

    def caution(self) -> str:
        """All warnings in one text for a person; empty when there are none."""
        return "; ".join(
            f"{found.text} (line {found.line}" + (f", {found.count} times)" if found.count > 1 else ")")
            for found in self.warnings
        )

    def refusal(self, dialect: str) -> str:
        """Why a printer with the firmware `dialect` must not print the file; empty if it may. Where the firmware is
        none that is told apart, or not known, what one of them refuses is refused."""
        return refusal_of(self.refused, dialect)

    def encode(self) -> bytes:
        """Encode as JSON, to keep beside the file."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Index:
        """Decode what `encode` gave. Raises DataError when it is something else, or of another version."""
        try:
            index = msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise DataError(f"the index of the G-code file cannot be read: {error}") from error
        if index.format != FORMAT:
            raise DataError(f"the index of the G-code file has format {index.format}, expected {FORMAT}")
        return index


def _between(line: int, lines: Sequence[int], values: Sequence[float]) -> float:
    """Interpolate `values` at `line`: straight between the marks around it, flat outside of them."""
    right = bisect_right(lines, line)
    if right == 0:
        return values[0]
    if right == len(lines):
        return values[-1]
    start, end = values[right - 1], values[right]
    value = start + (end - start) * ((line - lines[right - 1]) / (lines[right] - lines[right - 1]))
    return max(min(start, end), min(max(start, end), value))

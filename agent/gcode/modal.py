"""Modal state: what a G-code program has set that its later lines rely on (docs/serial.md §27). Pure.

The one follower of these commands: the scan keeps its state at each seek point, the checks of layers and of the build
volume ask it how a coordinate is meant, and the driver puts it back after a pause and after a restart in the middle of
a print. The simulated printer alone follows them by itself: what tests are judged by must not share the code that is
tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agent.gcode.words import BLANKS, COMMAND_WITHOUT_SUBCODE, UNSIGNED

FANS = 16
"""Fans that are told apart; a file that names more of them is not about fans."""

MOVES = frozenset((b"G0 ", b"G1 ", b"G2 ", b"G3 "))
"""How nearly all moves begin; what begins otherwise is looked at more closely."""

_COMMAND = re.compile(COMMAND_WITHOUT_SUBCODE, re.IGNORECASE)
_MOVE = re.compile(rb"G" + BLANKS + rb"0*[0-3](?![\d.])", re.IGNORECASE)
_FAN = re.compile(rb"P" + BLANKS + rb"(\d{1,6})", re.IGNORECASE)
_AXES = re.compile(rb"[XYZ]", re.IGNORECASE)
_FEED = re.compile(rb"F" + BLANKS + rb"(" + UNSIGNED + rb")", re.IGNORECASE)
_SUBJECTS = {  # what a command sets; the last one that sets a thing holds
    b"G90": "axes",
    b"G91": "axes",
    b"M82": "extruder",
    b"M83": "extruder",
    b"G20": "unit",
    b"G21": "unit",
    b"G28": "homed",
    b"M18": "homed",
    b"M84": "homed",
}
_IS_MOVE = frozenset((b"G0", b"G1", b"G2", b"G3"))
_IS_FAN = frozenset((b"M106", b"M107"))


class ModalState:
    """Follow the sendable lines of a program in order, one by one or in lists. Bounded, whatever comes.

    What no line has set is as after a reset: absolute, millimetres, tool 0, fans off. `extruder_follows`: G90 and G91
    change the extruder too, as in Marlin 2; elsewhere only M82 and M83 do."""

    def __init__(self, lines: Iterable[bytes] = (), *, extruder_follows: bool = True, homed: bool = False) -> None:
        self.tool = 0
        """The active tool."""
        self.fans: dict[int, bytes] = {}
        """Fan number -> the line that set it."""
        self.feed = b""
        """The last move that names a feed rate. Who follows many moves may set it, which is quicker than `follow`."""
        self._extruder_follows = extruder_follows
        self._set: dict[str, bytes] = {}  # what is set -> the command that set it, in the order of the last ones
        if homed:
            self.homed = True
        for line in lines:
            self.follow(line)

    @property
    def absolute(self) -> bool:
        """Whether coordinates of X, Y and Z are places, not distances (G90)."""
        return self._set.get("axes") != b"G91"

    @property
    def extruder_absolute(self) -> bool:
        """Whether those of E are (M82)."""
        setters = (self._set[name] for name in reversed(self._set) if name in self._extruder_subjects)
        return next(setters, b"M82") in (b"G90", b"M82")

    @property
    def _extruder_subjects(self) -> tuple[str, ...]:
        return ("axes", "extruder") if self._extruder_follows else ("extruder",)

    @property
    def inches(self) -> bool:
        """Whether lengths are inches (G20), not millimetres."""
        return self._set.get("unit") == b"G20"

    @property
    def homed(self) -> bool:
        """Whether all axes were homed and their motors have not been switched off since."""
        return self._set.get("homed") == b"G28"

    @homed.setter
    def homed(self, homed: bool) -> None:
        self._keep("homed", b"G28" if homed else b"M84")

    def follow(self, code: bytes) -> None:
        """`code` is the next line."""
        command = _COMMAND.match(code)
        if command is None:
            return
        name = command[1].upper() + command[2]
        if name in _IS_MOVE:
            if (b"F" in code or b"f" in code) and _FEED.search(code, command.end()):
                self.feed = code
        elif name[:1] == b"T":
            self.tool = int(command[2])
            self._keep("tool", name)
        elif name in _IS_FAN:
            fan = _FAN.search(code, command.end())
            number = int(fan[1]) if fan else 0
            if number < FANS:
                self.fans[number] = code
        elif subject := _SUBJECTS.get(name):
            if subject == "homed" and not _homes_or_frees_all(name, code[command.end() :]):
                return
            self._keep(subject, name)

    def _keep(self, subject: str, command: bytes) -> None:
        self._set.pop(subject, None)
        self._set[subject] = command

    def follow_settings(self, lines: Sequence[bytes]) -> None:
        """Follow `lines` but for their feed rates, which `follow_feedrate` is for."""
        odd = [code for code in lines if code[:3] not in MOVES]
        for code in reversed(dict.fromkeys(reversed(odd))):  # each once, where it was last
            self.follow(code)

    def follow_feedrate(self, lines: Sequence[bytes]) -> bool:
        """Take from `lines` only the feed rate: that of the last move which names one. Whether one does."""
        for code in reversed(lines):
            if b"F" in code and (code[:3] in MOVES or _MOVE.match(code)):
                self.feed = code
                return True
        return False

    def lines(self) -> list[bytes]:
        """What has been set, as lines that set it for whoever follows them, whether or not his extruder follows."""
        return [*self._set.values(), *self.fans.values(), *self._feed_line()]

    def restore(self) -> list[bytes]:
        """The lines that set it again on a printer, after lines of the host's own; without the tool and homing. `M82`
        and `M83` come last: in Marlin G90 and G91 change the extruder too."""
        return [
            *([b"G20"] if self.inches else []),
            *(line for _, line in sorted(self.fans.items())),
            *self._feed_line(),
            b"G90" if self.absolute else b"G91",
            b"M82" if self.extruder_absolute else b"M83",
        ]

    def millimetres(self) -> list[bytes]:
        """What goes before lines of the host's own that move; `restore` takes it back."""
        return [b"G21"] if self.inches else []

    def _feed_line(self) -> list[bytes]:
        rate = _FEED.search(self.feed)
        return [b"G1 F" + rate[1]] if rate and float(rate[1]) else []


def _homes_or_frees_all(name: bytes, arguments: bytes) -> bool:
    """Whether a G28 homes all axes (after some alone the others may be anywhere), or an M84 or M18 frees one of them:
    with other arguments it is about the extruder, or about when motors that rest are freed."""
    some = _AXES.search(arguments) is not None
    return not some if name == b"G28" else some or not arguments.strip()

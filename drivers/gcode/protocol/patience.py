"""How long a command may take until its `ok`, and when the printer is asked after it (docs/serial.md §13, §15). Pure.

All times are seconds. `drivers.gcode.timing.Timing.patience` multiplies them."""

from __future__ import annotations

from typing import Final

from agent.gcode.words import command_word, parameters

ORDINARY_S: Final = 8.0
"""Patience for a line that only has to be put into the planner."""
LONG_S: Final = 900.0
"""Patience for a line that may heat, home, probe or drain the planner; `busy` and temperature lines extend it."""
SHARE: Final = 16.0
"""The printer is asked after a line when the first such part of its patience is over: a question does no harm."""

_DRAIN_S = 30.0  # for the moves that end before a dwell begins
_LONG = frozenset(b"M109 M190 M191 M116 M400 M226 M600 M0 M1 M48 M303 M701 M702 M500 M502 M18 M84".split())
_BRIEF = frozenset(b"G0 G1 G2 G3 G5 G10 G11 G17 G18 G19 G20 G21 G53 G54 G60 G61 G80 G90 G91 G92 G94".split())
"""The only G-codes that are; all others home, probe or clean. What is neither G nor M may be a macro."""
_HEATS = frozenset((b"M109", b"M190", b"M191", b"M116", b"M303"))


def patience(code: bytes) -> float:
    """Seconds that `code` may take until its `ok`: without it and without any other answer it has failed then."""
    if code[:3] in (b"G1 ", b"G0 "):
        return ORDINARY_S
    name = command_word(code)
    if name == b"G4":
        return ORDINARY_S + _DRAIN_S + _dwell(code)
    brief = name in _BRIEF if name[:1] == b"G" else name[:1] == b"M" and name not in _LONG
    return ORDINARY_S if brief else LONG_S


def asked_after(code: bytes, patience_s: float) -> float:
    """Seconds without an `ok` after which the printer is asked what became of `code`: the first part of its patience,
    after the time that a dwell takes by itself."""
    taken = _dwell(code) if command_word(code) == b"G4" else 0.0
    return taken + (patience_s - taken) / SHARE


def _dwell(code: bytes) -> float:
    given = parameters(code)
    return given.get(b"S", 0.0) + given.get(b"P", 0.0) / 1000.0


def heats(code: bytes) -> bool:
    """Whether temperature lines are a sign of progress while `code` is in flight."""
    return command_word(code) in _HEATS

"""What a G-code line is, as far as the host must know: how long it may take, whether it waits for heat or for a
person (docs/serial.md §13, §15, §24, §26). Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agent.core.driver import COMMAND_SIZE
from agent.errors import DataError

ORDINARY_S: Final = 8.0
"""Patience, in seconds, for a line that only has to be put into the planner."""
LONG_S: Final = 900.0
"""Patience for a line that may heat, home, probe or drain the planner; `busy` and temperature lines extend it."""
SHARE: Final = 16.0
"""The printer is asked after a line when the first such part of its patience is over: a question does no harm."""

_DRAIN_S = 30.0  # for the moves that end before a dwell begins
_LONG = frozenset(b"M109 M190 M191 M116 M400 M226 M600 M0 M1 M48 M303 M701 M702 M500 M502 M18 M84".split())
_BRIEF = frozenset(b"G0 G1 G2 G3 G5 G10 G11 G17 G18 G19 G20 G21 G53 G54 G60 G61 G80 G90 G91 G92 G94".split())
"""The only G-codes that are; all others home, probe or clean. What is neither G nor M may be a macro."""
_WORD = re.compile(rb"\s*([A-Za-z@])\s*(\d+)?")
_CODE = re.compile(rb"[GMTgmt]\d")
_WORDS = re.compile(rb"\w[\d.]+(?:\s*[A-Za-z](?:\s*[-+]?[\d.]+|(?=\s|$)))*\s*$")
_VALUE = re.compile(rb"([A-Z])\s*([-+]?\d*\.?\d+)")
_HEAT_WAITS: Final = {b"M109": (b"M104", "tool"), b"M190": (b"M140", "bed"), b"M191": (b"M141", "chamber")}
_PERSON = {b"M0": "M0", b"M1": "M1", b"M226": "M226", b"M600": "M600"}
_PARAMETER = re.compile(rb"[A-Za-z]?[-+]?[0-9.]+(?:\s|$)")
_AT_PAUSE = re.compile(rb"@pause\b", re.IGNORECASE)


class HeatWait(msgspec.Struct, frozen=True):
    """A line that waits for a heater: `setter` sets the same target without waiting; °C. `cooling` waits downwards too
    (the `R` parameter)."""

    setter: bytes
    heater: str
    target: float
    cooling: bool


def word(code: bytes) -> bytes:
    """The command word, for example `G1` for `G01 X1`, `T` for `T0`; empty when there is none."""
    found = _WORD.match(code)
    if not found:
        return b""
    letter, digits = found[1].upper(), found[2]
    if letter == b"T" or digits is None:
        return letter
    return letter + (digits.lstrip(b"0") or b"0")


def values(code: bytes) -> dict[bytes, float]:
    """The parameters with numbers, `{b"X": 10.0}`; the command word's own letter is not among them."""
    found = _WORD.match(code)
    return {letter: float(number) for letter, number in _VALUE.findall(code[found.end() :] if found else b"")}


def capital(code: bytes) -> bytes:
    """`code` as Marlin understands it, to which lower case is unknown (docs/serial.md §5a). A text keeps its letters,
    and so
    does what is no G, M or T with a number."""
    if code.isupper() or not _CODE.match(code):
        return code
    return code.upper() if _WORDS.match(code) else code[:1].upper() + code[1:]


def patience(code: bytes) -> float:
    """Seconds that `code` may take until its `ok`: without it and without any other answer it has failed then."""
    if code[:3] in (b"G1 ", b"G0 "):
        return ORDINARY_S
    name = word(code)
    if name == b"G4":
        return ORDINARY_S + _DRAIN_S + _dwell(code)
    brief = name in _BRIEF if name[:1] == b"G" else name[:1] == b"M" and name not in _LONG
    return ORDINARY_S if brief else LONG_S


def asked_after(code: bytes, patience_s: float) -> float:
    """Seconds without an `ok` after which the printer is asked what became of `code`: the first part of its patience,
    after the time that a dwell takes by itself."""
    taken = _dwell(code) if word(code) == b"G4" else 0.0
    return taken + (patience_s - taken) / SHARE


def _dwell(code: bytes) -> float:
    given = values(code)
    return given.get(b"S", 0.0) + given.get(b"P", 0.0) / 1000.0


def heats(code: bytes) -> bool:
    """Whether temperature lines are a sign of progress while `code` is in flight."""
    return word(code) in (b"M109", b"M190", b"M191", b"M116", b"M303")


def heat_wait(code: bytes, tool: int = 0) -> HeatWait | None:
    """What `code` waits for, or None when it waits for no heater or names no target. `tool` is the active one."""
    name = word(code)
    if name not in _HEAT_WAITS:
        return None
    setter, kind = _HEAT_WAITS[name]
    given = values(code)
    cooling = b"R" in given
    target = given.get(b"R", given.get(b"S"))
    if target is None:
        return None
    if kind != "tool":
        return HeatWait(b"%b S%g" % (setter, target), kind, target, cooling)
    index = int(given.get(b"T", tool))
    which = b" T%d" % index if b"T" in given else b""
    return HeatWait(b"%b%b S%g" % (setter, which, target), f"tool{index}", target, cooling)


def wants_person(code: bytes) -> str:
    """`M0`, `M1`, `M226`, `M600` or `@pause` when `code` would stop for a person, else an empty string."""
    if code[:1] == b"@":
        return "@pause" if _AT_PAUSE.match(code) else ""
    return _PERSON.get(word(code), "")


def message(code: bytes) -> str:
    """What a line that waits for a person says to them, at most 80 characters; empty for parameters or nothing."""
    text = code.partition(b" ")[2].strip()
    return "" if _PARAMETER.match(text) else text.decode("utf-8", "replace")[:80]


def clean(line: str) -> bytes:
    """A host-side line (a script's, a preamble's) as it goes out: no comment, no blanks around it; may be empty.
    Raises DataError for a line that is not one line of ASCII or does not fit the firmware's buffer."""
    code = line.split(";", 1)[0].strip()
    if not code.isascii() or not code.isprintable():
        raise DataError(f"G-code {line[:60]!r}: expected one line of printable ASCII")
    if len(code) > COMMAND_SIZE - 1:
        raise DataError(f"G-code {line[:60]!r}…: {len(code)} bytes, at most {COMMAND_SIZE - 1} fit the firmware")
    return capital(code.encode("ascii"))

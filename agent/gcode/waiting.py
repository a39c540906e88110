"""Commands that wait: for a heater (docs/serial.md §24) or for a person at the printer (docs/serial.md §26). Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agent.gcode.words import command_word, parameters

HEATER_OF: Final = {
    **dict.fromkeys((b"M104", b"M109"), "tool"),
    **dict.fromkeys((b"M140", b"M190"), "bed"),
    **dict.fromkeys((b"M141", b"M191"), "chamber"),
}
"""The heater that a command sets a target for."""
WAITS_FOR_PERSON: Final = frozenset((b"M0", b"M1", b"M226", b"M600"))

_SETTER_OF: Final = {b"M109": b"M104", b"M190": b"M140", b"M191": b"M141"}
_FIRST_PARAMETER = re.compile(rb"[A-Za-z]?[-+]?[0-9.]+(?:\s|$)")
_AT_PAUSE = re.compile(rb"@pause\b", re.IGNORECASE)


class HeatWait(msgspec.Struct, frozen=True):
    """A line that waits for a heater: `setter` sets the same target without waiting; °C. `cooling` waits downwards too
    (the `R` parameter)."""

    setter: bytes
    heater: str
    target: float
    cooling: bool


def heat_wait(code: bytes, tool: int = 0) -> HeatWait | None:
    """What `code` waits for, or None when it waits for no heater or names no target. `tool` is the active one."""
    command = command_word(code)
    setter = _SETTER_OF.get(command)
    if setter is None:
        return None
    given = parameters(code)
    cooling = b"R" in given
    target = given.get(b"R", given.get(b"S"))
    if target is None:
        return None
    heater = HEATER_OF[command]
    if heater != "tool":
        return HeatWait(b"%b S%g" % (setter, target), heater, target, cooling)
    index = int(given.get(b"T", tool))
    which = b" T%d" % index if b"T" in given else b""
    return HeatWait(b"%b%b S%g" % (setter, which, target), f"tool{index}", target, cooling)


def wants_person(code: bytes) -> str:
    """`M0`, `M1`, `M226`, `M600` or `@pause` when `code` would stop for a person, else an empty string."""
    if code[:1] == b"@":
        return "@pause" if _AT_PAUSE.match(code) else ""
    command = command_word(code)
    return command.decode() if command in WAITS_FOR_PERSON else ""


def message(code: bytes) -> str:
    """What a line that waits for a person shows to them, at most 80 characters; empty for parameters or nothing."""
    text = code.partition(b" ")[2].strip()
    return "" if _FIRST_PARAMETER.match(text) else text.decode("utf-8", "replace")[:80]

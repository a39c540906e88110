"""Lines that switch heaters and fan off, on each dialect (docs/serial.md §28a)."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.gcode.printing.dialects import DIALECTS, Dialect

FAN_OFF = b"M107"
_GENERIC = DIALECTS[-1]


def lines_off(known: Iterable[str], dialect: Dialect = _GENERIC) -> list[bytes]:
    """Lines that switch heaters and fan off: nozzle and bed always, of the others (`tool1`…, `chamber`) those that are
    `known`. Where the dialect has one command for all heaters it comes first, and the others nevertheless: a
    configuration may have replaced it."""
    names = set(known)
    tools = sorted({0} | {int(name[4:]) for name in names if name.startswith("tool") and name[4:].isdecimal()})
    lines = [dialect.all_off] if dialect.all_off else []
    lines += [b"M104 T%d S0" % tool for tool in tools] if len(tools) > 1 else [b"M104 S0"]
    if dialect.tool_off:
        lines += [dialect.tool_off % tool for tool in tools]
    lines.append(b"M140 S0")
    if "chamber" in names:
        lines.append(b"M141 S0")
    return [*lines, FAN_OFF]

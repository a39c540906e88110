"""Replay a black box against the virtual printer (`printer-agent replay`), to see where the real one differed.

What was sent goes to the virtual firmware, which never waits; what it answers is compared with what was heard. Only
answers count that a protocol lives by (`ok`, requests for a line, halts, restarts), in their order: reports, echoes and
times differ from printer to printer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.errors import EX_OK, DataError
from agent.gcode.framing import frame
from drivers.gcode.link.black_box import HEARD, SENT, Entry, read
from drivers.gcode.printing.dialects import identify
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.replies import ReplyKind, parse
from drivers.simulated.dialects import DIALECTS
from drivers.simulated.faults import Faults
from drivers.simulated.firmware import VirtualFirmware
from drivers.simulated.options import Options

DIVERGES = 1
"""The exit code when the two printers differ."""
EARLIER = 8
"""Answers at the start that may belong to lines sent before the box begins, at most."""

_NAMES = {
    ReplyKind.OK: "ok",
    ReplyKind.RESEND: "resend",
    ReplyKind.REFUSED: "refused",
    ReplyKind.FATAL: "halted",
    ReplyKind.SHUTDOWN: "halted",
    ReplyKind.START: "restarted",
    ReplyKind.READY: "ready",
}


class PrinterAnswer(msgspec.Struct, frozen=True):
    """One answer of a printer at `time` (as in the box), when `after` was the last line sent."""

    time: float
    what: str
    after: str


def replay(path: Path, emit: Callable[[dict[str, object]], None]) -> int:
    """Run the black box at `path`. Emits `{"event": "replay", …}`, at most one `{"event": "divergence", …}` and
    `{"event": "summary", …}`. EX_OK when both printers answered alike, else DIVERGES. Raises DataError for a file that
    is no black box, or holds nothing that was sent."""
    facts, entries = read(path)
    if not any(entry.way == SENT for entry in entries):
        raise DataError(f"{path}: nothing was sent in it")
    dialect = _dialect(facts.get("firmware", ""))
    emit({"event": "replay", "file": path.name, "entries": len(entries), "dialect": dialect, **facts})
    real, virtual = _heard(entries), _answers(entries, Options(dialect=dialect))
    skipped = max(range(EARLIER + 1), key=lambda skip: (_alike(real[skip:], virtual), -skip))
    real = real[skipped:]
    alike = _alike(real, virtual)
    diverges = alike < max(len(real), len(virtual))
    if diverges:
        heard = real[alike] if alike < len(real) else None
        expected = virtual[alike] if alike < len(virtual) else None
        first = heard or expected
        emit(
            {
                "event": "divergence",
                "time": first.time if first else 0.0,
                "after": first.after if first else "",
                "heard": heard.what if heard else None,
                "simulated": expected.what if expected else None,
            }
        )
    emit({"event": "summary", "answers": len(real), "alike": alike, "diverges": diverges})
    return DIVERGES if diverges else EX_OK


def lines(event: dict[str, object]) -> list[str]:
    """An event of `replay` as lines for a person."""
    if event["event"] == "replay":
        return [
            f"{event['file']}: {event['entries']} entries, {event.get('reason', '')}",
            f"against: {event['dialect']}",
        ]
    if event["event"] == "divergence":
        heard, simulated = event["heard"] or "nothing", event["simulated"] or "nothing"
        return [f"at {event['time']:.6f} s, after {event['after']!r}:", f"  heard {heard}, simulated {simulated}"]
    same = "differently" if event["diverges"] else "alike"
    return [f"{event['alike']} of {event['answers']} answers; the printers behave {same}"]


def _dialect(firmware: str) -> str:
    """The simulator's name for the firmware that was heard; Marlin where it knows none."""
    found = identify([f"FIRMWARE_NAME:{firmware}"], frozenset(), None).dialect.name
    return found if found in DIALECTS else "marlin"


def _heard(entries: Sequence[Entry]) -> list[PrinterAnswer]:
    """The real printer's answers, from the first line sent on."""
    splitter, found, after = LineSplitter(), list[PrinterAnswer](), ""
    for entry in entries:
        if entry.way == SENT:
            after = _last(entry.data, after)
        elif after:
            found += _parsed(splitter, entry.data, entry.time, after)
    return found


def _answers(entries: Sequence[Entry], options: Options) -> list[PrinterAnswer]:
    """The virtual printer's answers to the same lines."""
    begin = entries[0].time
    firmware = VirtualFirmware(options, Faults(), leap=True)
    firmware.advance(0.0)  # what it says when it is switched on is no answer
    splitter, found, after, counted = LineSplitter(), list[PrinterAnswer](), "", False
    for entry in entries:
        if entry.way == HEARD:
            continue
        if not counted and (before := _line_before(entry.data)) is not None:
            counted = True
            firmware.receive(frame(before, b"M110 N%d" % before), entry.time - begin)
        after = _last(entry.data, after)
        said = firmware.receive(entry.data, entry.time - begin)
        found += _parsed(splitter, said, entry.time, after)
    end = entries[-1].time
    return found + _parsed(splitter, firmware.advance(end - begin), end, after)


def _parsed(splitter: LineSplitter, data: bytes, time: float, after: str) -> list[PrinterAnswer]:
    events = [event for line in splitter.feed(data) for event in parse(line) if event.kind in _NAMES]
    return [
        PrinterAnswer(time, _NAMES[event.kind] + (f" {event.number}" if event.kind is ReplyKind.RESEND else ""), after)
        for event in events
    ]


def _alike(real: Sequence[PrinterAnswer], virtual: Sequence[PrinterAnswer]) -> int:
    """How many answers are the same before the first that is not."""
    for count, (one, other) in enumerate(zip(real, virtual, strict=False)):
        if one.what != other.what:
            return count
    return min(len(real), len(virtual))


def _line_before(data: bytes) -> int | None:
    """The number before that of a numbered line; None for one that is none, or that sets the number itself."""
    line = data.strip()
    digits = line[1:].partition(b" ")[0]
    if line[:1] != b"N" or not digits.isdigit() or b"M110" in line:
        return None
    return max(int(digits) - 1, 0)


def _last(data: bytes, before: str) -> str:
    text = data.strip().rpartition(b"\n")[2]
    return text.decode("ascii", "replace") if text else before

"""Lines of a printer (drivers/gcode): the parser of replies, and a session that prints while it hears them.

The oracle: no exception; events no larger than the line; readings that are numbers; and whatever the printer says, what
the session writes are framed lines that fit the firmware, few at a time, and what it tells is short."""

from __future__ import annotations

import math
import random

from agent.core.driver import PrinterState
from agent.gcode.preflight import MAX_FRAMED
from benchmarks.fuzz.mutator import Mutator
from benchmarks.fuzz.target import describe, parser
from drivers.gcode.protocol.line_splitter import MAX_HEARD, LineSplitter
from drivers.gcode.protocol.replies import Event, parse
from tests.rigs.session_rig import SessionRig

EXAMPLES = (
    *(
        b"ok",
        b"ok N12 P15 B3",
        b"ok T:204.5 /210.0 B:60.1 /60.0 @:64 B@:10",
        b"T:20.0 /0.0 B:20.0 /0.0 T0:20.0 /0.0 T1:nan /0.0",
    ),
    *(
        b"Resend: 5",
        b"rs N5",
        b"Error:Line Number is not Last Line Number+1, Last Line: 4",
        b"Error:checksum mismatch, Last Line: 4",
    ),
    *(
        b"echo:busy: processing",
        b"busy: paused for user",
        b"start",
        b"\xff\xfe\x80start",
        b"// Klipper state: Ready",
        b"!! Must home axis first",
    ),
    *(
        b"//action:pause",
        b"//action:paused filament",
        b"//action:prompt_begin Continue?",
        b"//action:prompt_button Yes",
        b"//action:resume",
    ),
    *(
        b"//action:prompt_show",
        b"//action:prompt_end",
        b"//action:cancel",
        b"//action:notification Layer 7",
        b"//action:poweroff",
        b"wait",
    ),
    *(
        b"Cap:EMERGENCY_PARSER:1",
        b"FIRMWARE_NAME:Marlin 2.1.2 MACHINE_TYPE:x UUID:y",
        b'echo:Unknown command: "G999"',
        b"Done saving file",
    ),
    *(
        b"X:10.00 Y:20.00 Z:3.00 E:4.00 Count X:0 Y:0",
        b"File opened: a.g Size: 9ok",
        b"Error:Printer halted. kill() called!",
        b"",
    ),
    *(
        b"expected line 7 got 9",
        b"skip 4",
        b'echo:enqueueing "M117"',
        b"Error:0",
        b": Extruder switched off. MINTEMP triggered !",
    ),
)
TOKENS = (
    *(
        b"ok",
        b" ok",
        b"ok ",
        b"T:",
        b"T0:",
        b"B:",
        b" /",
        b"N",
        b"P",
        b":",
        b"Resend:",
        b"rs ",
        b"echo:",
        b"Error:",
        b"//",
        b"//action:",
    ),
    *(
        b"!!",
        b"start",
        b"wait",
        b"nan",
        b"inf",
        b"-",
        b".",
        b"\xd9\xa3",
        b"Last Line: ",
        b"M110",
        b"M112",
        b"\nM112\n",
        b"busy: ",
    ),
)
STATE_LINES = 60
"""Lines that one session hears."""
WRITES = 40
"""Lines that a session writes for one that it hears, at most."""
TOLD = MAX_HEARD + 100
"""Characters of what a session tells."""
FILE = [b"G28", *(b"G1 X%d E1" % (number % 200) for number in range(500))]


def _check_line(data: bytes, _choose: random.Random) -> None:
    for line in LineSplitter().feed(data + b"\n"):
        events = parse(line)
        assert 0 < len(events) <= 2
        for event in events:
            _require_event(event, line)


def _require_event(event: Event, line: bytes) -> None:
    assert len(event.text) <= len(line) + 4
    assert "\n" not in event.text
    assert -1 <= event.number < 10**10
    for reading in event.readings:
        assert math.isfinite(reading.actual)
        assert reading.target is None or math.isfinite(reading.target)
        assert reading.name in ("bed", "chamber") or (reading.name.startswith("tool") and len(reading.name) <= 6)


class _Session:
    """A session that prints, until it has heard STATE_LINES lines or has ended."""

    def __init__(self) -> None:
        self._rig: SessionRig | None = None
        self._heard = 0
        self._lines = Mutator(EXAMPLES, TOKENS)

    def trial(self, choose: random.Random) -> None:
        """Hear one line, mostly a sensible one, or let the time pass."""
        rig = self._rig
        if rig is None or self._heard >= STATE_LINES or rig.seen.state is PrinterState.ERROR:
            rig = self._rig = SessionRig(caps=("EMERGENCY_PARSER",) if choose.random() < 0.5 else ()).idle().print(FILE)
            self._heard = 0
        self._heard += 1
        rig.written.clear()
        rig.history.clear()
        rig.numbering_replies.clear()
        line = b"ok" if choose.random() < 0.4 else self._lines(choose).replace(b"\n", b" ")[:MAX_HEARD]
        try:
            rig.now += choose.choice((0.0, 0.01, 0.6, 12.0))
            for event in parse(line):
                rig.session.heard(event, rig.now)
            rig.session.step(rig.now)
            self._require_sound(rig)
        except Exception as error:
            self._rig = None
            raise AssertionError(f"{describe(error)}; the line: {line[:300]!r}") from error

    def _require_sound(self, rig: SessionRig) -> None:
        assert len(rig.written) <= WRITES, f"{len(rig.written)} lines for one"
        for written in rig.written:
            assert len(written) <= MAX_FRAMED
            assert written.isascii()
            heat_alarm = rig.seen.reason.startswith("heat alarm: ")
            assert written != b"M112" or heat_alarm, "an emergency stop that nobody asked for"
        telemetry = rig.seen
        for text in (telemetry.reason, telemetry.display, telemetry.firmware, telemetry.machine):
            assert len(text) <= TOLD, f"a text of {len(text)} characters: {text[:100]!r}"
        assert len(telemetry.heaters) <= 102


_PARSED = parser(Mutator(EXAMPLES, TOKENS), _check_line)


def make_trial() -> _Session:
    """A session to begin with."""
    return _Session()


def parse_trial(choose: random.Random) -> None:
    """One line, parsed alone."""
    _PARSED(choose)

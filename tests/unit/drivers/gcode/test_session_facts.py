"""Facts of docs/serial.md about a whole connection, with the printer's lines and the clock in the test's hand."""

from __future__ import annotations

import re

import pytest

from agent.core.driver import Outcome, PrinterState
from drivers.gcode.protocol.steps import RENUMBER
from drivers.gcode.requests import StartPrint
from tests.rigs.session_rig import MemorySource, SessionRig, wire

S = PrinterState
CODES = [b"G1 X%d" % n for n in range(1, 9)]


def test_one_more_ok_after_m110_acknowledges_nothing() -> None:
    """docs/serial.md §1: some boards send one more after M110; it must not be taken for that of the first line."""
    rig = SessionRig().idle()
    rig.session.control.start_print(StartPrint("p", MemorySource(CODES), ()), rig.now)
    rig.session.step(rig.now)
    assert rig.take() == [b"M400"]
    rig.hear("ok")
    assert rig.take() == [RENUMBER]
    rig.hear_one("ok")
    assert rig.written == [], "a moment for it"
    rig.now += 0.04
    rig.hear_one("ok")
    rig.later(0.06)
    assert rig.take() == [b"M105"], "which proves that the M110 was done"
    rig.hear_one("ok T:20.0 /0.0 B:20.0 /0.0")
    rig.later(0.06)
    assert rig.take() == [wire(1, CODES[0])]
    rig.later(0.1)
    assert rig.take() == []
    assert rig.seen.line == 0


def test_the_hello_waits_for_start_or_for_silence() -> None:
    """docs/serial.md §18: opening the port resets many boards; what is said to a board that boots is lost."""
    for banner in ("", "\ufffd\ufffdstart"):
        rig = SessionRig()
        rig.session.open(rig.now, rig.now + 1.0)
        rig.later(0.9)
        assert rig.take() == []
        rig.hear(banner) if banner else rig.later(0.2)
        assert rig.take() == [RENUMBER]


def test_start_while_idle_begins_again_with_the_hello() -> None:
    """docs/serial.md §20: while idle nothing has failed."""
    rig = SessionRig().idle()
    rig.hear("start")
    assert rig.session.operation.state is S.OFFLINE
    assert rig.acknowledge()[:2] == [RENUMBER, b"M115"]
    assert rig.seen.state is S.IDLE
    assert rig.seen.last is None


def test_reports_alone_keep_no_print_alive() -> None:
    """docs/serial.md §14, §16: temperatures come for ever, an ok never: it fails within seconds, by the clock of the
    oks."""
    rig = SessionRig(caps=("AUTOREPORT_TEMP",)).idle().print(CODES)
    began = rig.now
    while rig.seen.last is None and rig.now - began < 120.0:
        rig.numbering_replies.clear()  # the board answers nothing
        rig.now += 0.5
        for line in ("T:20.1 /0.0 B:20.0 /0.0", "echo:something"):
            rig.hear_one(line)
    assert rig.seen.last is not None
    assert rig.seen.last.outcome is Outcome.FAILED
    assert re.search(r"no answer, although asked \d+ times", rig.seen.last.error)
    assert rig.now - began < 30.0


def test_a_pause_does_not_wait_for_the_heater_and_the_wait_goes_on_afterwards() -> None:
    """docs/serial.md §24: the wait is the host's, so a pause comes between."""
    rig = SessionRig().idle().print([b"M109 S200", b"G1 X1"])
    assert rig.take() == [b"M104 S200"]
    rig.hear("ok")
    assert rig.take() == [b"M105"]
    rig.hear("ok T:90.0 /200.0 B:20.0 /0.0")
    assert rig.take() == []
    rig.session.control.pause("")
    rig.session.step(rig.now)
    assert rig.acknowledge() == [b"M400", b"M114"]
    assert rig.seen.state is S.PAUSED
    rig.session.control.resume()
    rig.session.step(rig.now)
    came = []
    for _ in range(10):
        rig.later(2.0)
        came += rig.take()
        rig.hear("ok T:90.0 /200.0 B:20.0 /0.0")
    assert rig.seen.waiting == "heating"
    assert set(came) == {b"M105"}, "and no line of the file before it is warm"


@pytest.mark.parametrize("busy", ["echo:busy: processing", "busy: processing"])
def test_a_line_that_is_worked_on_may_take_hours_as_long_as_it_is_said(busy: str) -> None:
    """docs/serial.md §15: patience is extended by busy lines."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    for _ in range(3600):
        rig.later(2.0)
        rig.hear(busy)
    assert set(rig.take()) <= {b"M105"}, "a question whether it has the line, no line of the file"
    assert rig.session.operation.state is S.PRINTING


@pytest.mark.parametrize("text", ["paused for user", "paused for input"])
def test_a_printer_that_waits_for_a_person_is_reported_and_waited_for(text: str) -> None:
    """docs/serial.md §15, §25a: for ever, whatever it says in between."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.hear(f"echo:busy: {text}")
    for _ in range(1000):
        rig.later(10.0)
    assert rig.seen.waiting == "the person at the printer"
    assert not rig.take()
    rig.hear("ok")
    assert wire(2, CODES[1]) in rig.acknowledge(2)

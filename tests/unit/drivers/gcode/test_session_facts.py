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
    desk = SessionRig().idle()
    desk.session.control.start_print(StartPrint("p", MemorySource(CODES), ()), desk.now)
    desk.session.step(desk.now)
    assert desk.take() == [b"M400"]
    desk.hear("ok")
    assert desk.take() == [RENUMBER]
    desk.hear_one("ok")
    assert desk.written == [], "a moment for it"
    desk.now += 0.04
    desk.hear_one("ok")
    desk.later(0.06)
    assert desk.take() == [b"M105"], "which proves that the M110 was done"
    desk.hear_one("ok T:20.0 /0.0 B:20.0 /0.0")
    desk.later(0.06)
    assert desk.take() == [wire(1, CODES[0])]
    desk.later(0.1)
    assert desk.take() == []
    assert desk.seen.line == 0


def test_the_hello_waits_for_start_or_for_silence() -> None:
    """docs/serial.md §18: opening the port resets many boards; what is said to a board that boots is lost."""
    for banner in ("", "\ufffd\ufffdstart"):
        desk = SessionRig()
        desk.session.open(desk.now, desk.now + 1.0)
        desk.later(0.9)
        assert desk.take() == []
        desk.hear(banner) if banner else desk.later(0.2)
        assert desk.take() == [RENUMBER]


def test_start_while_idle_begins_again_with_the_hello() -> None:
    """docs/serial.md §20: while idle nothing has failed."""
    desk = SessionRig().idle()
    desk.hear("start")
    assert desk.session.operation.state is S.OFFLINE
    assert desk.acknowledge()[:2] == [RENUMBER, b"M115"]
    assert desk.seen.state is S.IDLE
    assert desk.seen.last is None


def test_reports_alone_keep_no_print_alive() -> None:
    """docs/serial.md §14, §16: temperatures come for ever, an ok never: it fails within seconds, by the clock of the
    oks."""
    desk = SessionRig(caps=("AUTOREPORT_TEMP",)).idle().print(CODES)
    began = desk.now
    while desk.seen.last is None and desk.now - began < 120.0:
        desk.numbering_replies.clear()  # the board answers nothing
        desk.now += 0.5
        for line in ("T:20.1 /0.0 B:20.0 /0.0", "echo:something"):
            desk.hear_one(line)
    assert desk.seen.last is not None
    assert desk.seen.last.outcome is Outcome.FAILED
    assert re.search(r"no answer, although asked \d+ times", desk.seen.last.error)
    assert desk.now - began < 30.0


def test_a_pause_does_not_wait_for_the_heater_and_the_wait_goes_on_afterwards() -> None:
    """docs/serial.md §24: the wait is the host's, so a pause comes between."""
    desk = SessionRig().idle().print([b"M109 S200", b"G1 X1"])
    assert desk.take() == [b"M104 S200"]
    desk.hear("ok")
    assert desk.take() == [b"M105"]
    desk.hear("ok T:90.0 /200.0 B:20.0 /0.0")
    assert desk.take() == []
    desk.session.control.pause("")
    desk.session.step(desk.now)
    assert desk.acknowledge() == [b"M400", b"M114"]
    assert desk.seen.state is S.PAUSED
    desk.session.control.resume()
    desk.session.step(desk.now)
    came = []
    for _ in range(10):
        desk.later(2.0)
        came += desk.take()
        desk.hear("ok T:90.0 /200.0 B:20.0 /0.0")
    assert desk.seen.waiting == "heating"
    assert set(came) == {b"M105"}, "and no line of the file before it is warm"


@pytest.mark.parametrize("busy", ["echo:busy: processing", "busy: processing"])
def test_a_line_that_is_worked_on_may_take_hours_as_long_as_it_is_said(busy: str) -> None:
    """docs/serial.md §15: patience is extended by busy lines."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    for _ in range(3600):
        desk.later(2.0)
        desk.hear(busy)
    assert set(desk.take()) <= {b"M105"}, "a question whether it has the line, no line of the file"
    assert desk.session.operation.state is S.PRINTING


@pytest.mark.parametrize("text", ["paused for user", "paused for input"])
def test_a_printer_that_waits_for_a_person_is_reported_and_waited_for(text: str) -> None:
    """docs/serial.md §15, §25a: for ever, whatever it says in between."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.hear(f"echo:busy: {text}")
    for _ in range(1000):
        desk.later(10.0)
    assert desk.seen.waiting == "the person at the printer"
    assert not desk.take()
    desk.hear("ok")
    assert wire(2, CODES[1]) in desk.acknowledge(2)

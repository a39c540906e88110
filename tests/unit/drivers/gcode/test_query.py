"""A query: lines that an idle printer is asked, with what it answers to each (docs/serial.md §33)."""

from __future__ import annotations

from agent.core.driver import PrinterState
from drivers.gcode.printing.pump import ANSWER_LINES
from drivers.gcode.requests import Query
from tests.rigs.session_rig import SessionRig

S = PrinterState


def asked(rig: SessionRig, *lines: bytes) -> SessionRig:
    """The first line of a query is on the wire."""
    rig.session.control.query(Query("q", lines))
    rig.session.step(rig.now)
    return rig


def test_what_is_said_until_the_ok_is_the_answer() -> None:
    rig = asked(SessionRig().idle(), b"M503", b"M900")
    rig.hear("echo:  M204 P1500.00 R1500.00 T1500.00", "ok")
    rig.hear('echo:Unknown command: "M900"', "ok")
    rig.acknowledge()
    answer = rig.seen.query
    assert answer is not None
    assert (answer.complete, rig.seen.state) == (True, S.IDLE)
    assert answer.texts == (("echo:  M204 P1500.00 R1500.00 T1500.00",), ("unknown command: M900",))


def test_an_answer_without_end_is_kept_in_part() -> None:
    rig = asked(SessionRig().idle(), b"M503")
    rig.hear(*["echo:  G29 W I0 J0 Z0.02249"] * (ANSWER_LINES + 50), "ok")
    rig.acknowledge()
    assert rig.seen.query is not None
    assert len(rig.seen.query.texts[0]) == ANSWER_LINES == 400


def test_a_connection_that_is_lost_ends_it_incomplete() -> None:
    rig = asked(SessionRig().idle(), b"M503", b"M900")
    rig.hear("echo:  M204 P1500.00", "ok")
    rig.session.lost("unplugged")
    answer = rig.seen.query
    assert answer is not None
    assert (answer.query_id, answer.complete, len(answer.texts)) == ("q", False, 1)


def test_it_does_not_take_the_place_of_what_cools_the_printer() -> None:
    rig = SessionRig().idle()
    rig.session.control.cool()
    rig.session.step(rig.now)
    rig.session.control.query(Query("q", (b"M503",)))
    assert rig.seen.query is not None
    assert not rig.seen.query.complete
    sent = rig.acknowledge()
    assert b"M104 S0" in sent
    assert b"M503" not in sent


def test_a_second_one_is_answered_as_incomplete_and_the_first_goes_on() -> None:
    rig = asked(SessionRig().idle(), b"M503")
    rig.session.control.query(Query("r", (b"M900",)))
    assert rig.seen.query is not None
    assert (rig.seen.query.query_id, rig.seen.query.complete) == ("r", False)
    rig.hear("ok")
    rig.acknowledge()
    assert (rig.seen.query.query_id, rig.seen.query.complete) == ("q", True)

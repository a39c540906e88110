"""Order of lines and checkpoints: what is on the wire, and what is written down, before what."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.core.driver import PrinterState, Scripts
from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import RENUMBER, unnumbered
from drivers.gcode.session.driver_checkpoint import Stage
from tests.rigs.session_rig import SessionRig, wire
from tests.unit.drivers.gcode.wire import Wire, host_line, line, moves

FILE = [b"G1 X1 F1800", *(b"G1 X%d" % n for n in range(2, 9))]
SCRIPT = Scripts(pause=("G91", "G1 E-3 F1800", "G1 Z5"), resume=("M117 back",), cancel=("M117 bye",))
AWAY = [b"G91", b"G1 E-3 F1800", b"G1 Z5"]


def printing(scripts: Scripts | None = None, caps: Sequence[str] = ()) -> SessionRig:
    """In the middle of FILE, hot and homed, with nothing in `history` yet; line 3 is in flight."""
    rig = SessionRig(scripts, caps).idle(homed=True).print(FILE).heated()
    rig.hear("ok")
    rig.hear("ok")
    rig.take()
    rig.history.clear()
    return rig


def paused(scripts: Scripts | None = None) -> SessionRig:
    rig = printing(scripts)
    rig.pause()
    rig.history.clear()
    return rig


def test_an_m105_of_its_own_numbers_proves_that_the_printer_counts_the_prints_lines_before_the_first() -> None:
    """docs/serial.md §7, §9a: only then the place that the printer tells is this print's, and is written down so."""
    rig = SessionRig().idle()
    rig.history.clear()
    rig.print(FILE)
    assert rig.history == [b"M400", RENUMBER, b"M105", Stage.PRINTING, wire(1, FILE[0])]


def test_the_place_is_known_and_written_down_after_the_last_move_and_before_the_pause_script() -> None:
    """docs/serial.md §27: killed before it, the next agent pauses from the beginning; after it, it parks again without
    pulling back twice."""
    rig = printing(SCRIPT)
    rig.pause()
    assert rig.history == [Stage.PAUSING, b"M400", b"M114", Stage.PARKING, *AWAY, b"M400", Stage.PAUSED]


def test_without_a_script_the_place_is_known_before_the_head_moves_too() -> None:
    """docs/serial.md §27."""
    rig = printing()
    rig.pause()
    way = [b"G90", b"M83", b"G1 E-2 F2100", b"G1 Z13.000 F600", b"G1 X0 Y0 F6000"]
    assert rig.history == [Stage.PAUSING, b"M400", b"M114", Stage.PARKING, *way, b"M400", Stage.PAUSED]


def test_a_resume_is_written_down_before_the_way_back_and_its_end_before_the_next_line() -> None:
    """docs/serial.md §27: killed between, the next agent parks again, and resumes only when it is asked to."""
    rig = paused(SCRIPT)
    rig.resume()
    assert rig.history[:2] == [Stage.RESUMING, b"M117 back"]
    assert rig.history[-2:] == [Stage.PRINTING, wire(4, FILE[3])]
    assert b"G1 X10.000 Y20.000 F6000" in rig.history


def test_a_cancel_is_written_down_before_anything_of_it_is_sent() -> None:
    """docs/serial.md §25d, §28: killed between, the next agent cancels again."""
    rig = paused(SCRIPT)
    rig.session.control.cancel()
    rig.session.step(rig.now)
    rig.acknowledge()
    off = [b"M104 S0", b"M140 S0", b"M107"]
    assert rig.history == [Stage.CANCELLING, *off, b"M117 bye", *off]


def test_a_cancel_is_written_down_before_the_moves_are_stopped() -> None:
    """docs/serial.md §25d, §28: killed between, no agent goes on with a print of which moves are missing."""
    rig = printing(SCRIPT, caps=("EMERGENCY_PARSER",))
    rig.session.control.cancel()
    assert rig.history == [Stage.CANCELLING, b"M104 S0", b"M140 S0", b"M107", b"M410"]


def test_a_pause_that_the_printer_made_is_written_down_as_one_that_needs_no_way_back() -> None:
    """docs/serial.md §30."""
    rig = printing(SCRIPT)
    states = []
    for said in (("//action:paused",), ("ok", "//action:resumed")):
        rig.hear(*said)
        states.append(rig.seen.state)
    assert states == [PrinterState.PAUSED, PrinterState.PRINTING]
    assert rig.history == [Stage.PAUSED, Stage.PRINTING, wire(4, FILE[3])]


@pytest.mark.parametrize("code", [b"M155 S2", b"M114"])
def test_an_m105_proves_the_hosts_lines_before_the_m110_back_to_the_file(code: bytes) -> None:
    """docs/serial.md §2, §7: an `ok` too many may have been taken for theirs."""
    at = Wire()
    at.send(unnumbered(b"M105"))
    at.serve()
    at.ok("T:20.0 /0.0")
    at.send(line(1))
    assert at.serve() == [line(1).wire]
    at.ok()
    at.send(unnumbered(code))
    assert at.serve() == [host_line(1, 1, b"M105")]
    at.ok("T:20.0 /0.0")
    assert at.serve() == [host_line(1, 2, code)]
    at.ok()
    at.send(line(2))
    came = []
    for _ in range(9):
        at.protocol.send_again(at.now)
        for data in at.take():
            came.append(data)
            if data == TOO_HIGH:
                at.asks(at.place + 1, "Line Number is not Last Line Number+1")
            else:
                at.ok("T:20.0 /0.0" if b"M105" in data else "")
        if at.protocol.deadline - at.now <= 0.03:
            at.silence()
    assert [data for data in came if data != TOO_HIGH] == [host_line(1, 3, b"M105"), moves(1), line(2).wire]

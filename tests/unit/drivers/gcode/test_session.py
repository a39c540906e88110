"""One connection, with the printer's lines and the clock in the test's hand."""

from __future__ import annotations

import pytest

from agent.core.driver import Operation, Outcome, PrinterState, Scripts
from drivers.gcode.protocol.numbering import HOST
from drivers.gcode.protocol.replies import parse
from drivers.gcode.protocol.steps import RENUMBER
from drivers.gcode.requests import RunScript, StartPrint
from drivers.settings import DriverSettings
from tests.rigs.session_rig import MemorySource, SessionRig, wire

S = PrinterState


CODES = [b"G1 X%d" % n for n in range(1, 21)]


def test_the_hello_asks_for_reports_only_where_the_firmware_has_them() -> None:
    """docs/serial.md §17, §19."""
    marlin, marlin1 = "Marlin 2.1.2", "Marlin 1.1.9"
    for firmware, caps, wanted in (
        (marlin, (), {b"M113 S2"}),  # no capability line tells of it
        (marlin, ("AUTOREPORT_TEMP",), {b"M155 S2", b"M113 S2"}),
        (marlin1, (), set()),
        (marlin1, ("AUTOREPORT_TEMP", "BUSY_PROTOCOL"), {b"M155 S2", b"M113 S2"}),
    ):
        desk = SessionRig(caps=caps, firmware=firmware)
        desk.session.open(desk.now, desk.now)
        came = desk.acknowledge()
        assert came[:2] == [RENUMBER, b"M115"]
        assert set(came) & {b"M155 S2", b"M113 S2"} == wanted
        assert (desk.seen.firmware, desk.seen.machine) == (firmware, "Test")


def test_a_busy_that_is_heard_is_believed_whatever_the_firmware_told() -> None:
    """docs/serial.md §17: a printer that is silent is then gone soon, when its print is to be taken over."""
    for busy in (False, True):
        desk = SessionRig(firmware="Marlin 1.1.9").idle()
        if busy:
            desk.hear("echo:busy: processing")
        desk.print(CODES)
        assert desk.checkpoint is not None
        assert ("BUSY_PROTOCOL" in desk.checkpoint.capabilities) is busy


def test_the_hello_is_said_again_when_the_answer_is_noise_and_given_up_at_last() -> None:
    """docs/serial.md §18: the first answer may be line noise."""
    desk = SessionRig()
    desk.session.open(desk.now, desk.now)
    for _ in range(4):
        assert desk.take() == [RENUMBER]
        desk.hear("\ufffd\ufffdx")
        desk.later(2.1)
    assert desk.session.over == "no answer"


def test_heaters_go_off_in_the_hello_after_a_print_that_ended_without_its_end() -> None:
    """docs/serial.md §31: heaters must not stay on because the host died."""
    desk = SessionRig(unsafe=True)
    desk.session.open(desk.now, desk.now)
    assert desk.acknowledge()[1:4] == [b"M104 S0", b"M140 S0", b"M107"]


def test_temperatures_are_polled_without_auto_report_also_between_the_lines_of_a_print() -> None:
    """docs/serial.md §17."""
    desk = SessionRig().idle()
    desk.later(2.0)
    assert desk.take() == [b"M105"]
    desk.hear("ok T:31.0 /0.0 B:22.0 /0.0")
    assert [(h.name, h.actual) for h in desk.seen.heaters] == [("tool0", 31.0), ("bed", 22.0)]
    desk.print(CODES)
    desk.take()
    desk.now += 2.1
    desk.hear("ok")
    assert desk.take() == [b"M105"]
    desk.hear("ok T:32.0 /0.0")
    assert desk.take() == [wire(2, CODES[1])]


def test_with_auto_report_nothing_is_polled_during_a_print() -> None:
    """docs/serial.md §17."""
    desk = SessionRig(caps=("AUTOREPORT_TEMP",)).idle().print(CODES)
    desk.take()
    desk.now += 3.0
    desk.hear("ok")
    assert desk.take() == [wire(2, CODES[1])]


def test_after_a_pause_or_cancel_no_further_line_of_the_file_is_written() -> None:
    """docs/serial.md §27, §28: only what is in flight is waited for."""
    for what in ("pause", "cancel"):
        desk = SessionRig().idle().print(CODES)
        assert desk.take() == [wire(1, CODES[0])]
        desk.session.control.pause("") if what == "pause" else desk.session.control.cancel()
        desk.session.step(desk.now)
        assert desk.take() == [], "the line in flight is waited for"
        desk.hear("ok")
        assert not [line for line in desk.acknowledge() if line.startswith(b"N")]


def to_the_last_answer(desk: SessionRig) -> None:
    """Answer what is asked, and hear the answer that ends the procedure, without a step after it."""
    for _ in range(20):
        line = desk.take()[-1]
        if line == b"M114":
            desk.hear("X:1.00 Y:2.00 Z:3.00 E:4.00 Count X:0")
        for event in parse(b"ok"):
            desk.session.heard(event, desk.now)
        if desk.session.stack.pump.ended is not None:
            return
        desk.session.step(desk.now)
    pytest.fail("it does not end")


def test_a_cancel_in_the_moment_in_which_a_pause_ends_is_a_whole_one() -> None:
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.session.control.pause("")
    desk.hear("ok")
    to_the_last_answer(desk)
    desk.session.control.cancel()
    desk.session.step(desk.now)
    assert desk.seen.last is None
    assert b"M104 S0" in desk.acknowledge()
    assert desk.seen.last == Operation("p", Outcome.CANCELLED)


def test_a_pause_in_the_moment_in_which_the_print_ends_comes_too_late() -> None:
    desk = SessionRig().idle().print(CODES[:1])
    to_the_last_answer(desk)
    desk.session.control.pause("")
    desk.session.step(desk.now)
    assert desk.acknowledge() == []
    assert desk.seen.last == Operation("p", Outcome.COMPLETED)


def test_a_line_in_flight_that_is_asked_for_again_still_goes_before_the_pause() -> None:
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.session.control.pause("")
    desk.hear("Error:checksum mismatch, Last Line: 0", "Resend: 1", "ok")
    desk.later(0.03)
    assert desk.acknowledge() == [wire(1, CODES[0]), b"M400", b"M114"]
    assert desk.seen.state is S.PAUSED


def test_resume_restores_place_and_modes_after_scripts_and_takes_the_very_next_line() -> None:
    """docs/serial.md §27."""
    desk = SessionRig(Scripts(pause=("G91", "G1 Z5"))).idle()
    desk.print([b"M83", b"M106 S128", b"G1 X1 F1800", *CODES])
    for _ in range(3):
        desk.hear("ok")
    desk.session.control.pause("")
    desk.take()
    desk.hear("ok")
    assert desk.acknowledge() == [b"M400", b"M114", b"G91", b"G1 Z5", b"M400"]
    desk.session.control.resume()
    desk.session.step(desk.now)
    came = desk.acknowledge(9)
    assert came == [
        b"G90",
        b"G1 X10.000 Y20.000 F6000",
        b"G1 Z3.000 F600",
        b"G92 E4.00000",
        b"M106 S128",
        b"G1 F1800",
        b"G90",
        b"M83",
        wire(5, CODES[1]),
    ]


def test_without_scripts_resume_sends_nothing_of_its_own() -> None:
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.session.control.pause("")
    desk.hear("ok")
    desk.acknowledge()
    desk.session.control.resume()
    desk.session.step(desk.now)
    assert desk.take() == [wire(2, CODES[1])]


def test_m0_is_never_sent_and_the_numbers_go_on() -> None:
    """docs/serial.md §26."""
    desk = SessionRig().idle().print([b"G1 X1", b"M0", b"G1 X3"])
    assert desk.acknowledge() == [wire(1, b"G1 X1"), b"M400", b"M114"]
    assert desk.seen.state is S.PAUSED
    assert desk.seen.reason == "the file asks for a pause (M0, line 2)"
    desk.session.control.resume()
    desk.session.step(desk.now)
    assert desk.acknowledge() == [wire(2, b"M400"), wire(3, b"G1 X3"), b"M400"]
    assert desk.seen.last == Operation("p", Outcome.COMPLETED)


@pytest.mark.parametrize("code", [b"M1 wait", b"M226 P3 S1", b"M600", b"@pause", b"M00"])
def test_others_that_wait_for_a_person_are_kept_back_too(code: bytes) -> None:
    """docs/serial.md §26."""
    desk = SessionRig().idle().print([b"G1 X1", code, b"G1 X3"])
    desk.acknowledge()
    assert desk.seen.state is S.PAUSED


def test_m110_inside_a_message_does_not_reach_the_printer() -> None:
    """docs/serial.md §13."""
    desk = SessionRig().idle().print([b"M117 about M110", b"G1 X2"])
    assert not [line for line in desk.acknowledge() if b"M110" in line]


def test_a_heat_wait_is_held_back_and_can_be_cancelled_at_once() -> None:
    """docs/serial.md §24: set the target, watch the temperature."""
    desk = SessionRig().idle().print([b"M109 S200", b"G1 X2"])
    assert desk.take() == [b"M104 S200"]
    desk.hear("ok")
    assert desk.seen.waiting == "heating"
    assert desk.take() == [b"M105"]
    desk.hear("ok T:150.0 /200.0")
    assert desk.take() == [], "nothing is in flight that a cancel would wait for"
    desk.session.control.cancel()
    desk.session.step(desk.now)
    assert desk.acknowledge() == [b"M104 S0", b"M140 S0", b"M107", b"M84"]
    assert desk.seen.last == Operation("p", Outcome.CANCELLED)
    assert desk.seen.waiting == ""


def test_the_waiting_line_itself_is_sent_when_the_target_is_near() -> None:
    """docs/serial.md §24: then the blocking form."""
    desk = SessionRig().idle().print([b"M190 S60", b"G1 X2"])
    assert desk.take() == [b"M140 S60"]
    desk.hear("ok")
    desk.hear("ok T:20 /0 B:59.0 /60.0")
    assert desk.take()[-1] == wire(1, b"M190 S60")
    assert desk.seen.waiting == ""


def test_with_an_emergency_parser_a_cancel_breaks_what_blocks() -> None:
    """docs/serial.md §23: M108 overtakes everything."""
    desk = SessionRig(caps=("EMERGENCY_PARSER",)).idle().print([b"G28", b"G1 X2"])
    desk.take()
    desk.session.control.cancel()
    desk.session.step(desk.now)
    assert desk.take() == [b"M104 S0", b"M140 S0", b"M107", b"M108"], "a homing that is stopped halts the printer"


def test_with_an_emergency_parser_a_cancel_stops_the_moves_after_the_heaters() -> None:
    """docs/serial.md §25d: heaters off before anything else, then M410, each with an ok of its own; the move that
    waited for room in the planner is stopped too, and the head only goes up, as far as the printer is high."""
    settings = DriverSettings(build_volume=(200.0, 200.0, 8.0))
    desk = SessionRig(caps=("EMERGENCY_PARSER",), settings=settings).idle(homed=True).print([b"G1 X1 F60", b"G1 X2"])
    desk.take()
    desk.session.control.cancel()
    desk.session.step(desk.now)
    off = [b"M104 S0", b"M140 S0", b"M107"]
    assert desk.take() == [*off, b"M410"]
    desk.hear(*["ok"] * 5)
    assert desk.acknowledge() == [*off, b"M410", b"M114", b"G91", b"G1 Z5.000 F600", b"G90", b"M84"]
    assert desk.seen.last == Operation("p", Outcome.CANCELLED)


def test_a_cancel_script_follows_a_stop_and_heaters_are_off_before_and_after_it() -> None:
    """docs/serial.md §25d, §28."""
    scripts = Scripts(cancel=("G28 X Y",))
    desk = SessionRig(scripts, caps=("EMERGENCY_PARSER",)).idle(homed=True).print([b"G1 X1 F60", b"G1 X2"])
    desk.take()
    desk.session.control.cancel()
    off = [b"M104 S0", b"M140 S0", b"M107"]
    assert desk.take() == [*off, b"M410"]
    desk.hear(*["ok"] * 5)
    assert desk.acknowledge() == [*off, b"M410", b"G28 X Y", *off]


def test_a_printer_that_stands_still_is_not_stopped() -> None:
    """docs/serial.md §25d: its position stays known."""
    desk = SessionRig(caps=("EMERGENCY_PARSER",)).idle(homed=True).print(CODES)
    desk.pause()
    desk.session.control.cancel()
    desk.session.step(desk.now)
    assert b"M410" not in desk.acknowledge()


@pytest.mark.parametrize(("caps", "every"), [((), 2.0), (("AUTOREPORT_TEMP",), 10.0)])
def test_a_wait_for_heat_asks_for_the_temperature_as_rarely_as_ever(caps: tuple[str, ...], every: float) -> None:
    """docs/serial.md §24, §25c: no dwell, which would be shown on the display; a printer that reports is asked only
    whether it is there."""
    desk = SessionRig(caps=caps).idle().print([b"M109 S200", b"G1 X2"])
    desk.take()
    desk.hear("ok")
    asked = []
    for _ in range(600):
        for code in desk.take():
            assert code == b"M105"
            asked.append(desk.now)
            desk.hear("ok T:150.0 /200.0")
        desk.later(0.1)
    assert len(asked) == pytest.approx(60.0 / every, abs=1.0)
    assert desk.seen.waiting == "heating"
    if desk.take():
        desk.hear("ok T:150.0 /200.0")
    desk.hear("T:199.0 /200.0 B:20.0 /0.0")
    assert desk.take() == [wire(1, b"M109 S200")]


def test_a_fatal_error_stops_everything_until_the_board_restarts() -> None:
    """docs/serial.md §23a, §25."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.hear("Error:Thermal Runaway, system stopped! Heater_ID: 0", "Error:Printer halted. kill() called!")
    halted = desk.seen
    assert halted.state is S.ERROR
    assert desk.seen.reason == "Thermal Runaway, system stopped! Heater_ID: 0"
    assert desk.seen.last == Operation("p", Outcome.FAILED, desk.seen.reason)
    desk.hear("ok", "ok")
    desk.later(1000)
    assert desk.take() == []
    desk.hear("start")
    desk.acknowledge()
    assert desk.seen.state is S.IDLE


def test_a_file_that_cannot_be_read_any_more_fails_with_the_heaters_off() -> None:
    desk = SessionRig().idle().print(CODES, breaks_at=3)
    came = desk.acknowledge()
    assert came[:2] == [wire(1, CODES[0]), wire(2, CODES[1])]
    assert b"M104 S0" in came
    assert desk.seen.last is not None
    assert desk.seen.last.outcome is Outcome.FAILED
    assert "line 3" in desk.seen.last.error
    assert "pulled out" in desk.seen.last.error


def test_a_line_that_does_not_fit_the_firmware_is_refused_by_number() -> None:
    """docs/serial.md §11."""
    desk = SessionRig().idle().print([b"G1 X1", b"M117 " + b"x" * 100])
    desk.acknowledge()
    assert desk.seen.last is not None
    assert desk.seen.last.error.startswith("line 2 (M117 xxx")


def test_a_storm_of_requests_ends_the_connection_and_names_the_line() -> None:
    """docs/serial.md §10."""
    desk = SessionRig().idle().print(CODES)
    for _ in range(10):
        desk.hear("Resend: 1", "ok")
        desk.later(0.03)
    assert desk.session.over == "line 1 (G1 X1): the printer asked for it 10 times"
    assert desk.seen.last == Operation("p", Outcome.FAILED, desk.session.over)
    assert desk.session.operation.unsafe


def test_the_person_at_the_printer_is_named_as_what_is_waited_for() -> None:
    """docs/serial.md §15."""
    desk = SessionRig().idle().print(CODES)
    desk.hear("echo:busy: paused for user")
    assert desk.seen.waiting == "the person at the printer"
    desk.hear("ok")
    assert desk.seen.waiting == ""


@pytest.mark.parametrize(("action", "state"), [("pause", S.PAUSING), ("paused", S.PAUSED), ("cancel", S.CANCELLING)])
def test_what_somebody_does_at_the_printer_counts(action: str, state: PrinterState) -> None:
    """docs/serial.md §30."""
    desk = SessionRig().idle().print(CODES)
    desk.hear(f"//action:{action}")
    assert desk.seen.state is state


def test_a_pause_of_the_printers_own_is_resumed_with_nothing_but_the_next_line() -> None:
    """docs/serial.md §25a, §30."""
    desk = SessionRig(Scripts(pause=("G91",), resume=("G90",))).idle().print(CODES)
    desk.hear("//action:paused", "ok")
    desk.take()
    desk.hear("//action:resumed")
    assert desk.take() == [wire(2, CODES[1])]


def test_a_script_waits_for_heat_on_the_hosts_side_too() -> None:
    """docs/serial.md §24."""
    desk = SessionRig().idle()
    desk.session.control.run_script(RunScript("s", (b"M109 S200",)), desk.now)
    desk.session.step(desk.now)
    desk.hear("ok")
    assert desk.seen.waiting == "heating"


def test_a_print_accepted_just_before_the_printer_was_lost_fails() -> None:
    desk = SessionRig()
    desk.session.open(desk.now, desk.now)
    desk.session.control.start_print(StartPrint("p", MemorySource(CODES), ()), desk.now)
    assert desk.seen.last is not None
    assert desk.seen.last.outcome is Outcome.FAILED


def test_a_restart_in_the_middle_of_a_print_fails_it() -> None:
    """docs/serial.md §20, §21: `start`, also after boot garbage, means that the position is lost; then the hello
    again."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.hear("ok")
    desk.hear("\ufffd\ufffdstart")
    now = desk.seen
    assert now.last == Operation("p", Outcome.FAILED, "the printer restarted after line 1: its position is lost")
    assert desk.acknowledge()[-1:] == [b"M105"]
    assert desk.seen.state is S.IDLE


def test_a_line_whose_end_was_garbled_is_asked_after_soon() -> None:
    """docs/serial.md §4: an `ok` without its newline is no line, and must not cost the whole patience."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.session.half_heard(desk.now)
    assert desk.session.due(desk.now) - desk.now < 0.5
    desk.now = desk.session.due(desk.now)
    desk.session.step(desk.now)
    desk.now = desk.session.due(desk.now)
    desk.session.step(desk.now)
    assert desk.numbering_replies, "its place was asked for"


def test_during_a_poll_inside_a_print_the_file_keeps_its_numbers() -> None:
    """docs/serial.md §7: the host's lines have numbers of their own, and an M110 leads back."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.now += 2.1
    desk.hear("ok")
    assert desk.take() == [b"M105"]
    assert desk.at > HOST
    desk.hear("ok T:20.0 /0.0")
    assert desk.take() == [wire(2, CODES[1])]
    assert desk.at == 2

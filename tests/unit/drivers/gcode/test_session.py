"""One connection, with the printer's lines and the clock in the test's hand."""

from __future__ import annotations

import pytest

from agent.core.driver import Operation, Outcome, PrinterState, Scripts
from drivers.gcode.protocol.numbering import HISTORY, HOST
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
        rig = SessionRig(caps=caps, firmware=firmware)
        rig.session.open(rig.now, rig.now)
        came = rig.acknowledge()
        assert came[:2] == [RENUMBER, b"M115"]
        assert set(came) & {b"M155 S2", b"M113 S2"} == wanted
        assert (rig.seen.firmware, rig.seen.machine) == (firmware, "Test")


def test_a_busy_that_is_heard_is_believed_whatever_the_firmware_told() -> None:
    """docs/serial.md §17: a printer that is silent is then gone soon, when its print is to be taken over."""
    for busy in (False, True):
        rig = SessionRig(firmware="Marlin 1.1.9").idle()
        if busy:
            rig.hear("echo:busy: processing")
        rig.print(CODES)
        assert rig.checkpoint is not None
        assert ("BUSY_PROTOCOL" in rig.checkpoint.capabilities) is busy


def test_the_hello_is_said_again_when_the_answer_is_noise_and_given_up_at_last() -> None:
    """docs/serial.md §18: the first answer may be line noise."""
    rig = SessionRig()
    rig.session.open(rig.now, rig.now)
    for _ in range(4):
        assert rig.take() == [RENUMBER]
        rig.hear("\ufffd\ufffdx")
        rig.later(2.1)
    assert rig.session.over == "no answer"


def test_heaters_go_off_in_the_hello_after_a_print_that_ended_without_its_end() -> None:
    """docs/serial.md §31: heaters must not stay on because the host died."""
    rig = SessionRig(unsafe=True)
    rig.session.open(rig.now, rig.now)
    assert rig.acknowledge()[1:4] == [b"M104 S0", b"M140 S0", b"M107"]


def test_temperatures_are_polled_without_auto_report_also_between_the_lines_of_a_print() -> None:
    """docs/serial.md §17."""
    rig = SessionRig().idle()
    rig.later(2.0)
    assert rig.take() == [b"M105"]
    rig.hear("ok T:31.0 /0.0 B:22.0 /0.0")
    assert [(h.name, h.actual) for h in rig.seen.heaters] == [("tool0", 31.0), ("bed", 22.0)]
    rig.print(CODES)
    rig.take()
    rig.now += 2.1
    rig.hear("ok")
    assert rig.take() == [b"M105"]
    rig.hear("ok T:32.0 /0.0")
    assert rig.take() == [wire(2, CODES[1])]


def test_with_auto_report_nothing_is_polled_during_a_print() -> None:
    """docs/serial.md §17."""
    rig = SessionRig(caps=("AUTOREPORT_TEMP",)).idle().print(CODES)
    rig.take()
    rig.now += 3.0
    rig.hear("ok")
    assert rig.take() == [wire(2, CODES[1])]


def test_after_a_pause_or_cancel_no_further_line_of_the_file_is_written() -> None:
    """docs/serial.md §27, §28: only what is in flight is waited for."""
    for what in ("pause", "cancel"):
        rig = SessionRig().idle().print(CODES)
        assert rig.take() == [wire(1, CODES[0])]
        rig.session.control.pause("") if what == "pause" else rig.session.control.cancel()
        rig.session.step(rig.now)
        assert rig.take() == [], "the line in flight is waited for"
        rig.hear("ok")
        assert not [line for line in rig.acknowledge() if line.startswith(b"N")]


def to_the_last_answer(rig: SessionRig) -> None:
    """Answer what is asked, and hear the answer that ends the procedure, without a step after it."""
    for _ in range(20):
        line = rig.take()[-1]
        if line == b"M114":
            rig.hear("X:1.00 Y:2.00 Z:3.00 E:4.00 Count X:0")
        for event in parse(b"ok"):
            rig.session.heard(event, rig.now)
        if rig.session.stack.pump.ended is not None:
            return
        rig.session.step(rig.now)
    pytest.fail("it does not end")


def test_a_cancel_in_the_moment_in_which_a_pause_ends_is_a_whole_one() -> None:
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.session.control.pause("")
    rig.hear("ok")
    to_the_last_answer(rig)
    rig.session.control.cancel()
    rig.session.step(rig.now)
    assert rig.seen.last is None
    assert b"M104 S0" in rig.acknowledge()
    assert rig.seen.last == Operation("p", Outcome.CANCELLED)


def test_a_pause_in_the_moment_in_which_the_print_ends_comes_too_late() -> None:
    rig = SessionRig().idle().print(CODES[:1])
    to_the_last_answer(rig)
    rig.session.control.pause("")
    rig.session.step(rig.now)
    assert rig.acknowledge() == []
    assert rig.seen.last == Operation("p", Outcome.COMPLETED)


def test_a_line_in_flight_that_is_asked_for_again_still_goes_before_the_pause() -> None:
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.session.control.pause("")
    rig.hear("Error:checksum mismatch, Last Line: 0", "Resend: 1", "ok")
    rig.later(0.03)
    assert rig.acknowledge() == [wire(1, CODES[0]), b"M400", b"M114"]
    assert rig.seen.state is S.PAUSED


def test_resume_restores_place_and_modes_after_scripts_and_takes_the_very_next_line() -> None:
    """docs/serial.md §27."""
    rig = SessionRig(Scripts(pause=("G91", "G1 Z5"))).idle()
    rig.print([b"M83", b"M106 S128", b"G1 X1 F1800", *CODES])
    for _ in range(3):
        rig.hear("ok")
    rig.session.control.pause("")
    rig.take()
    rig.hear("ok")
    assert rig.acknowledge() == [b"M400", b"M114", b"G91", b"G1 Z5", b"M400"]
    rig.session.control.resume()
    rig.session.step(rig.now)
    came = rig.acknowledge(9)
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
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.session.control.pause("")
    rig.hear("ok")
    rig.acknowledge()
    rig.session.control.resume()
    rig.session.step(rig.now)
    assert rig.take() == [wire(2, CODES[1])]


def test_m0_is_never_sent_and_the_numbers_go_on() -> None:
    """docs/serial.md §26."""
    rig = SessionRig().idle().print([b"G1 X1", b"M0", b"G1 X3"])
    assert rig.acknowledge() == [wire(1, b"G1 X1"), b"M400", b"M114"]
    assert rig.seen.state is S.PAUSED
    assert rig.seen.reason == "the file asks for a pause (M0, line 2)"
    rig.session.control.resume()
    rig.session.step(rig.now)
    assert rig.acknowledge() == [wire(2, b"M400"), wire(3, b"G1 X3"), b"M400"]
    assert rig.seen.last == Operation("p", Outcome.COMPLETED)


@pytest.mark.parametrize("code", [b"M1 wait", b"M226 P3 S1", b"M600", b"@pause", b"M00"])
def test_others_that_wait_for_a_person_are_kept_back_too(code: bytes) -> None:
    """docs/serial.md §26."""
    rig = SessionRig().idle().print([b"G1 X1", code, b"G1 X3"])
    rig.acknowledge()
    assert rig.seen.state is S.PAUSED


def test_m110_inside_a_message_does_not_reach_the_printer() -> None:
    """docs/serial.md §13."""
    rig = SessionRig().idle().print([b"M117 about M110", b"G1 X2"])
    assert not [line for line in rig.acknowledge() if b"M110" in line]


def test_a_heat_wait_is_held_back_and_can_be_cancelled_at_once() -> None:
    """docs/serial.md §24: set the target, watch the temperature."""
    rig = SessionRig().idle().print([b"M109 S200", b"G1 X2"])
    assert rig.take() == [b"M104 S200"]
    rig.hear("ok")
    assert rig.seen.waiting == "heating"
    assert rig.take() == [b"M105"]
    rig.hear("ok T:150.0 /200.0")
    assert rig.take() == [], "nothing is in flight that a cancel would wait for"
    rig.session.control.cancel()
    rig.session.step(rig.now)
    assert rig.acknowledge() == [b"M104 S0", b"M140 S0", b"M107", b"M84"]
    assert rig.seen.last == Operation("p", Outcome.CANCELLED)
    assert rig.seen.waiting == ""


def test_the_waiting_line_itself_is_sent_when_the_target_is_near() -> None:
    """docs/serial.md §24: then the blocking form."""
    rig = SessionRig().idle().print([b"M190 S60", b"G1 X2"])
    assert rig.take() == [b"M140 S60"]
    rig.hear("ok")
    rig.hear("ok T:20 /0 B:59.0 /60.0")
    assert rig.take()[-1] == wire(1, b"M190 S60")
    assert rig.seen.waiting == ""


def test_with_an_emergency_parser_a_cancel_breaks_what_blocks() -> None:
    """docs/serial.md §23: M108 overtakes everything."""
    rig = SessionRig(caps=("EMERGENCY_PARSER",)).idle().print([b"G28", b"G1 X2"])
    rig.take()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    assert rig.take() == [b"M104 S0", b"M140 S0", b"M107", b"M108"], "a homing that is stopped halts the printer"


def test_with_an_emergency_parser_a_cancel_stops_the_moves_after_the_heaters() -> None:
    """docs/serial.md §25d: heaters off before anything else, then M410, each with an ok of its own; the move that
    waited for room in the planner is stopped too, and the head only goes up, as far as the printer is high."""
    settings = DriverSettings(build_volume=(200.0, 200.0, 8.0))
    rig = SessionRig(caps=("EMERGENCY_PARSER",), settings=settings).idle(homed=True).print([b"G1 X1 F60", b"G1 X2"])
    rig.take()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    off = [b"M104 S0", b"M140 S0", b"M107"]
    assert rig.take() == [*off, b"M410"]
    rig.hear(*["ok"] * 5)
    assert rig.acknowledge() == [*off, b"M410", b"M114", b"G91", b"G1 Z5.000 F600", b"G90", b"M84"]
    assert rig.seen.last == Operation("p", Outcome.CANCELLED)


def test_a_cancel_script_follows_a_stop_and_heaters_are_off_before_and_after_it() -> None:
    """docs/serial.md §25d, §28."""
    scripts = Scripts(cancel=("G28 X Y",))
    rig = SessionRig(scripts, caps=("EMERGENCY_PARSER",)).idle(homed=True).print([b"G1 X1 F60", b"G1 X2"])
    rig.take()
    rig.session.control.cancel()
    off = [b"M104 S0", b"M140 S0", b"M107"]
    assert rig.take() == [*off, b"M410"]
    rig.hear(*["ok"] * 5)
    assert rig.acknowledge() == [*off, b"M410", b"G28 X Y", *off]


def test_a_printer_that_stands_still_is_not_stopped() -> None:
    """docs/serial.md §25d: its position stays known."""
    rig = SessionRig(caps=("EMERGENCY_PARSER",)).idle(homed=True).print(CODES)
    rig.pause()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    assert b"M410" not in rig.acknowledge()


@pytest.mark.parametrize(("caps", "every"), [((), 2.0), (("AUTOREPORT_TEMP",), 10.0)])
def test_a_wait_for_heat_asks_for_the_temperature_as_rarely_as_ever(caps: tuple[str, ...], every: float) -> None:
    """docs/serial.md §24, §25c: no dwell, which would be shown on the display; a printer that reports is asked only
    whether it is there."""
    rig = SessionRig(caps=caps).idle().print([b"M109 S200", b"G1 X2"])
    rig.take()
    rig.hear("ok")
    asked = []
    for _ in range(600):
        for code in rig.take():
            assert code == b"M105"
            asked.append(rig.now)
            rig.hear("ok T:150.0 /200.0")
        rig.later(0.1)
    assert len(asked) == pytest.approx(60.0 / every, abs=1.0)
    assert rig.seen.waiting == "heating"
    if rig.take():
        rig.hear("ok T:150.0 /200.0")
    rig.hear("T:199.0 /200.0 B:20.0 /0.0")
    assert rig.take() == [wire(1, b"M109 S200")]


def test_a_fatal_error_stops_everything_until_the_board_restarts() -> None:
    """docs/serial.md §23a, §25."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.hear("Error:Thermal Runaway, system stopped! Heater_ID: 0", "Error:Printer halted. kill() called!")
    halted = rig.seen
    assert halted.state is S.ERROR
    assert rig.seen.reason == "Thermal Runaway, system stopped! Heater_ID: 0"
    assert rig.seen.last == Operation("p", Outcome.FAILED, rig.seen.reason)
    rig.hear("ok", "ok")
    rig.later(1000)
    assert rig.take() == []
    rig.hear("start")
    rig.acknowledge()
    assert rig.seen.state is S.IDLE


def test_a_file_that_cannot_be_read_any_more_fails_with_the_heaters_off() -> None:
    rig = SessionRig().idle().print(CODES, breaks_at=3)
    came = rig.acknowledge()
    assert came[:2] == [wire(1, CODES[0]), wire(2, CODES[1])]
    assert b"M104 S0" in came
    assert rig.seen.last is not None
    assert rig.seen.last.outcome is Outcome.FAILED
    assert "line 3" in rig.seen.last.error
    assert "pulled out" in rig.seen.last.error


def test_a_line_that_does_not_fit_the_firmware_is_refused_by_number() -> None:
    """docs/serial.md §11."""
    rig = SessionRig().idle().print([b"G1 X1", b"M117 " + b"x" * 100])
    rig.acknowledge()
    assert rig.seen.last is not None
    assert rig.seen.last.error.startswith("line 2 (M117 xxx")


def test_a_storm_of_requests_ends_the_connection_and_names_the_line() -> None:
    """docs/serial.md §10."""
    rig = SessionRig().idle().print(CODES)
    for _ in range(10):
        rig.hear("Resend: 1", "ok")
        rig.later(0.03)
    assert rig.session.over == "line 1 (G1 X1): the printer asked for it 10 times"
    assert rig.seen.last == Operation("p", Outcome.FAILED, rig.session.over)
    assert rig.session.operation.unsafe


def test_the_person_at_the_printer_is_named_as_what_is_waited_for() -> None:
    """docs/serial.md §15."""
    rig = SessionRig().idle().print(CODES)
    rig.hear("echo:busy: paused for user")
    assert rig.seen.waiting == "the person at the printer"
    rig.hear("ok")
    assert rig.seen.waiting == ""


@pytest.mark.parametrize(("action", "state"), [("pause", S.PAUSING), ("paused", S.PAUSED), ("cancel", S.CANCELLING)])
def test_what_somebody_does_at_the_printer_counts(action: str, state: PrinterState) -> None:
    """docs/serial.md §30."""
    rig = SessionRig().idle().print(CODES)
    rig.hear(f"//action:{action}")
    assert rig.seen.state is state


def test_a_pause_of_the_printers_own_is_resumed_with_nothing_but_the_next_line() -> None:
    """docs/serial.md §25a, §30."""
    rig = SessionRig(Scripts(pause=("G91",), resume=("G90",))).idle().print(CODES)
    rig.hear("//action:paused", "ok")
    rig.take()
    rig.hear("//action:resumed")
    assert rig.take() == [wire(2, CODES[1])]


def test_a_script_waits_for_heat_on_the_hosts_side_too() -> None:
    """docs/serial.md §24."""
    rig = SessionRig().idle()
    rig.session.control.run_script(RunScript("s", (b"M109 S200",)), rig.now)
    rig.session.step(rig.now)
    rig.hear("ok")
    assert rig.seen.waiting == "heating"


def test_a_print_accepted_just_before_the_printer_was_lost_fails() -> None:
    rig = SessionRig()
    rig.session.open(rig.now, rig.now)
    rig.session.control.start_print(StartPrint("p", MemorySource(CODES), ()), rig.now)
    assert rig.seen.last is not None
    assert rig.seen.last.outcome is Outcome.FAILED


def test_a_restart_in_the_middle_of_a_print_fails_it() -> None:
    """docs/serial.md §20, §21: `start`, also after boot garbage, means that the position is lost; then the hello
    again."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.hear("ok")
    rig.hear("\ufffd\ufffdstart")
    now = rig.seen
    assert now.last == Operation("p", Outcome.FAILED, "the printer restarted after line 1: its position is lost")
    assert rig.acknowledge()[-1:] == [b"M105"]
    assert rig.seen.state is S.IDLE


def test_a_line_whose_end_was_garbled_is_asked_after_soon() -> None:
    """docs/serial.md §4: an `ok` without its newline is no line, and must not cost the whole patience."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.session.half_heard(rig.now)
    assert rig.session.due(rig.now) - rig.now < 0.5
    rig.now = rig.session.due(rig.now)
    rig.session.step(rig.now)
    rig.now = rig.session.due(rig.now)
    rig.session.step(rig.now)
    assert rig.numbering_replies, "its place was asked for"


def test_during_a_poll_inside_a_print_the_file_keeps_its_numbers() -> None:
    """docs/serial.md §7: the host's lines have numbers of their own, and an M110 leads back."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.now += 2.1
    rig.hear("ok")
    assert rig.take() == [b"M105"]
    assert rig.at > HOST
    rig.hear("ok T:20.0 /0.0")
    assert rig.take() == [wire(2, CODES[1])]
    assert rig.at == 2


def test_nothing_more_is_sent_once_the_exchange_has_failed() -> None:
    """docs/serial.md §10: the line requested is older than what can be sent again."""
    rig = SessionRig().idle().print([b"G1 X%d" % n for n in range(HISTORY + 10)])
    for _ in range(HISTORY + 5):
        rig.hear("ok")
    rig.take()
    rig.hear("Error:Line Number is not Last Line Number+1, Last Line: 3", "Resend: 4")
    assert rig.session.over == f"line 4: the printer asked for it, it is older than the last {HISTORY} sent"
    assert rig.take() == []

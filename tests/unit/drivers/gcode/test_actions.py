"""What the printer asks the host to do, and tells it (docs/serial.md §30)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agent.core.driver import Outcome, PrinterState
from drivers.gcode.timing import Timing
from tests.rigs.session_rig import SessionRig, wire

S = PrinterState
CODES = [b"G1 X%d" % n for n in range(1, 9)]


@pytest.mark.parametrize(
    ("line", "state", "reason"),
    [
        ("//action:pause", S.PAUSING, "paused at the printer"),
        ("// action:pause", S.PAUSING, "paused at the printer"),
        ("//action:paused", S.PAUSED, "the printer paused by itself"),
        ("//action:paused filament_runout 0", S.PAUSED, "the printer paused by itself (filament_runout 0)"),
        ("//action:out_of_filament T0", S.PAUSING, "the printer is out of filament (T0)"),
        ("//action:cancel", S.CANCELLING, ""),
    ],
)
def test_what_is_asked_for_at_the_printer_is_done(line: str, state: PrinterState, reason: str) -> None:
    """docs/serial.md §30: `pause` asks the host to pause; `paused` tells it that the printer already did."""
    rig = SessionRig().idle().print(CODES)
    rig.hear(line)
    assert (rig.seen.state, rig.seen.reason) == (state, reason)


def test_resume_and_resumed_end_a_pause() -> None:
    """docs/serial.md §30."""
    rig = SessionRig().idle().print(CODES)
    rig.pause()
    rig.hear("//action:resume")
    assert rig.session.operation.state is S.PRINTING
    rig = SessionRig().idle().print(CODES)
    rig.hear("//action:paused")
    rig.hear("//action:resumed")
    assert rig.session.operation.state is S.PRINTING


def test_a_power_off_fails_the_job_and_is_an_error_until_reset() -> None:
    """docs/serial.md §23a, §30: poweroff."""
    rig = SessionRig().idle().print(CODES)
    rig.hear("//action:poweroff")
    assert rig.seen.state is S.ERROR
    assert rig.seen.last is not None
    assert (rig.seen.last.outcome, rig.seen.last.error) == (Outcome.FAILED, "the printer has switched itself off")


def test_after_a_kill_the_kill_stays_the_reason() -> None:
    """docs/serial.md §23a: `Error:Printer halted. kill() called!`, `//action:poweroff`, then silence."""
    rig = SessionRig().idle().print(CODES)
    rig.hear("Error:Printer halted. kill() called!", "//action:poweroff")
    assert rig.seen.reason == "Printer halted. kill() called!"


def test_a_prompt_is_what_is_waited_for_until_it_ends() -> None:
    """docs/serial.md §25a, §30: M0 gives prompt_… actions."""
    rig = SessionRig().idle().print(CODES)
    rig.hear(
        "//action:prompt_end",
        "//action:prompt_begin Nozzle Parked\x07",
        "//action:prompt_button Continue",
        "//action:prompt_show",
    )
    assert rig.seen.waiting == "the person at the printer: Nozzle Parked"
    rig.hear("//action:prompt_end")
    assert rig.seen.waiting == ""


@pytest.mark.parametrize("line", ["//action:", "//action:levitate", "// Klipper says"])
def test_other_actions_change_nothing(line: str) -> None:
    rig = SessionRig().idle().print(CODES)
    before = rig.seen
    rig.hear(line)
    assert rig.seen == before


def test_a_printer_that_paused_by_itself_may_take_as_long_as_a_person_does() -> None:
    """docs/serial.md §15, §25a, §30: nothing is asked and nothing fails, whether it keeps busy or not, until it goes
    on."""
    rig = SessionRig().idle().print(CODES)
    rig.take()
    rig.hear("//action:paused")
    for busy in (False, True):
        for _ in range(1000):
            if busy:
                rig.hear("echo:busy: paused for user")
            rig.later(2.0)
        assert not rig.numbering_replies
        assert not rig.written
        assert rig.seen.state is S.PAUSED
    assert rig.seen.waiting == "the person at the printer"
    rig.hear("//action:resumed")
    assert rig.session.due(rig.now) - rig.now < 60.0, "and from now on its ok is awaited again"
    rig.hear("ok")
    assert wire(2, CODES[1]) in rig.acknowledge(2), "after the poll that was due"


def test_a_cancel_ends_a_wait_for_a_person_where_the_firmware_hears_it() -> None:
    """docs/serial.md §23, §24: with an emergency parser M108 is read before anything else."""
    rig = SessionRig(caps=("EMERGENCY_PARSER",)).idle().print(CODES)
    rig.take()
    rig.hear("echo:busy: paused for user")
    rig.session.control.cancel()
    assert rig.take() == [b"M104 S0", b"M140 S0", b"M107", b"M108"], "its own heaters-off waits for its turn"


def test_what_is_asked_is_answered_again_and_again_until_it_is_asked_no_more() -> None:
    """docs/serial.md §25b: M108, and M876 S1 with PROMPT_SUPPORT, at most Timing.presses times; then a person is asked
    for."""
    rig = SessionRig(caps=("EMERGENCY_PARSER", "PROMPT_SUPPORT")).idle().print(CODES)
    rig.take()
    rig.hear("//action:paused", "//action:prompt_begin Pause", "//action:prompt_button Dismiss")
    rig.session.control.resume()
    rig.later(20.0)
    assert rig.take() == [], "it asks nothing yet"
    rig.hear("//action:prompt_begin Nozzle Parked", "//action:prompt_button Continue", "//action:prompt_show")
    for _ in range(Timing().presses):
        assert rig.take() == [b"M108", b"M876 S1"]
        assert rig.seen.waiting == "the person at the printer: Nozzle Parked"
        rig.hear("echo:busy: paused for user")
        rig.later(Timing().press)
    assert rig.take() == []
    assert rig.seen.waiting == "the person at the printer: has to confirm on its display: Nozzle Parked"
    rig.hear("//action:resumed", "//action:prompt_end", "//action:prompt_begin Resuming", "ok")
    assert rig.seen.waiting == ""
    assert wire(2, CODES[1]) in rig.acknowledge(2)
    assert rig.seen.state is S.PRINTING


def test_a_prompt_that_nobody_ends_is_over_with_the_next_line() -> None:
    """docs/serial.md §25b: `Resuming`."""
    rig = SessionRig().idle().print(CODES)
    rig.hear("//action:resumed", "//action:prompt_begin Resuming", "//action:prompt_button Dismiss")
    assert rig.seen.waiting == "the person at the printer: Resuming"
    rig.hear("ok")
    assert rig.seen.waiting == ""


def test_what_a_cancel_waits_for_is_told_at_once() -> None:
    """docs/serial.md §25b: also where nothing can be answered from afar."""
    rig = SessionRig().idle().print(CODES)
    rig.hear("echo:busy: paused for user")
    rig.session.control.cancel()
    assert rig.seen.waiting == "the person at the printer: has to confirm on its display"


def test_what_the_display_shows_is_told_and_logged_once() -> None:
    """docs/serial.md §25c."""
    rig = SessionRig().idle().print(CODES)
    with capture_logs() as logs:
        for text in ("Sleep...", "Sleep...", "E1 Heating...", "E1 Heating...", "Sleep..."):
            rig.hear(f"//action:notification {text}")
            assert rig.seen.display == text
    assert [entry["text"] for entry in logs] == ["Sleep...", "E1 Heating...", "Sleep..."]

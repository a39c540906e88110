"""What the printer asks the host to do, and tells it (docs/serial.md §30)."""

from __future__ import annotations

import pytest

from agent.core.driver import Outcome, PrinterState
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
    desk = SessionRig().idle().print(CODES)
    desk.hear(line)
    assert (desk.seen.state, desk.seen.reason) == (state, reason)


def test_resume_and_resumed_end_a_pause() -> None:
    """docs/serial.md §30."""
    desk = SessionRig().idle().print(CODES)
    desk.pause()
    desk.hear("//action:resume")
    assert desk.session.operation.state is S.PRINTING
    desk = SessionRig().idle().print(CODES)
    desk.hear("//action:paused")
    desk.hear("//action:resumed")
    assert desk.session.operation.state is S.PRINTING


def test_a_power_off_fails_the_job_and_is_an_error_until_reset() -> None:
    """docs/serial.md §23a, §30: poweroff."""
    desk = SessionRig().idle().print(CODES)
    desk.hear("//action:poweroff")
    assert desk.seen.state is S.ERROR
    assert desk.seen.last is not None
    assert (desk.seen.last.outcome, desk.seen.last.error) == (Outcome.FAILED, "the printer has switched itself off")


def test_after_a_kill_the_kill_stays_the_reason() -> None:
    """docs/serial.md §23a: `Error:Printer halted. kill() called!`, `//action:poweroff`, then silence."""
    desk = SessionRig().idle().print(CODES)
    desk.hear("Error:Printer halted. kill() called!", "//action:poweroff")
    assert desk.seen.reason == "Printer halted. kill() called!"


def test_a_prompt_is_what_is_waited_for_until_it_ends() -> None:
    """docs/serial.md §25a, §30: M0 gives prompt_… actions."""
    desk = SessionRig().idle().print(CODES)
    desk.hear(
        "//action:prompt_end",
        "//action:prompt_begin Nozzle Parked\x07",
        "//action:prompt_button Continue",
        "//action:prompt_show",
    )
    assert desk.seen.waiting == "the person at the printer: Nozzle Parked"
    desk.hear("//action:prompt_end")
    assert desk.seen.waiting == ""


@pytest.mark.parametrize("line", ["//action:notification Hello", "//action:", "//action:levitate", "// Klipper says"])
def test_other_actions_change_nothing(line: str) -> None:
    desk = SessionRig().idle().print(CODES)
    before = desk.seen
    desk.hear(line)
    assert desk.seen == before


def test_a_printer_that_paused_by_itself_may_take_as_long_as_a_person_does() -> None:
    """docs/serial.md §15, §25a, §30: nothing is asked and nothing fails, whether it keeps busy or not, until it goes
    on."""
    desk = SessionRig().idle().print(CODES)
    desk.take()
    desk.hear("//action:paused")
    for busy in (False, True):
        for _ in range(1000):
            if busy:
                desk.hear("echo:busy: paused for user")
            desk.later(2.0)
        assert not desk.numbering_replies
        assert not desk.written
        assert desk.seen.state is S.PAUSED
    assert desk.seen.waiting == "the person at the printer"
    desk.hear("//action:resumed")
    assert desk.session.due(desk.now) - desk.now < 60.0, "and from now on its ok is awaited again"
    desk.hear("ok")
    assert wire(2, CODES[1]) in desk.acknowledge(2), "after the poll that was due"


def test_a_cancel_ends_a_wait_for_a_person_where_the_firmware_hears_it() -> None:
    """docs/serial.md §23, §24: with an emergency parser M108 is read before anything else."""
    desk = SessionRig(caps=("EMERGENCY_PARSER",)).idle().print(CODES)
    desk.take()
    desk.hear("echo:busy: paused for user")
    desk.session.control.cancel()
    assert desk.take() == [b"M108"]

"""A reset, and whether the board was seen to begin anew."""

from __future__ import annotations

import pytest

from agent.core.driver import Outcome, PrinterState
from tests.rigs.session_rig import SessionRig

S = PrinterState


def reset(firmware: str = "Marlin 2.1.2", *, reset_line: bool = False, prints: bool = False) -> SessionRig:
    desk = SessionRig(firmware=firmware).idle()
    if prints:
        desk.print([b"G1 X1", b"G1 X2"])
    desk.take()
    desk.session.reset(desk.now, reset_line=reset_line)
    desk.session.step(desk.now)
    return desk


def test_what_runs_fails_and_the_banner_of_a_board_that_begins_anew_is_waited_for() -> None:
    """docs/serial.md §18, §20."""
    desk = reset(reset_line=True, prints=True)
    last = desk.seen.last
    assert last is not None
    assert (last.outcome, last.error) == (Outcome.FAILED, "the printer was reset")
    desk.hear("ok", "echo:noise")
    desk.later(2.9)
    assert desk.take() == [], "no hello before the board has had its time"
    desk.hear("start")
    desk.acknowledge()
    assert (desk.seen.state, desk.seen.reset_error) == (S.IDLE, "")


def test_a_board_that_does_not_begin_anew_in_time_has_its_port_opened_anew() -> None:
    """docs/serial.md §18: which resets many boards."""
    desk = reset(reset_line=True)
    desk.later(2.9)
    assert desk.session.over == ""
    desk.later(0.2)
    assert desk.session.over == "the printer was reset"


@pytest.mark.parametrize(
    ("firmware", "reset_line", "written", "why"),
    [
        (
            "Marlin 2.1.2",
            True,
            [],
            "the board did not restart when DTR was moved, and Marlin 2.1.2 has no command for it",
        ),
        ("Marlin 2.1.2", False, [], "the port has no reset line, and Marlin 2.1.2 has no command for it"),
        (
            "Klipper",
            False,
            [b"FIRMWARE_RESTART"],
            "the port has no reset line, and Klipper did not restart at FIRMWARE_RESTART",
        ),
    ],
)
def test_the_next_hello_says_why_nothing_was_reset(
    firmware: str, reset_line: bool, written: list[bytes], why: str
) -> None:
    desk = reset(firmware, reset_line=reset_line)
    assert desk.take() == written
    desk.later(3.1)
    assert desk.session.over
    again = SessionRig(firmware=firmware, resets=desk.resets).idle()
    assert again.seen.reset_error == f"nothing was reset: {why}"
    assert not desk.resets.pending


def test_smoothie_answers_its_restart_and_the_ok_of_a_line_before_is_no_answer() -> None:
    """docs/serial.md Dialects: `M999` is answered, whether there was something to restart or not."""
    desk = reset("Smoothieware, edge", prints=True)
    assert desk.take() == [b"M999"]
    desk.hear("ok")
    assert desk.take() == []
    desk.hear("ok")
    desk.acknowledge()
    assert (desk.seen.state, desk.seen.reset_error) == (S.IDLE, "")


def test_klipper_is_ready_after_its_restart() -> None:
    """docs/serial.md §k3: `Ready` alone will do, should `Disconnect` not have been heard."""
    desk = reset("Klipper")
    assert desk.take() == [b"FIRMWARE_RESTART"]
    desk.hear("ok")
    assert desk.take() == []
    desk.hear("// Klipper state: Ready")
    desk.acknowledge()
    assert (desk.seen.state, desk.seen.reset_error) == (S.IDLE, "")

"""A reset, and whether the board was seen to begin anew."""

from __future__ import annotations

import pytest

from agent.core.driver import Outcome, PrinterState
from tests.rigs.session_rig import SessionRig

S = PrinterState


def reset(firmware: str = "Marlin 2.1.2", *, reset_line: bool = False, prints: bool = False) -> SessionRig:
    rig = SessionRig(firmware=firmware).idle()
    if prints:
        rig.print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.session.reset(rig.now, reset_line=reset_line)
    rig.session.step(rig.now)
    return rig


def test_what_runs_fails_and_the_banner_of_a_board_that_begins_anew_is_waited_for() -> None:
    """docs/serial.md §18, §20."""
    rig = reset(reset_line=True, prints=True)
    last = rig.seen.last
    assert last is not None
    assert (last.outcome, last.error) == (Outcome.FAILED, "the printer was reset")
    rig.hear("ok", "echo:noise")
    rig.later(2.9)
    assert rig.take() == [], "no hello before the board has had its time"
    rig.hear("start")
    rig.acknowledge()
    assert (rig.seen.state, rig.seen.reset_error) == (S.IDLE, "")


def test_a_board_that_does_not_begin_anew_in_time_has_its_port_opened_anew() -> None:
    """docs/serial.md §18: which resets many boards."""
    rig = reset(reset_line=True)
    rig.later(2.9)
    assert rig.session.over == ""
    rig.later(0.2)
    assert rig.session.over == "the printer was reset"


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
    rig = reset(firmware, reset_line=reset_line)
    assert rig.take() == written
    rig.later(3.1)
    assert rig.session.over
    again = SessionRig(firmware=firmware, resets=rig.resets).idle()
    assert again.seen.reset_error == f"nothing was reset: {why}"
    assert not rig.resets.pending


def test_smoothie_answers_its_restart_and_the_ok_of_a_line_before_is_no_answer() -> None:
    """docs/serial.md Dialects: `M999` is answered, whether there was something to restart or not."""
    rig = reset("Smoothieware, edge", prints=True)
    assert rig.take() == [b"M999"]
    rig.hear("ok")
    assert rig.take() == []
    rig.hear("ok")
    rig.acknowledge()
    assert (rig.seen.state, rig.seen.reset_error) == (S.IDLE, "")


def test_klipper_is_ready_after_its_restart() -> None:
    """docs/serial.md §k3: `Ready` alone will do, should `Disconnect` not have been heard."""
    rig = reset("Klipper")
    assert rig.take() == [b"FIRMWARE_RESTART"]
    rig.hear("ok")
    assert rig.take() == []
    rig.hear("// Klipper state: Ready")
    rig.acknowledge()
    assert (rig.seen.state, rig.seen.reset_error) == (S.IDLE, "")

"""What reports and the heartbeat say of the time that is left, from the file's arrival to the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.core.driver import Outcome, PrinterState
from tests.rigs.runner_rig import RunnerRig

S = PrinterState
LINES = 1_000
"""Of a print here; each is a second by the file's own times."""


def timed(lines: int = LINES, speed: str = "") -> bytes:
    """A file with times in it, as CuraEngine writes them."""
    moves = "".join(f"G1 X{n % 90} Y{n * 7 % 80} E{n}\n;TIME_ELAPSED:{n}\n" for n in range(1, lines))
    return f"G28\n{speed};LAYER_CHANGE\n{moves}".encode()


def untimed() -> bytes:
    """The same without them, at 10 mm/s: 4 seconds a line."""
    return b"G28\nG1 F600\n;LAYER_CHANGE\n" + b"".join(b"G1 X%d E%d\n" % (n % 2 * 40, n) for n in range(1, LINES))


def data(rig: RunnerRig) -> dict[str, Any]:
    """`data` of the heartbeat."""
    found = msgspec.to_builtins(rig.board.read().body())["data"]
    assert isinstance(found, dict)
    return found


def prints(rig: RunnerRig, lines: range, seconds: float = 1.0, **changes: Any) -> None:
    """The printer acknowledges these lines, one each so many seconds."""
    for line in lines:
        rig.clock.advance(seconds)
        rig.printer.now(line=line, **changes)
        rig.runner.step()


def test_before_the_first_line_it_is_what_the_file_says(rig: RunnerRig) -> None:
    rig.printing(timed())
    assert (data(rig)["seconds_left"], data(rig)["seconds_left_from"]) == (999, "file")


def test_a_printer_that_is_slower_than_the_slicer_supposed_is_learned_and_reported(rig: RunnerRig) -> None:
    task_id = rig.printing(timed())
    prints(rig, range(1, 500), 1.5)
    assert data(rig)["seconds_left"] == pytest.approx(1.5 * 500, rel=0.03)
    reported = rig.said(task_id)[-1]["data"]
    assert reported["seconds_left"] == pytest.approx(1.5 * 500, rel=0.05)
    assert reported["seconds_left_from"] == "file"
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.end(task_id)["data"]["seconds_left"] == 0


def test_neither_heating_nor_a_pause_nor_a_person_who_is_waited_for_counts(rig: RunnerRig) -> None:
    rig.printing(timed())
    prints(rig, range(1, 300))
    before = data(rig)["seconds_left"]
    for changes in ({"waiting": "heating"}, {"state": S.PAUSED}, {"waiting": "the person at the printer"}):
        for _ in range(300):
            rig.clock.advance(1)
            rig.printer.now(**changes)
            rig.runner.step()
        rig.printer.now(state=S.PRINTING, waiting="")
        rig.runner.step()
    assert data(rig)["seconds_left"] == pytest.approx(before, abs=2)
    prints(rig, range(300, 350))
    assert data(rig)["seconds_left"] == pytest.approx(650, rel=0.02)


def test_the_speed_of_the_jobs_settings_counts_until_the_file_sets_its_own(rig: RunnerRig) -> None:
    rig.printing(timed(speed="G4 P1\n;LAYER_CHANGE\n"), settings={"speed_percent": 50})
    assert "M220 S50" in rig.printer.preamble
    assert 1.5 * 999 < data(rig)["seconds_left"] < 2.0 * 999


def test_a_file_that_sets_the_speed_itself_takes_it_back(rig: RunnerRig) -> None:
    rig.printing(timed(speed="M220 S100\n"), settings={"speed_percent": 50})
    assert data(rig)["seconds_left"] > 1_500
    prints(rig, range(1, 4))
    assert data(rig)["seconds_left"] == pytest.approx(998, abs=5)


def test_without_times_the_moves_tell(rig: RunnerRig) -> None:
    rig.printing(untimed())
    assert data(rig)["seconds_left_from"] == "moves"
    assert data(rig)["seconds_left"] == pytest.approx(4 * LINES, rel=0.05)
    prints(rig, range(1, 500), 6.0)
    assert data(rig)["seconds_left"] == pytest.approx(6 * 500, rel=0.03)


def test_without_moves_the_time_that_passed_tells(rig: RunnerRig) -> None:
    rig.printing(b"G28\n" + b"M106 S50\n" * 99)
    assert "seconds_left" not in data(rig)
    prints(rig, range(1, 51), 2.0)
    assert data(rig)["seconds_left_from"] == "elapsed"
    assert data(rig)["seconds_left"] == pytest.approx(100, abs=3)


def test_the_next_agent_goes_on_with_what_the_print_has_shown(rig: RunnerRig) -> None:
    task_id = rig.printing(timed())
    rig.store.checkpoints.remember(task_id, b"memory")
    prints(rig, range(1, 500), 2.0)
    rig.clock.advance(10)
    rig.runner.step()
    before = data(rig)["seconds_left"]
    again = RunnerRig(rig.jobs.parent, rig.store)
    again.runner.step()
    assert again.woken.wait(5)  # the file was looked at
    again.runner.step()
    again.printer.now(state=S.PRINTING, line=499, reason="")
    again.runner.step()
    assert data(again)["seconds_left"] == pytest.approx(before, rel=0.02)
    prints(again, range(500, 520), 2.0)
    assert data(again)["seconds_left"] == pytest.approx(2 * 480, rel=0.03)

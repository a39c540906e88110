"""Time left, from the scan to what is said, beside the true times of a simulated printer (`make bench-estimate`)."""

from __future__ import annotations

import pytest

from benchmarks.estimate import GOALS, Print, mean, prints
from benchmarks.estimate_files import files
from benchmarks.estimate_truth import MACHINES, run

SOME = (
    "PrusaSlicer, cube",
    "CuraEngine, cube",
    "in Orca's manner, disc",
    "CuraEngine, cube, the total alone",
    "Slic3r, cube",
    "PrusaSlicer, demo, without times",
)


@pytest.fixture(scope="module")
def printed() -> list[Print]:
    """Some of the files, printed at both speeds by a printer that no slicer supposed."""
    return prints([file for file in files() if file.name in SOME], MACHINES[:1])


@pytest.mark.parametrize(("timed", "speed"), GOALS)
def test_what_is_said_to_be_left_is_near_to_what_is_left(printed: list[Print], timed: bool, speed: int) -> None:
    """The bed slinger is slower than all slicers suppose, so its goals are half as far again here."""
    group = [one for one in printed if (one.file.timed, one.speed) == (timed, speed)]
    assert len(group) >= 2
    errors = [error for one in group for error in one.errors("agent")]
    assert len(errors) == 3 * len(group)
    assert mean(errors) <= 1.5 * GOALS[timed, speed]


def test_the_true_times_are_those_of_a_planner() -> None:
    """From rest to rest over 100 mm at 100 mm/s with 500 mm/s²: 1 s, and 0.2 s for each ramp's loss in all."""
    machine = MACHINES[0]
    alone = run(["G1 X100 F6000"], machine)
    assert alone.end == pytest.approx(1.2)
    assert run(["G1 X50 F6000", "G1 X100"], machine).end == pytest.approx(1.2)
    assert run(["G1 X50 F6000", "G1 Y50 X50"], machine).end > 1.35
    assert run(["G1 X100 F6000"], machine, 50).end == pytest.approx(2.1)
    heated = run(["M109 S200", "G28", "G1 X100 F6000", "M109 S0"], machine)
    assert heated.printed(heated.end) == pytest.approx(18 + 1.2)
    assert heated.heats(1.0)
    assert heated.when(0.5) == pytest.approx(heated.end - 9.6, abs=0.01)

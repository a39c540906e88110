"""A slice of `python -m tests.bench.torture`: nothing lost, nothing twice, whatever breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.fulldisk import full_disk, why_not
from tests.bench.kills import torture
from tests.bench.points import points
from tests.bench.storms import storm, week
from tests.bench.writes import writes


def test_kill_9_at_any_instant_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    found = torture(tmp_path, kills=6, printing=2, seed=7, say=lambda _: None)
    assert found["while_printing"] == 2


@pytest.mark.parametrize("number", [2, 5, 11, 17])
def test_a_kill_before_and_after_a_commit_leaves_each_task_with_one_end(tmp_path: Path, number: int) -> None:
    """2 is the identity's commit, the others are somewhere in the tasks' lives."""
    assert points(tmp_path, [number])["kills"] == 2


def test_a_stormy_api_gets_all_reports_in_order_with_a_bounded_queue(tmp_path: Path) -> None:
    found = storm(tmp_path, hours=1.5, seed=7)
    assert set(found["faults"]) >= {"429", "500", "503", "reset", "reset after", "cut"}


def test_all_is_there_within_a_minute_after_a_long_absence(tmp_path: Path) -> None:
    assert week(tmp_path, days=0.3)["reports"] == 9


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible")
def test_a_print_and_its_reports_survive_a_full_state_folder(tmp_path: Path) -> None:
    assert full_disk(tmp_path)["starts_on_a_full_disk"] == 2


def test_the_disk_is_written_to_once_a_second_at_most_while_printing_and_hardly_while_idle(tmp_path: Path) -> None:
    assert writes(tmp_path, printing=6.0, idle=4.0)["commits_a_minute_idle"] == 0

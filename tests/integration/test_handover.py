"""A slice of `python -m benchmarks.driver_kills`: kill -9 while printing, and no line is lost or done twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.driver_kills import SCENARIOS, tear
from benchmarks.driver_kills_world import Scenario

KILLS = {"repetier": 1, "a bad cable, a window": 2, "cancels": 2}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_kill_9_in_the_middle_of_a_print(tmp_path: Path, scenario: Scenario) -> None:
    tear(tmp_path, scenario, KILLS.get(scenario.name, 2), random.Random(scenario.name))

"""Whose heat it is that is on while nothing runs."""

from __future__ import annotations

import pytest

from agent.core.driver import Heater
from agent.core.left_heat import LeftHeat, targets

SETTLE = 5.0


def heaters(tool: float = 0.0, bed: float = 0.0) -> tuple[Heater, ...]:
    return Heater("tool0", 180.0, tool), Heater("bed", 55.0, bed)


def ended(tool: float = 0.0, bed: float = 0.0) -> LeftHeat:
    """After an operation that ended at 100 s, with what was reported last."""
    left = LeftHeat(left=False, settle_s=SETTLE)
    left.run()
    left.idle(heaters(tool, bed), 100.0)
    return left


def test_what_is_on_by_its_target_not_by_its_temperature() -> None:
    assert targets(heaters(0.0, 60.0)) == {"bed": 60.0}


@pytest.mark.parametrize(
    ("at_the_end", "then", "at", "left"),
    [
        ((210.0, 60.0), (210.0, 60.0), 102.0, True),
        ((210.0, 60.0), (210.0, 60.0), 3600.0, True),
        ((210.0, 60.0), (0.0, 0.0), 102.0, True),  # a reading may be older than the end
        ((210.0, 60.0), (0.0, 0.0), 105.0, False),
        ((210.0, 60.0), (0.0, 60.0), 130.0, True),
        ((0.0, 0.0), (0.0, 0.0), 105.0, False),
        ((0.0, 0.0), (210.0, 60.0), 104.0, True),  # the last reading of the operation's doing
        ((0.0, 60.0), (200.0, 60.0), 130.0, False),
        ((210.0, 60.0), (180.0, 60.0), 130.0, False),
        ((210.0, 60.0), (210.0, 0.0), 130.0, True),
    ],
    ids=[
        "as it was",
        "as it was an hour ago",
        "off, perhaps as it was before",
        "off",
        "one of two off",
        "cold",
        "heard of late",
        "somebody heats the nozzle",
        "somebody sets it lower",
        "somebody switches the bed off",
    ],
)
def test_heat_is_left_until_it_is_off_or_somebody_sets_a_heater(
    at_the_end: tuple[float, float], then: tuple[float, float], at: float, left: bool
) -> None:
    heat = ended(*at_the_end)
    heat.idle(heaters(*then), at)
    assert heat.left is left


def test_heat_that_was_on_before_any_operation_is_nobodys_of_ours() -> None:
    heat = LeftHeat(left=False, settle_s=SETTLE)
    heat.idle(heaters(200.0), 1.0)
    heat.idle(heaters(200.0), 100.0)
    assert not heat.left


def test_an_operation_makes_a_persons_heat_its_own() -> None:
    heat = ended(0.0, 60.0)
    heat.idle(heaters(200.0, 60.0), 130.0)
    assert not heat.left
    heat.run()
    heat.idle(heaters(200.0, 60.0), 200.0)
    heat.idle(heaters(200.0, 60.0), 300.0)
    assert heat.left

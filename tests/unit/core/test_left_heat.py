"""Whose heat it is that is on while nothing runs."""

from __future__ import annotations

import pytest

from agent.core.driver import Heater
from agent.core.left_heat import LeftHeat, targets


def heaters(tool: float = 0.0, bed: float = 0.0) -> tuple[Heater, ...]:
    return Heater("tool0", 180.0, tool), Heater("bed", 55.0, bed)


def ended(tool: float = 0.0, bed: float = 0.0) -> LeftHeat:
    """After an operation, with the first report since its end."""
    left = LeftHeat(left=False)
    left.run()
    left.idle(heaters(tool, bed))
    return left


def test_what_is_on_by_its_target_not_by_its_temperature() -> None:
    assert targets(heaters(0.0, 60.0)) == {"bed": 60.0}


@pytest.mark.parametrize(
    ("at_the_end", "then", "left"),
    [
        ((210.0, 60.0), (210.0, 60.0), True),
        ((210.0, 60.0), (0.0, 0.0), False),
        ((210.0, 60.0), (0.0, 60.0), True),
        ((0.0, 0.0), (0.0, 0.0), False),
        ((0.0, 0.0), (210.0, 60.0), False),
        ((0.0, 60.0), (200.0, 60.0), False),
        ((210.0, 60.0), (180.0, 60.0), False),
        ((210.0, 60.0), (210.0, 0.0), True),
    ],
    ids=[
        "as it was",
        "off",
        "one of two off",
        "cold",
        "somebody preheats",
        "somebody heats the nozzle",
        "somebody sets it lower",
        "somebody switches the bed off",
    ],
)
def test_heat_is_left_until_it_is_off_or_somebody_sets_a_heater(
    at_the_end: tuple[float, float], then: tuple[float, float], left: bool
) -> None:
    heat = ended(*at_the_end)
    heat.idle(heaters(*then))
    assert heat.left is left


def test_what_an_operation_has_just_switched_on_is_no_persons() -> None:
    heat = LeftHeat(left=False)
    heat.idle(heaters())
    heat.run()
    heat.idle(heaters(210.0, 60.0))
    assert heat.left


def test_heat_that_was_on_before_any_operation_is_nobodys_of_ours() -> None:
    heat = LeftHeat(left=False)
    heat.idle(heaters(200.0))
    heat.idle(heaters(200.0))
    assert not heat.left


def test_an_operation_makes_a_persons_heat_its_own() -> None:
    heat = ended(0.0, 60.0)
    heat.idle(heaters(200.0, 60.0))
    assert not heat.left
    heat.run()
    heat.idle(heaters(200.0, 60.0))
    heat.idle(heaters(200.0, 60.0))
    assert heat.left

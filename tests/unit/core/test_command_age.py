"""The age at which a command is not done any more."""

from __future__ import annotations

import pytest

from agent.core.command import Command, Name
from agent.core.command_age import AgeLimits

LIMITS = AgeLimits(other=86400.0, start=600.0)


def command(name: Name, job_id: str = "") -> Command:
    return Command(task_id="t", name=name, raw_name=str(name), job_id=job_id)


@pytest.mark.parametrize(
    ("limits", "name", "age", "said"),
    [
        (LIMITS, Name.PRINT_DATA, 600.0, ""),
        (LIMITS, Name.PRINT_DATA, 601.0, "print_data: too old to be done, it was sent 10 minutes ago"),
        (LIMITS, Name.PRINT_DATA, 7200.0, "it was sent 2.0 hours ago ([job] start_within_s)"),
        (LIMITS, Name.HOME, 7200.0, ""),
        (LIMITS, Name.HOME, 90_000.0, "it was sent 25.0 hours ago ([job] max_age_s)"),
        (AgeLimits(other=60.0, start=600.0), Name.PRINT_DATA, 61.0, "([job] max_age_s)"),
    ],
)
def test_a_start_has_an_age_of_its_own(limits: AgeLimits, name: Name, age: float, said: str) -> None:
    objection = limits.objection(command(name), age)
    assert said in objection
    assert bool(objection) == bool(said)


def test_a_reboot_ends_a_start_however_young_the_wall_clock_makes_it() -> None:
    assert "started anew" in LIMITS.objection(command(Name.PRINT_DATA), 0.0, rebooted=True)
    assert LIMITS.objection(command(Name.HOME), 0.0, rebooted=True) == ""


@pytest.mark.parametrize(
    ("name", "job_id", "refused"),
    [
        (Name.PRINT_DATA, "j", True),
        (Name.DISMISS, "", True),
        (Name.DISMISS, "j", False),
        (Name.CANCEL, "", False),
        (Name.HOME, "", False),
    ],
)
def test_what_was_missed_and_has_no_date_is_refused_where_it_is_for_this_moment(
    name: Name, job_id: str, refused: bool
) -> None:
    assert bool(LIMITS.missed(command(name, job_id), None)) is refused
    assert LIMITS.missed(command(name, job_id), 3.0) == ""

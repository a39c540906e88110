"""The table of commands is closed and agrees with what else knows its names."""

from __future__ import annotations

from typing import get_args

import pytest

from agent.gcode import Limits
from agent.gcode.command_check import judge
from agent.gcode.command_policy import DIALECTS, GENERIC, GROUPS, LINE_SIZES, NAMES, NEVER, POLICIES
from agent.service.config_schema import CommandGroup
from drivers.gcode.printing import dialects


def test_the_firmwares_are_those_that_the_driver_tells_apart() -> None:
    assert {*DIALECTS, GENERIC} == {dialect.name for dialect in dialects.DIALECTS}


def test_a_line_may_be_as_long_as_the_driver_sends_it() -> None:
    assert {
        dialect.name: dialect.line_size - 1 for dialect in dialects.DIALECTS if dialect.name != GENERIC
    } == LINE_SIZES


def test_the_groups_are_those_of_the_configuration() -> None:
    assert set(get_args(CommandGroup)) == set(GROUPS)


def test_each_rule_belongs_to_a_group_that_exists_and_says_what_the_command_does() -> None:
    for rule in [*(rule for policy in POLICIES.values() for rule in policy.values()), *NAMES.values()]:
        assert not rule.group or (rule.group in (*GROUPS, NEVER) and rule.does)
        assert not (rule.heats and rule.text)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_group_that_is_allowed_lets_its_commands_through(dialect: str, group: str) -> None:
    for command, rule in POLICIES[dialect].items():
        if rule.group == group:
            line = command.encode() + (f" {rule.only[0]}1".encode() if rule.only else b" S0")
            assert group in judge(line, Limits(), dialect)[0]
            assert judge(line, Limits(allow=(group,)), dialect)[0] == ""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_allowed_group_does_not_lift_the_limits_of_temperature(dialect: str) -> None:
    everything = Limits(allow=tuple(GROUPS))
    for line in (b"M104 S450", b"M140 S450", b"G10 P0 S450", b"G28 M190 S450"):
        assert (
            "asks for 450" in judge(line, everything, dialect)[0]
            or "cannot be checked" in judge(line, everything, dialect)[0]
        )
    assert "M112" in judge(b"M112", everything, dialect)[0]

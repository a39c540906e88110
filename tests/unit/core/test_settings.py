"""Settings: a closed table between what a member asks for and the G-code that the printer gets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.settings import KNOWN, check, gcode

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.mark.parametrize(("name", "low", "high"), [("speed_percent", 10, 500), ("flow_percent", 50, 200)])
def test_a_setting_is_taken_within_its_limits_and_not_beyond(name: str, low: int, high: int) -> None:
    for good in (low, 100, high):
        assert check({name: good}) == []
    for bad in (low - 1, high + 1, -100, "100", 100.0, True, None, [100], float("nan")):
        with pytest.raises(ValueError, match=f"settings: {name}: expected {low} to {high}, got"):
            check({name: bad})


def test_known_settings_become_their_g_code() -> None:
    assert gcode({"speed_percent": 120, "flow_percent": 95, "colour": "red"}) == ["M220 S120", "M221 S95"]
    assert gcode({}) == []


def test_unknown_names_are_given_back_in_order() -> None:
    assert check({"b": 1, "speed_percent": 100, "a": 2}) == ["a", "b"]


@given(st.dictionaries(st.sampled_from([*KNOWN, "x\nM112"]) | st.text(), values))
def test_nothing_from_the_network_becomes_g_code_but_through_the_table(settings: dict[str, Any]) -> None:
    try:
        check(settings)
    except ValueError:
        return
    assert all(re.fullmatch(r"M22[01] S\d{2,3}", line) for line in gcode(settings))

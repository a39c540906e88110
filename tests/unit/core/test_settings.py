"""Settings: a closed table between what a member asks for and the G-code that the printer gets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.settings import ALWAYS, JOB_NAME, KNOWN, SAVE, check, kept, listed, require_groups
from agent.core.settings_dialects import WAYS, lines_for

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.mark.parametrize(("name", "low", "high"), [("speed_percent", 10, 500), ("flow_percent", 50, 200)])
def test_a_setting_is_taken_within_its_limits_and_not_beyond(name: str, low: int, high: int) -> None:
    for good in (low, 100, high):
        assert check({name: good}) == []
    for bad in (low - 1, high + 1, -100, "100", 100.0, True, None, [100], float("nan")):
        with pytest.raises(ValueError, match=f"settings: {name}: expected {low} to {high}, got"):
            check({name: bad})


@pytest.mark.parametrize("name", [name for name, setting in KNOWN.items() if not setting.whole])
def test_a_setting_that_is_no_percentage_takes_fractions_or_is_a_switch(name: str) -> None:
    setting = KNOWN[name]
    good: tuple[object, ...] = (
        (True, False) if setting.switch else (setting.low, setting.high, (setting.low + setting.high) / 2)
    )
    for value in good:
        assert check({name: value}) == []
    bad: tuple[object, ...] = (0, 1, "true") if setting.switch else (setting.low - 1, setting.high + 1, True, 1e400)
    for value in (*bad, None, "1", [1], float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"settings: {name}: expected .*, got"):
            check({name: value})


def test_unknown_names_are_given_back_in_order_and_the_jobs_name_is_none_of_them() -> None:
    assert check({"b": 1, "speed_percent": 100, "a": 2, JOB_NAME: "cube", SAVE: True}) == ["a", "b"]


def test_what_only_the_owner_may_allow_is_refused_by_name() -> None:
    for settings in ({"nozzle_pid_p": 20}, {"bed_pid_d": 1}, {SAVE: True}):
        with pytest.raises(ValueError, match=rf"{next(iter(settings))}: only where \[job\] allow has"):
            require_groups(settings, ())
        require_groups(settings, ("guards", "eeprom"))
    require_groups({"speed_percent": 100, SAVE: False}, ())
    with pytest.raises(ValueError, match="save: expected true or false"):
        require_groups({SAVE: 1}, ("eeprom",))


def test_what_is_done_once_is_not_kept() -> None:
    assert kept({"babystep_z": 0.05, "jerk_x": 8, "colour": 1}) == {"jerk_x": 8}


def test_names_from_outside_are_listed_without_control_characters_and_not_without_end() -> None:
    assert listed(["a\x1b[2J", "b"]) == "a\\x1b[2J, b"
    assert listed([str(n) for n in range(20)]).endswith("6, 7 and 12 more")
    assert len(listed(["x" * 1000] * 100)) < 400


def test_what_is_put_before_each_print_has_a_default() -> None:
    assert all(KNOWN[name].default == 100 for name in ALWAYS)


@given(st.dictionaries(st.sampled_from([*KNOWN, "x\nM112"]) | st.text(), values), st.sampled_from([*WAYS, "", "x"]))
def test_nothing_from_the_network_becomes_g_code_but_through_the_table(settings: dict[str, Any], dialect: str) -> None:
    try:
        check(settings)
    except ValueError:
        return
    number = r"-?[0-9]{1,6}(\.[0-9]{1,5})?"
    for line in lines_for(dialect, settings):
        assert re.fullmatch(rf"[A-Z][A-Za-z0-9_ =]*{number}|BED_MESH_CLEAR|BED_MESH_PROFILE LOAD=default", line), line
        assert len(line) < 90

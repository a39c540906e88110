"""Which firmware a driver talks to, where it says the head is, and which driver a name means."""

from __future__ import annotations

import pytest

import drivers
from agent.core.driver import Driver
from agent.errors import ConfigError
from agent.testing import SystemClock
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.printing.dialects import by_name, identify
from drivers.gcode.printing.head_position import position_in
from drivers.settings import DriverSettings


def test_the_firmware_is_known_by_its_answer() -> None:
    """docs/serial.md §19: name, machine, capabilities."""
    firmware = identify(
        ["FIRMWARE_NAME:Marlin 2.1.2 (Dec 1 2022 00:00:00) SOURCE_CODE_URL:x MACHINE_TYPE:Ender 3 UUID:1"],
        frozenset({"EMERGENCY_PARSER"}),
        None,
    )
    assert firmware.name == "Marlin 2.1.2 (Dec 1 2022 00:00:00)"
    assert firmware.machine == "Ender 3"
    assert firmware.dialect.name == "marlin"
    assert firmware.emergency
    assert not firmware.autoreport
    assert identify([], frozenset(), None).dialect.name == "generic"
    assert identify([], frozenset(), by_name("marlin")).dialect.name == "marlin"


def test_a_position_is_read_before_the_steppers_counts() -> None:
    position = position_in(["echo:x", "X:1.50 Y:-2.00 Z:0.30 E:12.00 Count X:120 Y:3 Z:4"])
    assert position is not None
    assert (position.x, position.y, position.z, position.e) == (1.5, -2.0, 0.3, 12.0)
    assert position_in(["ok"]) is None
    assert position_in([f"X:{'9' * 400} Y:0.00 Z:0.00 E:0.00"]) is None, "no number that a move could have"
    assert position_in(["X:\u0661.00 Y:0.00 Z:0.00 E:0.00"]) is None


def test_a_driver_is_loaded_by_name_and_an_unknown_one_is_an_error_that_lists_the_known() -> None:
    assert drivers.load("gcode") is GcodeDriver
    driver = drivers.load("gcode")(DriverSettings(), clock=SystemClock())
    assert isinstance(driver, Driver)
    driver.close()
    with pytest.raises(ConfigError, match="gcode, simulated"):
        drivers.load("nothing")


@pytest.mark.parametrize(
    "settings", [DriverSettings(dialect="esperanto"), DriverSettings(window=0), DriverSettings(window=17)]
)
def test_settings_that_cannot_be_are_refused_when_the_driver_is_made(settings: DriverSettings) -> None:
    with pytest.raises(ConfigError, match=r"dialect|window"):
        GcodeDriver(settings, clock=SystemClock())

"""Drivers by name, and the `[driver]` table of a driver with settings of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Literal

import msgspec
import pytest

import drivers
from agent.core.clock import Clock
from agent.core.driver import Driver
from agent.errors import ConfigError
from agent.testing import SystemClock
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings
from drivers.simulated.driver import SimulatedDriver
from tests.support.driver import SlotDriver


class Nozzle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    diameter_mm: float = 0.4


class InkSettings(msgspec.Struct, frozen=True):
    host: str
    tcp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 23
    flavour: Literal["marlin", "smoothie"] = "marlin"
    nozzle: Nozzle = Nozzle()


class InkDriver(SlotDriver):
    Settings = InkSettings

    def __init__(self, settings: DriverSettings, *, clock: Clock, own: InkSettings) -> None:
        super().__init__()
        self.own = own


def ink(settings: DriverSettings, *, clock: Clock) -> Driver:
    """A factory that is no class."""
    return SlotDriver()


def test_the_table_becomes_the_drivers_own_struct() -> None:
    own = drivers.own_settings(InkDriver, {"host": "10.0.0.9", "nozzle": {"diameter_mm": 1}})
    assert own == InkSettings(host="10.0.0.9", nozzle=Nozzle(diameter_mm=1.0))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "driver.host: missing; expected a value"),
        ({"host": 7}, "driver.host: expected str, got int"),
        ({"host": "h", "tcp_port": "23"}, "driver.tcp_port: expected int, got str"),
        ({"host": "h", "tcp_port": 0}, "driver.tcp_port: expected int >= 1"),
        (
            {"host": "h", "flavour": "klingon"},
            "driver.flavour: invalid enum value 'klingon'; expected marlin or smoothie",
        ),
        ({"host": "h", "hots": 1}, "driver.hots: unknown key; expected host, tcp_port, flavour, nozzle"),
        ({"host": "h", "nozzle": 1}, "driver.nozzle: expected table, got int"),
        ({"host": "h", "nozzle": {"diameter": 1}}, "driver.nozzle.diameter: unknown key"),
    ],
)
def test_what_the_struct_does_not_take_is_an_error_that_names_the_key_and_what_is_expected(
    table: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        drivers.own_settings(InkDriver, table)
    assert str(caught.value) == message


@pytest.mark.parametrize("without", [GcodeDriver, SimulatedDriver, ink])
def test_a_driver_without_settings_of_its_own_refuses_a_table(without: drivers.DriverFactory) -> None:
    assert drivers.own_settings(without, {}) is None
    with pytest.raises(ConfigError, match=r"^driver\.host: unknown key; expected no \[driver\] table"):
        drivers.own_settings(without, {"host": "h"})


def test_create_refuses_a_table_that_the_named_driver_does_not_take() -> None:
    assert isinstance(drivers.create("gcode", DriverSettings(), clock=SystemClock()), GcodeDriver)
    with pytest.raises(ConfigError, match=r"driver\.host"):
        drivers.create("gcode", DriverSettings(own={"host": "h"}), clock=SystemClock())


def test_a_driver_of_ours_is_found_without_the_metadata_of_all_that_is_installed() -> None:
    """Reading it takes a board's card a while at each start."""
    code = "import sys, drivers; drivers.load('gcode'); print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"

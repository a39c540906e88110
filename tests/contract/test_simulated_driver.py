"""The contract, kept by the driver `simulated`, and its own configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import drivers
from agent.errors import ConfigError
from drivers.settings import DriverSettings, SimulatedSettings
from drivers.simulated.driver import SimulatedDriver
from tests.contract.driver_contract import Clock, DriverContract, Rig, Setup
from tests.contract.test_gcode_driver import QUICK


class TestSimulatedDriver(DriverContract):
    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        if not setup.present:
            pytest.skip("this printer is always there")
        executed: list[bytes] = []
        simulated = SimulatedSettings(speed=setup.speed, faults=setup.faults)
        settings = DriverSettings(scripts=setup.scripts, simulated=simulated)
        driver = SimulatedDriver(settings, clock=Clock(), timing=QUICK, on_line=executed.append)
        try:
            yield Rig(driver, executed, lambda: None)
        finally:
            driver.close()


def test_it_is_known_by_name() -> None:
    assert drivers.load("simulated") is SimulatedDriver


def test_a_fault_that_does_not_exist_is_an_error_of_the_configuration() -> None:
    settings = DriverSettings(simulated=SimulatedSettings(faults=("gremlins",)))
    with pytest.raises(ConfigError, match=r"\[simulated\].*gremlins"):
        SimulatedDriver(settings, clock=Clock())

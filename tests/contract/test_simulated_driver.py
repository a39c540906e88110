"""The contract, kept by the driver `simulated`, and its own configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest

import drivers
from agent.core.driver import Outcome, PrinterState
from agent.errors import ConfigError
from agent.testing import Lines, Rig, Setup, SystemClock, moves
from agent.testing.serial_driver_contract import SerialDriverContract
from drivers.settings import DriverSettings, SimulatedSettings
from drivers.simulated.driver import SimulatedDriver
from tests.rigs.driver_rig import QUICK
from tests.support.handover import Kept, Memories

FAST = DriverSettings(simulated=SimulatedSettings(speed=inf))


class TestSimulatedDriver(SerialDriverContract):
    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        if not setup.present:
            pytest.skip("this printer is always there")
        if setup.probe_points:
            pytest.skip("this printer has no probe")
        executed: list[bytes] = []
        simulated = SimulatedSettings(speed=setup.speed, faults=setup.faults)
        settings = DriverSettings(scripts=setup.scripts, simulated=simulated)
        driver = SimulatedDriver(settings, clock=SystemClock(), timing=QUICK, on_line=executed.append)
        try:
            yield Rig(driver, executed, lambda: None)
        finally:
            driver.close()


def test_it_is_known_by_name() -> None:
    assert drivers.load("simulated") is SimulatedDriver


def test_a_fault_that_does_not_exist_is_an_error_of_the_configuration() -> None:
    settings = DriverSettings(simulated=SimulatedSettings(faults=("gremlins",)))
    with pytest.raises(ConfigError, match=r"\[simulated\].*gremlins"):
        SimulatedDriver(settings, clock=SystemClock())


def test_a_print_ends_with_the_process_that_its_printer_lives_in() -> None:
    """The next agent finds another printer, and says so."""
    memories = Memories(Kept())
    source = Lines(moves(3000))
    first, second = (SimulatedDriver(FAST, clock=SystemClock(), timing=QUICK) for _ in range(2))
    rig = Rig(first, [], lambda: None)
    first.open(memories.host(rig.wake))
    rig.until(lambda t: t.state is PrinterState.IDLE)
    first.start_print("p", source)
    rig.until_line(50)
    first.close(hand_over=True)
    rig = Rig(second, [], lambda: None)
    second.open(memories.host(rig.wake), memories.unfinished("p", source, 50))
    try:
        last = rig.ended("p").last
        assert last is not None
        assert (last.outcome, last.error) == (Outcome.FAILED, "the printer restarted: its position is lost")
        rig.until(lambda t: t.state is PrinterState.IDLE)
    finally:
        second.close()
    assert memories.keeper.take() is None

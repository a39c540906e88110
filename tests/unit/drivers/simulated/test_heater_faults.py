"""Heaters of the simulated printer that break, and sensors."""

from __future__ import annotations

import math

import pytest

from drivers.simulated.heater import OPEN_READS, SHORT_READS, SimulatedHeater
from drivers.simulated.heater_fault import HeaterBreak, HeaterPhase, PlannedHeaterFault, parse_heater_fault


def broken(kind: str, phase: str) -> SimulatedHeater:
    heater = SimulatedHeater(20.0, rise=3.0, tau=150.0, highest=300.0)
    heater.fault = PlannedHeaterFault("tool0", HeaterBreak(kind), HeaterPhase(phase))
    return heater


def at_200(kind: str, phase: str = "holding") -> SimulatedHeater:
    """Broken at 100 s, at 200 °C."""
    heater = broken(kind, phase)
    heater.set_target(0.0, 200.0)
    assert heater.look(100.0) == ""
    return heater


@pytest.mark.parametrize(
    ("phase", "targets", "before", "after"),
    [
        ("heating", ((0.0, 200.0),), 5.0, 30.0),
        ("holding", ((0.0, 200.0),), 30.0, 100.0),
        ("cooling", ((0.0, 200.0), (120.0, 100.0)), 110.0, 125.0),
        ("off", ((0.0, 200.0), (120.0, 0.0)), 110.0, 121.0),
    ],
)
def test_a_heater_breaks_in_its_phase(
    phase: str, targets: tuple[tuple[float, float], ...], before: float, after: float
) -> None:
    """docs/serial.md §22a."""
    heater = broken("dead", phase)
    fault = heater.fault
    assert fault is not None
    for at, target in targets:
        if at <= before:
            heater.set_target(at, target)
    heater.look(before)
    assert fault.began is None
    for at, target in targets:
        if at > before:
            heater.set_target(at, target)
    heater.look(after)
    assert fault.began == after


def test_a_dead_heater_cools_whatever_its_target_is() -> None:
    heater = at_200("dead")
    assert heater.at(100.0) == pytest.approx(200.0)
    assert heater.at(250.0) == pytest.approx(20 + 180 / math.e)
    heater.set_target(250.0, 250.0)
    assert heater.at(400.0) < 50


def test_a_transistor_that_conducts_heats_whatever_the_target_is() -> None:
    heater = at_200("stuck")
    heater.set_target(101.0, 0.0)
    assert heater.at(160.0) > 250
    assert heater.power(160.0) == 0


def test_a_sensor_that_has_fallen_off_shows_the_air_and_the_heater_goes_on() -> None:
    heater = at_200("fallen")
    assert heater.at(140.0) == pytest.approx(20.0, abs=2.0)
    assert heater.power(140.0) == 127
    heater.set_target(140.0, 0.0)
    assert heater.at(141.0) == pytest.approx(20.0, abs=2.0)


@pytest.mark.parametrize(("kind", "reads"), [("open", OPEN_READS), ("short", SHORT_READS)])
def test_a_sensor_with_a_broken_wire_reads_the_end_of_its_range(kind: str, reads: float) -> None:
    assert at_200(kind).at(101.0) == reads


def test_a_silent_sensor_reads_no_number() -> None:
    assert math.isnan(at_200("silent").at(101.0))


@pytest.mark.parametrize(
    ("kind", "phase", "at", "stopped_for"),
    [
        ("dead", "holding", 141.0, "thermal-runaway"),
        ("dead", "holding", 120.0, ""),
        ("fallen", "holding", 141.0, "thermal-runaway"),
        ("open", "holding", 101.0, "mintemp"),
        ("stuck", "holding", 101.0, ""),
        ("stuck", "holding", 400.0, "thermal-runaway"),
    ],
)
def test_the_firmware_s_own_protection_looks_at_it(kind: str, phase: str, at: float, stopped_for: str) -> None:
    """docs/serial.md §22a."""
    assert at_200(kind, phase).look(at) == stopped_for


@pytest.mark.parametrize("text", ["", "tool0", "tool7:dead:off", "bed:tired:off", "bed:dead:often", "bed:dead"])
def test_a_spec_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_heater_fault(text)

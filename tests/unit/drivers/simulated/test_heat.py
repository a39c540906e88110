"""Heating, cooling and waiting for them, in virtual time: docs/serial.md §15, §22, §24."""

from __future__ import annotations

import re

import pytest

from drivers.simulated.heater import FULL_POWER, SimulatedHeater
from tests.unit.drivers.simulated.support import Host


def _heater() -> SimulatedHeater:
    return SimulatedHeater(20.0, rise=3.0, tau=150.0, highest=300.0)


def test_a_heater_warms_at_full_power_until_its_target_and_stays_there() -> None:
    heater = _heater()
    heater.set_target(0.0, 200.0)
    temperatures = [heater.at(float(t)) for t in range(0, 300, 5)]
    assert temperatures == sorted(temperatures)
    assert temperatures[0] == 20.0
    assert temperatures[-1] == 200.0
    assert heater.at(1.0) == pytest.approx(23.0, abs=0.1)
    assert heater.power(1.0) == FULL_POWER
    assert 0 < heater.power(300.0) < FULL_POWER


def test_a_heater_that_is_off_cools_to_the_ambient_temperature_and_not_below() -> None:
    heater = _heater()
    heater.set_target(0.0, 200.0)
    heater.set_target(300.0, 0.0)
    assert heater.power(301.0) == 0
    assert 20.0 < heater.at(450.0) < 100.0
    assert heater.at(1e6) == pytest.approx(20.0)


def test_a_heater_does_not_depend_on_how_often_it_is_looked_at() -> None:
    often, seldom = _heater(), _heater()
    for heater in (often, seldom):
        heater.set_target(0.0, 250.0)
    for step in range(1000):
        often.at(step / 10)
    assert often.at(100.0) == seldom.at(100.0)


def test_a_target_above_the_highest_is_clamped() -> None:
    host = Host(nozzle_max=260.0)
    host.send("M104 S999")
    assert " /260.00 " in host.send("M105")[0]


def test_m109_reports_each_second_and_counts_down_at_the_target() -> None:
    """docs/serial.md §22: `W:?` while heating, then the seconds left."""
    host = Host(host_prompts=False)
    assert re.fullmatch(r" T:21\.00 /50\.00 B:21\.00 /0\.00 @:127 B@:0 W:\?", host.send("M109 S50")[0])
    said = host.wait(60.0)
    assert said[-1] == "ok"
    waits = [line.rpartition("W:")[2] for line in said if "W:" in line]
    assert waits[-10:] == list("9876543210") or waits[-9:] == list("987654321")
    assert waits[0] == "?"


def test_busy_is_said_every_two_seconds_while_heating() -> None:
    """docs/serial.md §15, §17."""
    host = Host()
    host.send("M190 S60")
    assert host.wait(20.0).count("echo:busy: processing") == 10


def test_m113_changes_and_tells_the_interval_of_busy() -> None:
    """docs/serial.md §17."""
    host = Host()
    assert host.send("M113") == ["echo:M113 S2", "ok"]
    host.send("M113 S5")
    host.send("G4 S21")
    assert host.wait(20.0).count("echo:busy: processing") == 4
    host.wait(5.0)
    host.send("M113 S0")
    host.send("G4 S21")
    assert host.wait(20.0) == []


@pytest.mark.parametrize("command", ["M109", "M190"])
def test_the_s_form_does_not_wait_for_cooling_and_the_r_form_does(command: str) -> None:
    host = Host(leap=True)
    host.send(f"{command} S100")
    start = host.firmware.machine.now
    assert host.send(f"{command} S50") == ["ok"]
    assert host.firmware.machine.now == start
    host.send(f"{command} S100")
    assert host.send(f"{command} R60")[-1] == "ok"
    machine = host.firmware.machine
    heater = machine.nozzle if command == "M109" else machine.bed
    assert heater.at(machine.now) == pytest.approx(60.0, abs=1.0)


def test_waiting_for_a_temperature_below_the_ambient_one_ends() -> None:
    host = Host(leap=True)
    host.send("M109 S60")
    assert host.send("M109 R5")[-1] == "ok"


def test_a_heat_wait_without_a_target_does_not_wait() -> None:
    assert Host().send("M109") == ["ok"]


def test_temperatures_are_reported_by_themselves_when_asked_for() -> None:
    """docs/serial.md §14, §17."""
    host = Host()
    assert host.send("M155 S2") == ["ok"]
    assert host.wait(9.0) == [" T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0"] * 4
    host.send("M155 S0")
    assert host.wait(9.0) == []


def test_a_cold_nozzle_moves_no_filament() -> None:
    host = Host(leap=True)
    assert host.line(1, "G1 X1 E1 F600") == ["echo: cold extrusion prevented", "ok"]
    host.line(2, "M109 S200")
    assert host.line(3, "G1 X2 E2") == ["ok"]
    host = Host()
    host.send("M302 P1")
    assert host.line(1, "G1 X1 E1 F600") == ["ok"]


@pytest.mark.parametrize(
    ("dialect", "lines"),
    [
        ("marlin", ["M104 S0", "M140 S0"]),
        ("klipper", ["TURN_OFF_HEATERS"]),
        ("reprap", ["G10 P0 R0 S0", "M140 S0"]),
    ],
)
def test_the_commands_that_switch_heaters_off_do(dialect: str, lines: list[str]) -> None:
    """docs/serial.md §28a."""
    host = Host(dialect=dialect)
    machine = host.firmware.machine
    for line in ["M104 S210", "M140 S60"]:
        host.send(line)
    assert (machine.nozzle.target, machine.bed.target) == (210.0, 60.0)
    for line in lines:
        host.send(line)
    assert (machine.nozzle.target, machine.bed.target) == (0.0, 0.0)

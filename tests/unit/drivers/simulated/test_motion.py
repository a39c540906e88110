"""Positions, modes, the planner and time: what takes how long, and when `ok` comes."""

from __future__ import annotations

import math

import pytest

from drivers.simulated.virtual_clock import VirtualClock
from tests.unit.drivers.simulated.support import Host


def _seconds(*commands: str) -> float:
    host = Host(leap=True, nozzle_max=260.0)
    host.send("M302 P1")
    start = host.firmware.machine.now
    for command in commands:
        assert host.send(command)[-1] == "ok"
    host.send("M400")
    return host.firmware.machine.now - start


@pytest.mark.parametrize(
    ("commands", "seconds"),
    [
        (["G1 X100 F6000"], 1.0),
        (["G1 X30 Y40 F3000"], 1.0),
        (["G1 E20 F600"], 2.0),
        (["G1 Z10 F60000"], 2.0),  # no faster than the axis
        (["G1 X600 F60000"], 2.0),
        (["G1 X100 F6000", "G1 X0"], 2.0),  # the feed rate stays
        (["G91", "G1 X50 F6000", "G1 X50"], 1.0),
        (["G20", "G1 X10 F600"], 1.0),
        (["M220 S50", "G1 X100 F6000"], 2.0),
        (["G4 S3"], 3.0),
        (["G4 P1500"], 1.5),
        (["G1 X100 F6000", "G4 S1"], 2.0),
        (["G2 X20 Y0 I10 J0 F600"], math.pi),
        (["G3 X0 Y0 I10 J0 F1200"], math.pi),
        (["G1 X0 F6000"], 0.0),
        (["M83", "G92 E5", "G1 E10 F600"], 1.0),
    ],
)
def test_a_move_takes_its_length_at_its_feed_rate(commands: list[str], seconds: float) -> None:
    assert _seconds(*commands) == pytest.approx(seconds)


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize(
    ("commands", "place"),
    [
        (["G1 X10 Y20 Z3 F6000", "G1 Y5"], "X:10.00 Y:5.00 Z:3.00 E:0.00"),
        (["G91", "G1 X10", "G1 X10 E2", "G90", "G1 Y1"], "X:20.00 Y:1.00 Z:0.00 E:2.00"),
        (["G1 E5", "M83", "G1 E5", "M82", "G1 E3"], "X:0.00 Y:0.00 Z:0.00 E:3.00"),
        (["G1 E5", "G92 E0", "G1 X1 E1"], "X:1.00 Y:0.00 Z:0.00 E:1.00"),
        (["G20", "G1 X1", "G21", "G1 Y1"], "X:25.40 Y:1.00 Z:0.00 E:0.00"),
        (["G0X5Y6", "G01 Z2"], "X:5.00 Y:6.00 Z:2.00 E:0.00"),
        (["G1 X5", "G28 X", "G92 Y7"], "X:0.00 Y:7.00 Z:0.00 E:0.00"),
        (["G1 X-3.5 Y+2", "G1 X.5"], "X:0.50 Y:2.00 Z:0.00 E:0.00"),
    ],
)
def test_m114_tells_where_the_moves_lead(numbered: bool, commands: list[str], place: str) -> None:
    host = Host(leap=True)
    for number, command in enumerate(["M302 P1", *commands], 1):
        assert (host.line(number, command) if numbered else host.send(command))[-1] == "ok"
    assert host.send("M114")[0].startswith(place + " Count ")


def test_m114_counts_the_steps_of_where_the_head_is() -> None:
    host = Host()
    host.send("G1 X100 F6000")
    host.wait(0.25)
    assert host.send("M114")[0] == "X:100.00 Y:0.00 Z:0.00 E:0.00 Count X:2000 Y:0 Z:0"


@pytest.mark.parametrize("numbered", [False, True])
def test_ok_waits_for_a_free_planner_block(numbered: bool) -> None:
    host = Host()
    for number in range(1, 16):
        move = f"G1 X{number} F60"
        assert (host.line(number, move) if numbered else host.send(move)) == ["ok"]
    move = "G1 X16"
    assert (host.line(16, move) if numbered else host.send(move)) == []
    assert host.wait(0.9) == []
    assert host.wait(0.2) == ["ok"]


def test_a_leaping_firmware_waits_for_nothing_but_counts_the_time() -> None:
    host = Host(leap=True)
    for number in range(1, 1001):
        assert host.line(number, f"G1 X{number} F600")[-1] == "ok"
    host.send("M155 S1")
    assert len(host.wait(3.5)) == 3, "its time goes on from where it has leapt to"
    host.send("M400")
    assert host.firmware.machine.now == pytest.approx(102.0, abs=1e-3)


def test_g92_in_the_middle_of_a_move_only_gives_the_places_other_names() -> None:
    host = Host()
    host.send("G1 X100 F600")
    host.wait(5.0)
    assert host.send("G92 X0") == ["ok"]
    host.send("M410")
    assert host.send("M114")[0].startswith("X:-50.00 ")


def test_a_leap_reports_all_that_it_leaps_over_in_order() -> None:
    """docs/serial.md §14, §15."""
    host = Host(leap=True, host_prompts=False)
    host.send("M155 S3")
    said = host.send("G4 S7")
    assert [line[:5] for line in said] == ["echo:", " T:21", "echo:", " T:21", "echo:", "ok"]


def test_a_wait_of_years_does_not_hold_up_the_caller() -> None:
    host = Host(leap=True)
    said = host.send("G4 S999999999")
    assert 0 < len(said) < 10_000
    assert host.firmware.wake_at() <= host.now, "it wants to go on at once"


def test_what_is_said_does_not_depend_on_how_often_one_listens() -> None:
    often, seldom = Host(), Host()
    for host in (often, seldom):
        host.send("M155 S3")
        host.send("M109 S60")
        host.send("G28")
    heard = [line for _ in range(600) for line in often.wait(0.1)]
    assert heard == seldom.wait(60.0)


def test_home_reports_where_it_is() -> None:
    """docs/serial.md §15: a long command."""
    host = Host(leap=True)
    said = host.send("G28")
    assert said[-2:] == ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0", "ok"]
    assert host.firmware.machine.now >= 9.0


@pytest.mark.parametrize(
    "command",
    [
        "M73 P5 R10",
        "M106 S127.5",
        "M107",
        "M117 hello",
        "M84 X Y E",
        "M201 X500",
        "M205 X8",
        "M900 K0.1",
        "T0",
        "M85 S0",
    ],
)
def test_what_slicers_write_is_accepted(command: str) -> None:
    assert Host().send(command) == ["ok"]


def test_a_tool_that_is_not_there_is_told() -> None:
    assert Host().send("T1") == ["echo:T1 Invalid extruder", "ok"]


def test_m118_speaks_to_the_host() -> None:
    """docs/serial.md §30."""
    host = Host()
    assert host.send("M118 A1 action:pause") == ["//action:pause", "ok"]
    assert host.send("M118 E1 hello") == ["echo:hello", "ok"]


def test_m115_tells_name_machine_and_capabilities() -> None:
    """docs/serial.md §17, §19."""
    said = Host(emergency_parser=True, auto_report=False, machine="Anvil").send("M115")
    assert " MACHINE_TYPE:Anvil EXTRUDER_COUNT:1 UUID:" in said[0]
    assert {"Cap:EMERGENCY_PARSER:1", "Cap:AUTOREPORT_TEMP:0", "Cap:PROMPT_SUPPORT:1"} <= set(said)
    assert not [line for line in said if "BUSY" in line], "2.1.2 has no such line"
    assert said[-1] == "ok"


def test_the_clock_runs_faster_than_the_real_one() -> None:
    real = [100.0]
    clock = VirtualClock(lambda: real[0], 60.0)
    assert clock.now() == 0.0
    real[0] = 102.0
    assert clock.now() == pytest.approx(120.0)
    assert clock.real_until(180.0) == pytest.approx(1.0)
    assert clock.real_until(60.0) == 0.0
    leaping = VirtualClock(lambda: real[0], math.inf)
    real[0] = 103.0
    assert leaping.now() == pytest.approx(1.0)

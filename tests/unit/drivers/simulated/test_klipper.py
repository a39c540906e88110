"""The virtual printer's Klipper: what it refuses, how it starts, shuts down and restarts (docs/serial.md §k1–k4)."""

from __future__ import annotations

import pytest

from agent.errors import DataError
from tests.unit.drivers.simulated.support import Host, numbered

STARTING = [
    "// Printer is not ready",
    "// The klippy host software is attempting to connect.  Please",
    "// retry in a few moments.",
    "!! Printer is not ready",
    "ok",
]
READY = "// Klipper state: Ready"


def klipper(*faults: str, homed: bool = False) -> Host:
    return Host(dialect="klipper", faults=faults, homed=homed)


def test_klipper_answers_blank_lines_and_any_case() -> None:
    host = klipper(homed=True)
    assert host.send("") == host.send("; nothing") == host.raw(b"g1 x5\r\n") == ["ok"]
    assert host.send("M114")[0].startswith("X:5.000")


@pytest.mark.parametrize(("line", "name"), [("M9999", "M9999"), ("foo bar=1", "FOO"), ("G29", "G29")])
def test_an_unknown_command_is_named_and_acknowledged(line: str, name: str) -> None:
    """docs/serial.md §k4."""
    assert klipper().send(line) == [f'// Unknown command:"{name}"', "ok"]


def test_klipper_reads_m112_ahead_of_everything() -> None:
    """docs/serial.md §23, §k3."""
    host = klipper()
    for number in range(1, 9):
        host.line(number, "G4 S10")
    assert host.send("M112")[0] == "// Klipper state: Shutdown"
    again = host.send("G28")
    assert again[0] == "// Shutdown due to M112 command"
    assert again[-2:] == ["!! Shutdown due to M112 command", "ok"]
    host.wait(100.0)
    assert host.executed == ["G4 S10", "M112"], "what was waiting is forgotten"


# --- what is refused


def test_a_move_of_an_axis_that_is_not_homed_is_refused_and_not_executed() -> None:
    """docs/serial.md §k1."""
    host = klipper()
    assert host.raw(numbered(1, "G1 X50")) == ["!! Must home axis first: 50.000 0.000 0.000 [0.000]", "ok"]
    assert host.send("G91") == ["ok"]
    assert host.send("G0 Z10") == ["!! Must home axis first: 0.000 0.000 10.000 [0.000]", "ok"]
    assert host.executed == ["G91"]
    assert host.send("M114") == ["X:0.000 Y:0.000 Z:0.000 E:0.000", "ok"]


def test_an_axis_that_was_homed_moves_until_the_motors_are_off_or_it_restarts() -> None:
    """docs/serial.md §k1."""
    host = klipper()
    host.send("G28 X Y")
    host.wait(100.0)
    assert host.line(1, "G1 X50 Y5") == ["ok"]
    assert host.line(2, "G1 X51 Z1")[0].startswith("!! Must home axis first: 51.000 5.000 1.000")
    host.send("G28")
    host.wait(100.0)
    assert host.line(3, "G1 X51 Z1 F6000") == ["ok"]
    host.wait(100.0)
    host.send("M84")
    assert host.line(4, "G1 X52")[0].startswith("!! Must home axis first")
    host.send("G28")
    host.wait(100.0)
    host.send("FIRMWARE_RESTART")
    assert host.line(5, "G1 X52")[0].startswith("!! Must home axis first")


@pytest.mark.parametrize("number", [None, 1])
def test_a_cold_extruder_refuses_the_whole_move(number: int | None) -> None:
    """docs/serial.md §k1."""
    host = klipper(homed=True)
    said = host.send("G1 X5 E1") if number is None else host.line(number, "G1 X5 E1")
    assert said[-2:] == ["!! Extrude below minimum temp", "ok"]
    assert host.executed == []


def test_a_move_without_an_axis_is_taken() -> None:
    assert klipper().line(1, "G1 F3000") == ["ok"]


# --- starting


def test_a_klippy_that_starts_answers_who_it_is_and_refuses_everything_else() -> None:
    """docs/serial.md §k2."""
    host = klipper("klippy-starting=5")
    assert host.booted == []
    assert host.send("M110 N0") == ["ok"]
    assert host.send("M115") == ["ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:?"]
    assert host.send("M105") == ["ok T:0"]
    for line in ("M400", "STATUS", "G28", "M104 S0", ""):
        assert host.send(line) == STARTING
    assert host.wait(4.9) == []
    assert host.wait(0.2) == [READY]
    assert host.send("M400") == ["ok"]
    assert host.send("M115")[0].startswith("ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v")
    assert host.send("STATUS") == [READY, "ok"]
    assert host.faults.counts["klippy-starting"] == 1


def test_the_start_goes_by_the_time_of_the_host() -> None:
    host = Host(dialect="klipper", faults=("klippy-starting=5",), speed=10.0)
    assert host.wait(49.0) == []
    assert host.wait(2.0) == [READY]


def test_a_configuration_error_refuses_everything_for_ever() -> None:
    """docs/serial.md §k2: also after a restart."""
    host = klipper("klippy-config-error")
    for _ in range(2):
        said = host.send("M400")
        assert said[0] == "// Option 'pin' in section 'fan' must be specified"
        assert said[-2:] == ["!! Option 'pin' in section 'fan' must be specified", "ok"]
        assert host.send("M115") == ["ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:?"]
        assert host.wait(1000.0) == []
        assert host.send("RESTART") == ["ok", "// Klipper state: Disconnect"]
    assert host.firmware.resets == 2


def test_a_configuration_error_shows_when_the_start_is_over() -> None:
    host = klipper("klippy-starting=5", "klippy-config-error")
    assert host.send("M400") == STARTING
    assert host.wait(6.0) == []
    assert host.send("M400")[-2] == "!! Option 'pin' in section 'fan' must be specified"


@pytest.mark.parametrize("fault", ["klippy-starting=5", "klippy-config-error", "lost-mcu@5"])
def test_a_fault_of_klipper_needs_klipper(fault: str) -> None:
    with pytest.raises(DataError, match=r"is one of Klipper's; the dialect is marlin"):
        Host(faults=(fault,))


# --- shutting down, restarting


def test_a_lost_board_shuts_down_and_refuses_each_line_with_the_reason() -> None:
    """docs/serial.md §k3."""
    host = klipper("lost-mcu@2")
    host.line(1, "G90")
    said = host.line(2, "G90")
    assert said[0] == "// Klipper state: Shutdown"
    assert said[-2:] == ["!! Lost communication with MCU 'mcu'", "ok"]
    assert host.send("M400")[-2:] == ["!! Lost communication with MCU 'mcu'", "ok"]
    assert host.send("M105") == ["ok T:0"]
    assert host.send("FIRMWARE_RESTART") == ["ok", "// Klipper state: Disconnect", READY]
    assert host.send("M400") == ["ok"]


@pytest.mark.parametrize("command", ["RESTART", "FIRMWARE_RESTART"])
def test_a_restart_disconnects_and_is_ready_after_its_start(command: str) -> None:
    """docs/serial.md §k3."""
    host = klipper("klippy-starting=3")
    host.wait(3.0)
    assert host.send(command) == ["ok", "// Klipper state: Disconnect"]
    assert host.send("M400") == STARTING
    assert host.wait(3.1) == [READY]


def test_a_board_that_restarts_says_so_first() -> None:
    """docs/serial.md §k3, of the fault `reset`."""
    assert klipper("reset@1").line(1, "G90") == ["// Klipper state: Disconnect", READY]


def test_opening_the_port_does_not_bring_back_a_klipper_that_has_shut_down() -> None:
    """docs/serial.md §k3: its port is a pty, which has no DTR."""
    host = klipper("lost-mcu@1")
    host.line(1, "G90")
    assert host.firmware.stopped
    assert not host.firmware.opening_helps
    marlin = Host(faults=("kill@1",))
    marlin.line(1, "G90")
    assert marlin.firmware.opening_helps

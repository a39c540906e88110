"""Heat alarms on the pty of virtual printers: heaters and sensors that break, with and without the firmware's own
protection (docs/heat-monitor.md).

Real: the driver, the port, the printer's thread and its firmware. The printer's time runs SPEED times as fast, and the
thresholds in seconds are as much shorter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.core.driver import Outcome, PrinterState, Telemetry
from agent.testing import Lines, Rig, moves
from drivers.gcode.link.black_box import files, read
from drivers.gcode.timing import Timing
from drivers.settings import HeatLimits, WatchSettings
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import driver_rig

S = PrinterState
SPEED = 40.0
TIMING = Timing(patience=0.05, hello=0.5, probe=2.0, garbled=0.02, refused=0.2, reset=0.5, poll=0.1, idle_poll=0.1)
DIALECTS = ("marlin", "klipper", "reprap")


def quicker(limits: HeatLimits) -> HeatLimits:
    """The same thresholds for a printer whose time runs SPEED times as fast."""
    return msgspec.structs.replace(
        limits,
        rise_s=limits.rise_s / SPEED,
        fall_s=limits.fall_s / SPEED,
        back_s=limits.back_s / SPEED,
        jump_rate=limits.jump_rate * SPEED,
        silent_s=limits.silent_s / SPEED,
    )


NORMAL = WatchSettings()
QUICKER = WatchSettings(tool=quicker(NORMAL.tool), bed=quicker(NORMAL.bed), chamber=quicker(NORMAL.chamber))


@contextmanager
def printer(folder: Path, dialect: str, *faults: str, guard: bool = False) -> Iterator[tuple[Rig, VirtualPrinter]]:
    options = Options(
        dialect=dialect, speed=SPEED, faults=faults, heat_guard=guard, homed=True, link=folder / "printer"
    )
    with driver_rig(options, timing=TIMING, watch=QUICKER, black_boxes=folder / "boxes") as made:
        rig = made.ready()
        try:
            yield rig, made.printer
        finally:
            rig.driver.close()


def failed(rig: Rig) -> Telemetry:
    """The telemetry once the printer is in ERROR."""
    return rig.until(lambda t: t.state is S.ERROR, 20.0)


def heat(heater: str) -> bytes:
    return b"M104 S210" if heater == "tool0" else b"M140 S60"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("tool0:dead:heating", "while heating to 210 °C"),
        ("tool0:fallen:holding", "below its target of 210 °C"),
        ("tool0:stuck:holding", "and its target is 210 °C"),
    ],
)
def test_a_heater_that_breaks_in_a_print_fails_it(tmp_path: Path, dialect: str, fault: str, text: str) -> None:
    heater = fault.partition(":")[0]
    with printer(tmp_path, dialect, f"heater={fault}") as (rig, board):
        rig.driver.start_print("p", Lines([heat(heater), *[b"G4 P4000"] * 500]))
        now = failed(rig)
        assert now.reason.startswith(f"heat alarm: {heater}: ")
        assert text in now.reason
        assert now.last is not None
        assert (now.last.task_id, now.last.outcome, now.last.error) == ("p", Outcome.FAILED, now.reason)
        curve = now.last.heat_curve
        assert curve is not None
        assert curve.heater == heater
        assert 3 <= len(curve.points) <= 40
        machine = board._firmware.machine
        assert machine.nozzle.target == machine.bed.target == 0.0
        facts, _lines = read(files(tmp_path / "boxes")[-1])
        assert facts["reason"].startswith(f"heat alarm: {heater}: ")
        assert len(facts[f"curve-{heater}"].split()) >= 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_transistor_that_conducts_while_nothing_is_asked_stops_the_printer(tmp_path: Path, dialect: str) -> None:
    """Idle, and without a task: the reason is all there is."""
    with printer(tmp_path, dialect, "heater=tool0:stuck:off") as (rig, board):
        now = failed(rig)
        assert "while it is off; emergency stop" in now.reason
        assert now.last is None
        for _ in range(200):
            if board._firmware.machine.halted:
                return
            time.sleep(0.02)
        raise AssertionError("not stopped")


@pytest.mark.parametrize(("fault", "text"), [("open", "its sensor jumps from"), ("silent", "no reading for")])
def test_a_sensor_that_breaks_fails_a_print(tmp_path: Path, fault: str, text: str) -> None:
    with printer(tmp_path, "marlin", f"heater=tool0:{fault}:holding") as (rig, _board):
        rig.driver.start_print("p", Lines([b"M140 S50", b"M104 S210", *moves(2000)]))
        now = failed(rig)
        assert text in now.reason
        assert now.last is not None
        assert now.last.outcome is Outcome.FAILED


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_firmware_s_own_protection_acts_first(tmp_path: Path, dialect: str) -> None:
    with printer(tmp_path, dialect, "heater=tool0:dead:heating", guard=True) as (rig, _board):
        rig.driver.start_print("p", Lines([heat("tool0"), *[b"G4 P4000"] * 500]))
        now = failed(rig)
        assert "heat alarm" not in now.reason


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_healthy_print_with_a_change_of_temperature_ends_well(tmp_path: Path, dialect: str) -> None:
    with printer(tmp_path, dialect) as (rig, _board):
        codes = [b"M190 S50", b"M109 S210", b"M104 S180", *[b"G4 P4000"] * 5, b"M109 S200", b"M104 S0", b"M140 S0"]
        rig.driver.start_print("p", Lines(codes))
        now = rig.until(lambda t: t.last is not None, 20.0)
        assert now.last is not None
        assert now.last.outcome is Outcome.COMPLETED, now.last.error

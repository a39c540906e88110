"""A reset is believed only when the board was seen to begin anew, on every dialect of the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.core.driver import PrinterState, SupportsEmergencyStop, Telemetry
from agent.testing import Rig
from drivers.simulated import DIALECTS, Options, ResetOnOpen, VirtualPrinter
from tests.rigs.driver_rig import driver_rig

S = PrinterState
BY_COMMAND = {
    "repetier": "M112",
    "reprap": "M999",
    "reprap3": "M999",
    "smoothie": "M999",
    "klipper": "FIRMWARE_RESTART",
}
NAMES = sorted(set(DIALECTS) - {"marlin2"})


@contextmanager
def idle(folder: Path, dialect: str, reset: ResetOnOpen = ResetOnOpen.HALTED) -> Iterator[tuple[Rig, VirtualPrinter]]:
    with driver_rig(Options(dialect=dialect, link=folder / "printer", reset_on_open=reset)) as made, made.one() as rig:
        rig.ready()
        yield rig, made.printer


def after_reset(rig: Rig) -> Telemetry:
    rig.driver.reset()
    return rig.until(lambda t: t.state is S.IDLE)


@pytest.mark.parametrize("dialect", NAMES)
def test_a_reset_by_a_command_is_seen_and_without_one_it_says_that_nothing_was_reset(
    tmp_path: Path, dialect: str
) -> None:
    """docs/serial.md §18, §k3: a pty has no reset line."""
    with idle(tmp_path, dialect) as (rig, printer):
        resets = printer.resets
        now = after_reset(rig)
        assert (printer.resets > resets) is (dialect in BY_COMMAND)
        if dialect in BY_COMMAND:
            assert now.reset_error == ""
        else:
            name = now.firmware
            assert now.reset_error == (
                f"nothing was reset: the port has no reset line, and {name} has no command for it"
            )


def test_a_board_that_opening_its_port_resets_is_seen_to_begin_anew(tmp_path: Path) -> None:
    """docs/serial.md §18, §20."""
    with idle(tmp_path, "marlin", ResetOnOpen.ALWAYS) as (rig, printer):
        resets = printer.resets
        assert after_reset(rig).reset_error == ""
        assert printer.resets > resets


@pytest.mark.parametrize("dialect", NAMES)
def test_a_reset_after_an_emergency_stop_is_seen(tmp_path: Path, dialect: str) -> None:
    """docs/serial.md §23, §23a, §k3."""
    with idle(tmp_path, dialect) as (rig, _):
        assert isinstance(rig.driver, SupportsEmergencyStop)
        rig.driver.halt()
        rig.until(lambda t: t.state is S.ERROR)
        assert after_reset(rig).reset_error == ""


@pytest.mark.parametrize("dialect", NAMES)
def test_a_reset_leaves_no_heater_on_also_where_nothing_can_reset_the_board(tmp_path: Path, dialect: str) -> None:
    """docs/serial.md §28a: a port without a reset line, and for Marlin's family no command either."""
    with idle(tmp_path, dialect, ResetOnOpen.NEVER) as (rig, printer):
        rig.driver.run_script("warm", ["M104 S150", "M140 S40"])
        rig.ended("warm")
        rig.heaters_are({"tool0": 150.0, "bed": 40.0})
        resets = printer.resets
        after_reset(rig)
        assert (printer.resets > resets) is (dialect in BY_COMMAND)
        rig.heaters_are({})


def test_the_next_reset_says_its_own(tmp_path: Path) -> None:
    with idle(tmp_path, "marlin") as (rig, _):
        assert after_reset(rig).reset_error
        assert isinstance(rig.driver, SupportsEmergencyStop)
        rig.driver.halt()
        rig.until(lambda t: t.state is S.ERROR)
        assert after_reset(rig).reset_error == ""

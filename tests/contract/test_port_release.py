"""The port is let go of for another program, and taken again: the G-code driver on a pty that others may open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial

from agent.core.driver import PrinterState, Telemetry
from agent.testing import Rig
from drivers.gcode.driver import GcodeDriver
from drivers.simulated import Options, ResetOnOpen
from tests.rigs.driver_rig import DriverRig, driver_rig

S = PrinterState


@contextmanager
def released(made: DriverRig) -> Iterator[tuple[Rig, Telemetry]]:
    rig = made.ready()
    try:
        release(rig)
        yield rig, rig.until(lambda t: t.released is not None)
    finally:
        rig.driver.close()


def release(rig: Rig) -> None:
    assert isinstance(rig.driver, GcodeDriver)
    rig.driver.release_port()


def take(rig: Rig) -> Telemetry:
    assert isinstance(rig.driver, GcodeDriver)
    rig.driver.take_port()
    return rig.until(lambda t: t.state is S.IDLE)


def test_another_program_has_the_port_alone_and_the_kept_descriptor_is_dropped(tmp_path: Path) -> None:
    with driver_rig(Options(link=tmp_path / "port")) as made, released(made) as (rig, now):
        assert made.memories.keeper.take() is None
        with serial.Serial(now.released, 115200, timeout=5, exclusive=True) as other:
            other.write(b"M115\n")
            assert other.read_until(b"FIRMWARE_NAME:").endswith(b"FIRMWARE_NAME:")
            assert rig.driver.telemetry().state is S.OFFLINE
        time.sleep(0.05)
        assert take(rig).firmware.startswith("Marlin")


def test_what_is_heated_goes_off_before_the_port_is_let_go_of(tmp_path: Path) -> None:
    with driver_rig(Options(link=tmp_path / "port", reset_on_open=ResetOnOpen.NEVER)) as made:
        rig = made.ready()
        try:
            rig.driver.run_script("warm", ["M140 S50", "M104 S60", "M105"])
            rig.ended("warm")
            rig.heaters_are({"tool0": 60.0, "bed": 50.0})
            release(rig)
            rig.until(lambda t: t.released is not None)
            take(rig)
            rig.heaters_are({})
            assert {b"M104 S0", b"M140 S0"} <= set(rig.executed)
        finally:
            rig.driver.close()


def test_a_port_at_which_nobody_answers_can_be_let_go_of(tmp_path: Path) -> None:
    """A board whose firmware is broken answers nothing, and needs a new one."""
    with driver_rig(Options(link=tmp_path / "port"), present=False) as made, made.one() as rig:
        rig.driver.open(made.memories.host(rig.wake))
        rig.until(lambda t: t.state is S.OFFLINE and "port" in t.reason)
        release(rig)
        assert rig.until(lambda t: t.released is not None).released == str(tmp_path / "port")
        made.printer.start()
        take(rig)


@pytest.mark.parametrize("hand_over", [False, True])
def test_a_driver_without_its_port_ends_at_once(tmp_path: Path, hand_over: bool) -> None:
    with driver_rig(Options(link=tmp_path / "port")) as made:
        rig = made.ready()
        release(rig)
        rig.until(lambda t: t.released is not None)
        begun = time.monotonic()
        rig.driver.close(hand_over=hand_over)
        assert time.monotonic() - begun < 1.0
        assert made.memories.keeper.take() is None


def test_a_port_that_is_taken_before_it_was_let_go_of_is_refused(tmp_path: Path) -> None:
    with driver_rig(Options(link=tmp_path / "port")) as made, released(made) as (rig, _):
        release(rig)  # again: it stays released
        take(rig)
        take_again = rig.driver
        assert isinstance(take_again, GcodeDriver)
        with pytest.raises(Exception, match="cannot take the port: the printer is idle"):
            take_again.take_port()

"""The driver finds a virtual printer among other ports, and finds it again after the cable was pulled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.core.driver import Outcome, PrinterState
from agent.testing import Lines, Rig, SystemClock, moves
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.link.port import PortSearch
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import QUICK

IMPATIENT = msgspec.structs.replace(QUICK, hello=0.1, hello_tries=2)
ID = "usb-Marlin_USB_Device_123-if00"


def tree(root: Path) -> tuple[Path, Path]:
    """/dev and /sys of a computer without ports."""
    dev, sys = root / "dev", root / "sys"
    (dev / "serial/by-id").mkdir(parents=True)
    sys.mkdir()
    return dev, sys


@contextmanager
def driving(dev: Path, sys: Path, port: str) -> Iterator[Rig]:
    settings = DriverSettings(port=port, baud=115200)
    driver = GcodeDriver(settings, clock=SystemClock(), timing=IMPATIENT, search=PortSearch(settings, dev, sys))
    try:
        yield Rig(driver, [], lambda: None)
    finally:
        driver.close()


def test_auto_finds_the_printer_behind_a_port_that_says_nothing(tmp_path: Path) -> None:
    dev, sys = tree(tmp_path)
    master, slave = os.openpty()
    (dev / "serial/by-id/usb-AAA_silent").symlink_to(os.ttyname(slave))
    link = dev / "serial/by-id" / ID
    try:
        with VirtualPrinter(Options(link=link)), driving(dev, sys, "auto") as rig:
            rig.ready()
            assert rig.driver.telemetry().port == str(link)
    finally:
        os.close(slave)
        os.close(master)


def test_a_print_fails_with_the_unplugged_ports_name_and_the_printer_is_found_under_its_new_one(tmp_path: Path) -> None:
    """docs/serial.md §29: by id, not by number, since ttyUSB0 may come back as ttyUSB1."""
    dev, sys = tree(tmp_path)
    by_id = dev / "serial/by-id" / ID
    by_id.symlink_to(dev / "ttyUSB0")
    old = VirtualPrinter(Options(link=dev / "ttyUSB0", faults=("unplug@50",)))
    new = VirtualPrinter(Options(link=dev / "ttyUSB1"))
    with driving(dev, sys, str(dev / "ttyUSB0")) as rig, old:
        rig.ready()
        rig.driver.start_print("p", Lines(moves(300)))
        ended = rig.ended("p")
        assert ended.last is not None
        assert ended.last.outcome is Outcome.FAILED
        assert "ttyUSB0 was unplugged" in ended.last.error
        assert 40 <= ended.line <= 50
        rig.until(lambda t: t.state is PrinterState.OFFLINE)
        by_id.unlink()
        with new:
            by_id.symlink_to(dev / "ttyUSB1")
            now = rig.until(lambda t: t.state is PrinterState.IDLE)
            assert now.port == str(by_id)
            rig.driver.start_print("q", Lines(moves(5)))
            assert rig.ended("q").line == 5

"""The contract, kept by the G-code driver on a virtual printer's pty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.gcode.driver import GcodeDriver
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter
from tests.contract.driver_contract import Clock, DriverContract, Rig, Setup

QUICK = Timing(patience=0.02, hello=0.5, probe=0.5, garbled=0.02, resend_ok=0.2, retry=0.1, retry_most=0.2)


class TestGcodeDriver(DriverContract):
    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        link = tmp_path / "printer"
        executed: list[bytes] = []
        printer = VirtualPrinter(Options(speed=setup.speed, faults=setup.faults, link=link), on_line=executed.append)
        settings = DriverSettings(port=str(link), baud=115200, scripts=setup.scripts)
        driver = GcodeDriver(settings, clock=Clock(), timing=QUICK)
        if setup.present:
            printer.start()
        try:
            yield Rig(driver, executed, printer.start)
        finally:
            driver.close()
            printer.stop()

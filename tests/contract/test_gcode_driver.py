"""The contract, kept by the G-code driver on a virtual printer's pty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.testing import Rig, Setup
from agent.testing.serial_driver_contract import SerialDriverContract
from drivers.simulated import Options
from tests.rigs.driver_rig import contract_rig


class TestGcodeDriver(SerialDriverContract):
    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        options = Options(
            speed=setup.speed, faults=setup.faults, link=tmp_path / "printer", probe_points=setup.probe_points
        )
        with contract_rig(options, setup) as rig:
            yield rig

    def test_a_heater_that_a_script_left_on_is_off_after_the_stop(self, tmp_path: Path) -> None:
        """docs/serial.md §31: heaters off at a supervised stop."""
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.run_script("warm", ["M140 S50", "M105"])
            rig.until(lambda t: any(heater.target == 50.0 for heater in t.heaters))
            rig.ended("warm")
            rig.driver.close()
            assert rig.executed[-4:] == [b"M104 S0", b"M140 S0", b"M107", b"M105"], "it was waited for"

"""The contract, kept with every firmware that the simulator can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.gcode.default_scripts import default_scripts
from agent.testing import Rig, Setup
from agent.testing.serial_driver_contract import SerialDriverContract
from drivers.simulated import DIALECTS, Options
from tests.rigs.driver_rig import QUICK, contract_rig

NAMES = ("marlin1", "marlin1.0", "prusa", "repetier", "reprap", "reprap3", "smoothie", "klipper")
"""Marlin itself is tested by test_gcode_driver.py."""

PATIENT = msgspec.structs.replace(QUICK, probe=2.0, resend_ok=0.5)
"""Repetier, once it has asked for a line, tells its place again only after 0.2 s in which nothing was said."""

WITHOUT_REQUESTS = ("reprap3", "klipper")
"""They look at no line number and ask for no line again, so nothing can be done about a line that is spoilt."""


FAMILY = {"marlin1.0": "marlin1", "reprap3": "reprap"}
"""The driver's name for the dialect, where the simulator has another."""

PROBE_SILENTLY = ("prusa", "repetier", "reprap", "reprap3", "smoothie")
"""They say nothing of the points while they measure the bed, or (Repetier) acknowledge the command before they do."""

CHECKSUM_OPTIONAL = ("reprap", "smoothie")
"""They take a line whose `*` or `N` was garbled as one without a checksum: no host can keep a bad cable from spoiling
a line now and then. All the others must be the file's, once and in order."""


class TestDialects(SerialDriverContract):
    """docs/serial.md Dialects: told by M115 alone."""

    dialect = ""

    @pytest.fixture(autouse=True, params=NAMES)
    def _chosen(self, request: pytest.FixtureRequest) -> None:
        self.dialect = str(request.param)
        if self.dialect not in DIALECTS:
            pytest.skip(f"the simulator does not know {self.dialect} yet")

    def agrees(self, executed: list[bytes], source: list[bytes], faults: tuple[str, ...]) -> None:
        if self.dialect not in CHECKSUM_OPTIONAL or not any(fault.startswith("corrupt") for fault in faults):
            super().agrees(executed, source, faults)
            return
        whole = [line for line in executed if line in source]
        spoilt = [line for line in source if line not in whole]
        assert len(spoilt) <= 3
        assert whole == [line for line in source if line not in spoilt]

    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        spoilt = [fault for fault in setup.faults if fault.startswith("corrupt")]
        if spoilt and self.dialect in WITHOUT_REQUESTS:
            pytest.skip(f"{self.dialect} asks for no line again")
        options = Options(
            dialect=self.dialect,
            speed=setup.speed,
            faults=setup.faults,
            link=tmp_path / "printer",
            homed=True,
            probe_points=setup.probe_points,
        )
        self.probes = default_scripts(FAMILY.get(self.dialect, self.dialect)).calibrate
        self.probes_silently = self.dialect in PROBE_SILENTLY
        with contract_rig(options, setup, PATIENT) as rig:
            yield rig

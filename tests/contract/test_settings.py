"""Each setting of each firmware: set by the driver, told by the simulated printer, read back (docs/serial.md §33)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.driver import SupportsQueries
from agent.core.settings import KNOWN, Value
from agent.core.settings_dialects import Answers, agrees, asks, lines_for, not_taken, read, ways
from agent.testing import Rig, Setup
from drivers.simulated import Options
from tests.rigs.driver_rig import contract_rig

DIALECTS = ("marlin", "marlin1", "prusa", "repetier", "reprap", "reprap3", "smoothie", "klipper")


def ask(rig: Rig, query_id: str, lines: list[str]) -> Answers:
    """The printer's answers to `lines`."""
    assert isinstance(rig.driver, SupportsQueries)
    rig.driver.query(query_id, lines)
    answer = rig.until(lambda t: t.query is not None and t.query.query_id == query_id).query
    assert answer is not None
    assert answer.complete
    return Answers(tuple(lines), answer.texts)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_setting_that_a_firmware_tells_is_read_back_as_it_was_set(dialect: str, tmp_path: Path) -> None:
    """Those that the build has not are said not to have been taken."""
    with contract_rig(Options(dialect=dialect, link=tmp_path / "printer", homed=True, probe_points=9), Setup()) as rig:
        rig.ready()
        family = rig.driver.telemetry().dialect
        wanted: dict[str, Value] = {}
        for name in ways(family):
            setting = KNOWN[name]
            wanted[name] = True if setting.switch else 120 if setting.high == 500 else round(setting.high * 0.6)
        wanted |= {name: 0.25 for name in ("junction_deviation", "babystep_z") if name in wanted}
        lines = [*lines_for(family, wanted), *asks(family, wanted)]
        assert set(lines_for(family, wanted)) <= set(lines)
        answers = ask(rig, "set", lines)
        told = read(family, wanted, answers)
        tells = {name for name, way in ways(family).items() if way.marker}
        silent = {name for name in tells if name not in told}
        said = not_taken(family, wanted, answers)
        assert all(agrees(family, name, wanted[name], told[name]) for name in told), told
        assert len(said) == len([name for name in silent if ways(family)[name].ask == "M503"]), said
        assert len(told) >= 3
        executed = [line.decode() for line in rig.executed]
        assert [line for line in executed if line in lines] == lines

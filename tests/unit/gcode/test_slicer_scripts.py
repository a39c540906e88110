"""Files as people have them pass, on the firmwares that they are sliced for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agent.gcode import Limits
from agent.gcode.command_policy import DIALECTS
from tests.support.gcode_forms import LIMITS, harm
from tests.unit.gcode.samples import LINES_AND_LAYERS, scan, sliced

SCRIPTS = tomllib.loads((Path(__file__).parent / "slicer_scripts.toml").read_text(encoding="utf-8"))["script"]
CASES = [(script, dialect) for script in SCRIPTS for dialect in script["for"]]


def test_there_are_scripts_for_each_firmware() -> None:
    assert len(SCRIPTS) >= 12
    assert {dialect for _, dialect in CASES} == set(DIALECTS)
    assert all(script["source"] for script in SCRIPTS)


@pytest.mark.parametrize(("script", "dialect"), CASES, ids=[f"{script['name']}-{dialect}" for script, dialect in CASES])
def test_a_script_of_a_slicer_passes_on_its_firmware(script: dict[str, str], dialect: str) -> None:
    index = scan(script["lines"].encode(), limits=LIMITS)
    assert index.refusal(dialect) == ""
    for line in script["lines"].encode().splitlines():
        assert not harm(line, dialect), line


@pytest.mark.parametrize("dialect", [*DIALECTS, "generic"])
@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_sliced_files_pass_on_every_firmware(name: str, dialect: str) -> None:
    refused = scan(sliced(name), limits=Limits()).refusal(dialect)
    assert bool(refused) == (name == "cube_cura" and dialect in ("reprap", "generic")), refused  # Y{machine_depth}

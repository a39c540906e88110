"""Default scripts of home, park and calibrate: one row for each dialect that the driver knows, as documented."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from agent.gcode.default_scripts import DEFAULT_SCRIPTS, GENERIC, default_scripts
from agent.gcode.words import script_line
from drivers.gcode.printing.dialects import DIALECTS

DOCUMENT = Path(__file__).parents[3] / "docs" / "gcode.md"


def test_every_dialect_of_the_driver_has_its_scripts() -> None:
    assert set(DEFAULT_SCRIPTS) == {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize("dialect", DEFAULT_SCRIPTS)
def test_every_line_can_be_sent(dialect: str) -> None:
    scripts = msgspec.structs.astuple(default_scripts(dialect))
    assert all(lines for lines in scripts)
    assert all(script_line(line) == line.encode() for lines in scripts for line in lines)


def test_a_driver_without_a_dialect_gets_the_general_scripts() -> None:
    assert default_scripts("") is default_scripts("ours") is GENERIC


def test_the_document_has_the_table() -> None:
    """docs/gcode.md «Default scripts»."""
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("\n## Default scripts\n")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", section.partition("\n## ")[0], re.MULTILINE)
    told = {name: tuple(tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells) for name, *cells in rows}
    assert told == {name: msgspec.structs.astuple(scripts) for name, scripts in DEFAULT_SCRIPTS.items()}

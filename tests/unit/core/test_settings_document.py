"""docs/protocol.md «Settings» is the table of the code: each row is made from it here, and must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.core.settings import KNOWN, Setting, limits
from agent.core.settings_dialects import SAVES, WAYS, Way

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"
SECTION = DOCUMENT.read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
COLUMNS = ("marlin", "prusa", "repetier", "reprap", "smoothie", "klipper")
_FAMILY = re.compile(r"(.+_)([xyzepid])")


def families() -> dict[str, list[str]]:
    """Names that differ in their axis or term alone are one row."""
    found: dict[str, list[str]] = {}
    for name, setting in KNOWN.items():
        family = _FAMILY.fullmatch(name)
        alike = family is not None and sum(
            other.startswith(family[1]) and KNOWN[other] == setting and len(other) == len(name) for other in KNOWN
        )
        found.setdefault(family[1] if family and alike and alike > 1 else name, []).append(name)
    return found


def cell(ways: list[Way]) -> str:
    """The lines of one firmware for one row, and what it is asked."""
    if not ways:
        return "–"
    code = "`" + ways[0].gcode.format("n").replace("{}", "n") + "`"
    code += "".join(f" `{way.letter or way.gcode.split()[1][0]}`" for way in ways[1:])
    code += f", `{ways[0].off}`" if ways[0].off else ""
    if not ways[0].marker:
        return f"{code}; not told"
    return f"{code}; `{ways[0].ask}`" if ways[0].ask else f"{code}; its answer"


def row(stem: str, names: list[str]) -> str:
    setting: Setting = KNOWN[names[0]]
    shown = f"`{names[0]}`" + "".join(f" `_{name.removeprefix(stem)}`" for name in names[1:])
    kind = limits(setting) + (f" {setting.unit}" if setting.unit else "") + (", whole" if setting.whole else "")
    cells = [cell([WAYS[dialect][name] for name in names if name in WAYS[dialect]]) for dialect in COLUMNS]
    return " | ".join(["|", shown, kind, *cells, "|"]).replace("| | ", "| ").replace(" | |", " |")


ROWS = {stem: row(stem, names) for stem, names in families().items()}


@pytest.mark.parametrize("stem", ROWS)
def test_each_setting_has_its_row(stem: str) -> None:
    assert ROWS[stem] in SECTION


def test_the_table_has_no_other_row() -> None:
    assert len([line for line in SECTION.splitlines() if line.startswith("| `")]) == len(ROWS)


def test_marlin_1_has_the_column_of_marlin() -> None:
    assert WAYS["marlin1"] == WAYS["marlin"]
    assert set(SAVES) == set(WAYS) - {"klipper"}


def test_what_only_the_owner_allows_is_said() -> None:
    for name, setting in KNOWN.items():
        if setting.group:
            assert f"«{setting.group}»" in SECTION, name

"""The tables of docs/gcode.md are what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.errors import DataError
from agent.gcode import Limits
from agent.gcode.command_policy import COMMON, DIALECTS, GROUPS, NAMES, NEVER, OVERRIDES
from agent.gcode.index import FORMAT
from agent.gcode.modal import FANS, ModalState
from agent.gcode.waiting import WAITS_FOR_PERSON, wants_person
from tests.unit.gcode.samples import scan

TEXT = (Path(__file__).parents[3] / "docs/gcode.md").read_text(encoding="utf-8")
LIMITS = Limits(volume=(220.0, 220.0, 250.0))


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


@pytest.mark.parametrize("example", [row[0].strip("`") for row in rows("What is refused")])
def test_each_example_of_a_refused_line_is_refused(example: str) -> None:
    with pytest.raises(DataError, match="line 2 of the file"):
        scan(f"G28\n{example}\n".encode(), limits=LIMITS, dialect="marlin")


@pytest.mark.parametrize(("example", "warning"), [(row[0].strip("`"), row[1]) for row in rows("What is warned of")])
def test_each_example_of_a_warning_is_warned_of(example: str, warning: str) -> None:
    assert warning in scan(f"G28\n{example}\n".encode(), limits=LIMITS).caution()


def test_each_command_of_the_table_of_modal_state_sets_something() -> None:
    named = [code for row in rows("Modal state") for code in re.findall(r"`([GM]\d+)`", row[0])]
    assert len(named) >= 12
    for code in named:
        assert any(ModalState([f"{code}{argument}".encode()]).lines() for argument in ("", " F600")), code


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"one of {FANS} fans" in TEXT
    assert f"format number ({FORMAT};" in TEXT
    assert all(wants_person(code) and f"`{code.decode()}`" in TEXT for code in WAITS_FOR_PERSON)


def commands(cell: str) -> list[str]:
    """The commands that a cell names, ranges spelled out."""
    found = []
    for first, last in re.findall(r"`([GM]\d+)`(?:–`[GM](\d+)`)?", cell):
        found += [f"{first[0]}{number}" for number in range(int(first[1:]), int(last or first[1:]) + 1)]
    return found


def tables(heading: str) -> list[list[list[str]]]:
    """All tables under a heading, each without its head."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found: list[list[list[str]]] = [[]]
    for line in section.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif found[-1]:
            found.append([])
    return [table[2:] for table in found if table]


def test_the_table_of_groups_is_that_of_the_code() -> None:
    groups, heats, differ, names = tables("What a file may do")
    shown = {row[0].strip("`").replace("–", NEVER): set(commands(row[2])) for row in groups}
    meant: dict[str, set[str]] = {group: set() for group in (NEVER, *GROUPS)}
    for command, rule in COMMON.items():
        if rule.group:
            meant[rule.group].add(command)
    assert shown == meant
    assert {row[0].strip("`"): row[1] for row in groups if row[0] != "–"} == dict(GROUPS)
    assert {row[0].strip("`"): (row[1], row[2].replace(" ", "")) for row in heats} == {
        command: (", ".join(f"{letter} {heater}" for letter, heater in rule.heats.items()), rule.letters)
        for command, rule in COMMON.items()
        if rule.heats
    }
    assert {(row[0], row[1].strip("`")) for row in differ} == {
        (dialect, command) for dialect, changes in OVERRIDES.items() for command in changes
    }
    assert {row[0].strip("`"): row[1].strip("`").replace("–", NEVER) for row in names} == {
        name: rule.group for name, rule in NAMES.items() if rule.group
    }


def test_each_firmware_is_described() -> None:
    (firmwares,) = tables("How firmwares differ")
    assert [row[0] for row in firmwares] == list(DIALECTS)

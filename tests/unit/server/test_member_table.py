"""The table of a member's printers: aligned for names of any width, «-» for nothing, and no value that breaks it."""

from __future__ import annotations

import pytest

from agent.core.display_width import display_width
from agent.server.member_table import CELL_LIMIT, table

OWN = {"is_primary": True, "is_printer_scoped": True, "is_job_scoped": True}


def column(lines: list[str], words: list[str]) -> set[int]:
    """The columns of the terminal at which each line's word begins."""
    return {display_width(line[: line.index(word)]) for line, word in zip(lines, words, strict=True)}


def test_a_printer_is_a_line_with_what_the_member_may_do() -> None:
    lines = table(
        [
            {"printer_id": 1469, "printer_name": "my new printer", "printer_last_health": "offline", **OWN},
            {"printer_id": 1500, "printer_name": "my friend's printer", "firmware": "1.1.1.1", "is_job_scoped": True},
        ]
    ).splitlines()
    assert lines == [
        "ID    NAME                 LAST HEALTH  FIRMWARE  RIGHTS",
        "1469  my new printer       offline      -         owner, printer, job",
        "1500  my friend's printer  -            1.1.1.1   job",
    ]


@pytest.mark.parametrize(
    "name", ["Längerer Name", "三次元プリンター", "프린터", "e\u0301tage", "🖨 drucker", "a\x1b]0;x\x07", "x" * 500]
)
def test_columns_stay_under_each_other_whatever_the_name(name: str) -> None:
    lines = table(
        [
            {"printer_id": 1, "printer_name": name, "printer_last_health": "offline"},
            {"printer_id": 2, "printer_name": "plain", "printer_last_health": "offline"},
        ]
    ).splitlines()
    assert len(column(lines, ["LAST", "offline", "offline"])) == 1
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < CELL_LIMIT + 60


@pytest.mark.parametrize("value", [None, "", " ", "\n"])
def test_what_the_server_does_not_say_is_a_dash(value: object) -> None:
    keys = ("printer_id", "printer_name", "printer_last_health", "firmware", "is_primary")
    assert table([dict.fromkeys(keys, value)]).splitlines()[1].split() in (["-"] * 5, ["\\n", "\\n", "\\n", "\\n", "-"])


@pytest.mark.parametrize("value", [5, 1.5, True, ["a"], {"a": None}, 10**40])
def test_a_value_of_another_type_is_shown_as_json(value: object) -> None:
    row = table([{"printer_id": value, "is_primary": "yes", "is_job_scoped": 1}]).splitlines()[1]
    assert row.split()[1:] == ["-"] * 4
    assert row[0] in "51[{t"


def test_no_printers_leave_the_heading() -> None:
    assert table([]).splitlines() == ["ID  NAME  LAST HEALTH  FIRMWARE  RIGHTS"]

"""Odd forms of lines, on each firmware: what its parser does with them, and whether such a file is let through.

`forms.tsv` has a row for each form and a column for each firmware: «refused» or «passes», and what the model of its
parser (tests.support.firmware_readers, which names the sources) executes, with the targets that it sets; `inf` stands
for a temperature that cannot be known. `python -m tests.support.gcode_forms` writes the columns anew. A form that
passes may do nothing that is over the limits or refused.
"""

from __future__ import annotations

from itertools import islice

import pytest

from agent.gcode.command_policy import DIALECTS
from tests.support.gcode_forms import FORMS, cells, harm, line_of, mutations, verdict

TABLE = FORMS.read_text(encoding="ascii").splitlines()
ROWS = [row.split("\t") for row in TABLE[1:]]

MUTATIONS = 3_000
SEEDS = (11, 12)


def test_the_table_has_a_column_for_each_firmware_and_enough_rows() -> None:
    assert TABLE[0].split("\t") == ["line", *DIALECTS]
    assert len({row[0] for row in ROWS}) == len(ROWS) >= 400


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_each_form_is_read_and_judged_as_the_table_says(row: list[str]) -> None:
    line = line_of(row[0])
    refused = verdict(line)
    assert row[1:] == cells(line, refused)
    for dialect in DIALECTS:
        assert dialect in refused or not harm(line, dialect), dialect


@pytest.mark.parametrize("dialect", DIALECTS)
def test_on_each_firmware_many_forms_heat_over_the_limit_and_none_of_them_passes(dialect: str) -> None:
    hot = [row[0] for row in ROWS if any("heats" in found for found in harm(line_of(row[0]), dialect))]
    assert len(hot) >= 40
    assert all(dialect in verdict(line_of(form)) for form in hot)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_mutation_of_a_heating_line_that_passes_does_harm(seed: int) -> None:
    passed = 0
    for line in islice(mutations(seed), MUTATIONS):
        refused = verdict(line)
        for dialect in DIALECTS:
            if dialect not in refused:
                assert not harm(line, dialect), (dialect, line)
                passed += 1
    assert passed > MUTATIONS // 2  # else nothing would have been tried

"""A slice of `make hostile`: an agent that prints is attacked, and its figures hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.hostile.case import Figures
from benchmarks.hostile.groups import GROUPS, QUICK
from benchmarks.hostile.run import Selection, run_groups

SLICES = {
    "publisher": {"braces", "cancels-2000"},
    "printer": {"printer-garbage", "printer-capabilities"},
    "files": {"file-silent", "logs-redirect"},
}


@pytest.mark.parametrize("slice_", SLICES)
def test_the_figures_hold_under_attack(slice_: str, tmp_path: Path) -> None:
    said: list[str] = []
    summary = run_groups(GROUPS, Selection(frozenset(SLICES[slice_])), tmp_path, said.append)
    assert not summary.broken, "\n".join(said)
    assert summary.figures.keys() == SLICES[slice_]
    assert sum(figures.lines for figures in summary.figures.values()) > 0


@pytest.mark.parametrize(
    "figures",
    [
        Figures(peak_mb=64.1),
        Figures(cancel_s=1.01),
        Figures(pause_s=1.01),
        Figures(state_mb=32.1),
        Figures(log_mb_a_minute=1.01),
    ],
    ids=repr,
)
def test_a_figure_beyond_its_limit_is_broken(figures: Figures) -> None:
    assert len(figures.broken()) == 1


def test_each_case_has_a_name_of_its_own_and_says_who_attacks_with_what() -> None:
    cases = [one for group in GROUPS for one in group.cases]
    names = [one.name for one in cases]
    assert len(set(names)) == len(names) >= 75
    assert set(names) >= QUICK
    assert all(one.attacker and one.what and one.expected for one in cases)

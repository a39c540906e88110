"""Progress of a script as a number and in words."""

from __future__ import annotations

import pytest

from agent.core.driver import ScriptProgress
from agent.core.script_progress import describe, fraction


@pytest.mark.parametrize(
    ("script", "share", "words"),
    [
        (ScriptProgress(0, 0), 0.0, "0 lines done, until it stands still"),
        (ScriptProgress(0, 2), 0.0, "line 1 of 2"),
        (ScriptProgress(1, 2), 0.5, "line 2 of 2"),
        (ScriptProgress(1, 2, "Probing mesh point 1/4."), 0.5, "line 2 of 2: Probing mesh point 1/4."),
        (ScriptProgress(1, 2, "Probing mesh point 3/4."), 0.75, "line 2 of 2: Probing mesh point 3/4."),
        (ScriptProgress(0, 1, "point 9 of 10"), 0.8, "line 1 of 1: point 9 of 10"),
        (ScriptProgress(0, 1, "probe at 10.0,20.0 is z=0.1"), 0.0, "line 1 of 1: probe at 10.0,20.0 is z=0.1"),
        (ScriptProgress(0, 1, "5/4"), 0.0, "line 1 of 1: 5/4"),
        (ScriptProgress(0, 1, "0/0"), 0.0, "line 1 of 1: 0/0"),
        (ScriptProgress(0, 1, "1" * 300 + "/2"), 0.0, "line 1 of 1: " + "1" * 300 + "/2"),
        (ScriptProgress(2, 2), 1.0, "2 lines done, until it stands still"),
        (
            ScriptProgress(2, 2, "Probing mesh point 3/4."),
            1.0,
            "2 lines done, until it stands still: Probing mesh point 3/4.",
        ),
    ],
)
def test_lines_and_the_points_within_one_are_counted(script: ScriptProgress, share: float, words: str) -> None:
    assert (fraction(script), describe(script)) == (share, words)

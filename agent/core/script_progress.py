"""Progress of a script (home, park, calibrate) as a number and in words, from what the driver tells of it. Pure."""

from __future__ import annotations

import re

from agent.core.driver import ScriptProgress

_OF = re.compile(r"\b(\d{1,6}) ?(?:/|of) ?(\d{1,6})\b")


def fraction(script: ScriptProgress) -> float:
    """The share that is done, 0 to 1: its lines, and within the present one the points that the firmware counts
    («Probing mesh point 3/25.»: two are done)."""
    if not script.total:
        return 0.0
    within = 0.0
    if found := _OF.search(script.said):
        number, count = int(found[1]), int(found[2])
        within = (number - 1) / count if 1 <= number <= count else 0.0
    return min((script.done + within) / script.total, 1.0)


def describe(script: ScriptProgress) -> str:
    """How far it is, for a person: `line 2 of 2: Probing mesh point 3/25.`"""
    if script.done >= script.total:
        text = f"{script.total} lines done, until it stands still"
    else:
        text = f"line {script.done + 1} of {script.total}"
    return f"{text}: {script.said}" if script.said else text

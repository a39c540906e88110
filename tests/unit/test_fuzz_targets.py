"""Each parser of text from outside bears a few hundred mutated examples; `make fuzz` tries many more."""

from __future__ import annotations

import random

import pytest

from benchmarks.fuzz.table import TARGETS

TRIALS = {"http_answers": 200, "websocket_frames": 100, "gcode_files": 200, "configurations": 100}
"""Those that take longer; all others 1,000."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_bears_whatever_comes(name: str) -> None:
    choose = random.Random(f"tests of {name}")
    with TARGETS[name].prepare() as trial:
        for _ in range(TRIALS.get(name, 1_000)):
            trial(choose)

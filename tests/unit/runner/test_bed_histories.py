"""A slice of the random histories of the bed; `make room` has ten thousand."""

from __future__ import annotations

import pytest

from agent.core.bed import STARTS, BedState, Start
from benchmarks.room_histories import play

SLICE = range(1, 16)


def test_no_history_begins_on_an_unconfirmed_bed_and_none_is_refused_a_confirmed_one() -> None:
    figures, wrong = play(SLICE)
    assert not wrong
    assert figures["kills"] > 20
    assert figures["starts"] > 10


def test_the_model_notices_a_start_that_nobody_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STARTS, (BedState.NOT_CONFIRMED, "ask"), Start.BEGIN)
    assert "begins on an unconfirmed bed" in play(SLICE)[1]

"""What counts as an answer of a printer that is asked where it is, and what does not."""

from __future__ import annotations

import pytest

from drivers.gcode.protocol.replies import parse
from drivers.gcode.session.position_query import MAX_UNINFORMATIVE_OKS, PositionQuery
from drivers.gcode.timing import Timing

TIMING = Timing()
NO_LINE = "the printer's firmware does not say where it is"


class Query:
    """A query that has asked, and a clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 10.0
        self.query = PositionQuery(lambda data: None, TIMING, self.now)
        self.query.step(self.now)
        self.now = self.query.due()
        self.query.step(self.now)

    def hear(self, *lines: str) -> PositionQuery:
        for line in lines:
            for event in parse(line.encode()):
                self.query.heard(event, self.now)
        return self.query


@pytest.mark.parametrize(("line", "count"), [("ok", MAX_UNINFORMATIVE_OKS), ("ok T:20.0 /0.0", 4)])
def test_so_many_oks_without_a_line_end_the_query_and_not_one_less(line: str, count: int) -> None:
    asked = Query()
    assert asked.hear(*[line] * (count - 1)).failure == ""
    assert asked.hear(line).failure == NO_LINE


def test_an_error_that_wants_line_0_is_no_answer() -> None:
    asked = Query()
    assert asked.hear(*["Error:expected line 0 got 2147483646", "ok T:20.0 /0.0"] * 4).failure == NO_LINE


def test_an_ok_after_an_error_that_names_the_line_is_its_answer_and_counts_as_nothing_else() -> None:
    asked = Query()
    answer = ("Error:Line Number is not Last Line Number+1, Last Line: 41", "Res\ufffdnd", "ok T:20.0 /0.0")
    assert asked.hear(*answer, *["ok T:20.0 /0.0"] * 3).failure == ""
    assert asked.hear("ok T:20.0 /0.0").failure == NO_LINE

"""Reads of the serial port, cut into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.gcode.protocol.line_splitter import MAX_HEARD, LineSplitter


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_the_boundaries_of_chunks_change_nothing(data: bytes, cuts: list[int]) -> None:
    whole = LineSplitter().feed(data + b"\n")
    splitter, lines, last = LineSplitter(), [], 0
    for cut in sorted(cuts):
        lines += splitter.feed(data[last : max(last, cut)])
        last = max(last, cut)
    assert lines + splitter.feed(data[last:] + b"\n") == whole


def test_a_line_without_end_does_not_grow() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
    assert splitter.feed(b"\nok\n") == [b"x" * MAX_HEARD, b"ok"]

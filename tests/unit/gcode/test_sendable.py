"""Sendable lines from bytes, however they are cut and whatever else is in them."""

from __future__ import annotations

import tracemalloc
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gcode.sendable import LINE_LIMIT, LineBlocks, sendable, sendable_lists
from tests.unit.gcode.samples import LINES_AND_LAYERS, sliced, slow_lines

PIECES = (
    b"G1",
    b"X1.5",
    b" ",
    b"\t",
    b"\0",
    b";",
    b"(",
    b")",
    b"\n",
    b"\r",
    b"\r\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"M117 \xc3\xa4",
)
HUGE = (*PIECES, b"x" * LINE_LIMIT, b" " * 3 * LINE_LIMIT, b"((" * LINE_LIMIT)


def fast_lines(blocks: list[bytes]) -> list[bytes]:
    return list(chain.from_iterable(sendable_lists(blocks)))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cut_gives_what_the_slow_way_gives(data: bytes, places: list[int]) -> None:
    """docs/serial.md §11, §12: comments, blanks, NULs, all ends of a line, a last line without."""
    assert fast_lines(cut(data, places)) == slow_lines(data)


@given(st.lists(st.sampled_from(HUGE), max_size=12).map(b"".join), st.lists(st.integers(0, 100_000), max_size=12))
def test_any_cut_of_endless_lines_gives_what_the_slow_way_gives(data: bytes, places: list[int]) -> None:
    assert fast_lines(cut(data, places)) == slow_lines(data)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_byte_by_byte_is_the_same(data: bytes) -> None:
    assert fast_lines([bytes([byte]) for byte in data]) == slow_lines(data)


@given(st.lists(st.sampled_from(HUGE), max_size=12).map(b"".join), st.lists(st.integers(0, 100_000), max_size=12))
def test_an_offset_is_always_the_start_of_a_line(data: bytes, places: list[int]) -> None:
    whole = LineBlocks()
    lines: list[bytes] = []
    for block in cut(data, places):
        lines += sendable(whole.feed(block))
        rest = slow_lines(b"\n" + data[whole.offset :]) if whole.offset else slow_lines(data)
        assert lines + rest == slow_lines(data)
    whole.finish()
    assert whole.offset == len(data)


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
@pytest.mark.parametrize("block", [997, 65_536])
def test_real_files_give_what_the_slow_way_gives(name: str, block: int) -> None:
    data = sliced(name)[:400_000]
    assert fast_lines([data[at : at + block] for at in range(0, len(data), block)]) == slow_lines(data)


def test_the_size_of_an_endless_line_does_not_matter_to_memory() -> None:
    for start in (b"", b"G1 X1 ; ", b"G1 (", b"   "):
        whole = LineBlocks()
        whole.feed(start)
        block = b"ab c" * 16_384
        tracemalloc.start()
        for _ in range(100):
            assert whole.feed(block) == b""
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 600_000  # the 6.5 MB that went in would not fit
        assert len(whole.finish()) <= 2 * LINE_LIMIT + 2


def test_an_endless_comment_goes_on_whatever_it_looks_like_at_a_cut() -> None:
    long = b"x" * 3 * LINE_LIMIT
    assert fast_lines([b"G1 ;" + long + b")", b"Y2\nG2"]) == [b"G1", b"G2"]
    assert fast_lines([b"G1 (" + long, b";", b"X)Y2\nG2"]) == [b"G1 Y2", b"G2"]
    assert fast_lines([b"G1 (" + long + b")", b"Y2\r", b"\nG2"]) == [b"G1 Y2", b"G2"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"N12 G1 X1*99\nN13G28*7", [b"G1 X1", b"G28"]),
        (b"n5 M105 * 12 ", [b"M105"]),
        (b"N0 M110 N0*125\nM110 N5\nm110 n1\nM110", [b"M110"]),
        (b"M117 2*3", [b"M117 2*3"]),
        (b"N7", []),
        (b"NOZZLE_WIPE", [b"NOZZLE_WIPE"]),
        (b"M1100 N5", [b"M1100 N5"]),
        (b"(a;b) G1 (c)X1 ; (d\nG1(X2", [b"G1 X1", b"G1"]),
    ],
)
def test_numbers_checksums_and_renumbering_are_taken_out(text: bytes, lines: list[bytes]) -> None:
    """docs/serial.md §7, §11, §13."""
    assert sendable(text + b"\n") == lines

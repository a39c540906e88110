"""Times of a whole file: from the slicer where there are any, else from its moves, of a large one from samples."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.gcode import Index
from agent.gcode.move_times import MoveTimes
from agent.gcode.sampled_times import FULL_GROUPS, GROUP, HELD_BYTES, MAX_MARKS, SampledTimes
from tests.unit.gcode.samples import scan, sliced


def block(number: int) -> list[bytes]:
    """Moves of a group of lines; each fourth layer of ten groups is slow."""
    feed = 600 if number // 10 % 4 == 0 else 3_000
    return [b"G1 X%d Y%d E%d F%d" % (n % 100, n * 7 % 90, n, feed) for n in range(GROUP)]


class Counted(list[bytes]):
    """Lines that count how many of them are looked at."""

    looked_at = 0

    def __getitem__(self, key: object) -> object:  # type: ignore[override]
        found = super().__getitem__(key)  # type: ignore[call-overload]
        Counted.looked_at += len(found)
        return found


def reckoned(groups: int) -> SampledTimes:
    """A file of so many groups, beyond the bytes that wait."""
    times = SampledTimes()
    times.reach(HELD_BYTES)
    Counted.looked_at = 0
    for number in range(groups):
        times.feed(Counted(block(number)), 1 + number * GROUP, ())
    return times


def test_samples_of_a_large_file_tell_what_all_of_it_does() -> None:
    layers = [MoveTimes(), MoveTimes()]
    for number, layer in zip((0, 10), layers, strict=True):
        for _ in range(100):
            layer.feed(block(number))
            layer.settle()
    slow, fast = (layer.seconds / 100 for layer in layers)
    groups = FULL_GROUPS * 30
    lines, left = reckoned(groups).left()
    assert Counted.looked_at < groups * GROUP / 8
    assert left[0] == pytest.approx(groups * (slow + 3 * fast) / 4, rel=0.04)
    middle = next(at for at, line in enumerate(lines) if line >= groups * GROUP / 2)
    assert left[middle] == pytest.approx(left[0] / 2, rel=0.06)


def test_the_cost_and_the_marks_do_not_grow_with_the_file() -> None:
    """Twice as much of it costs half of what is always reckoned."""
    reckoned(FULL_GROUPS * 16)
    some = Counted.looked_at
    lines, left = reckoned(FULL_GROUPS * 32).left()
    assert Counted.looked_at <= some + FULL_GROUPS * GROUP * 0.6
    assert len(lines) == len(left) <= MAX_MARKS + 1


def test_what_is_set_in_lines_that_are_left_out_holds() -> None:
    """Each group begins in the other mode than the one before it: read in the wrong one, it is four times as long."""
    times = SampledTimes()
    times.reach(HELD_BYTES)
    for number in range(FULL_GROUPS * 8):
        mode = b"G91" if number % 2 else b"G90"
        places = [0] if number % 2 else range(0, 100, 20)
        moves = [b"G1 X%d Y%d F3000" % (x or n % 2 * 40 - 20, x // 2) for n in range(GROUP) for x in places][
            : GROUP - 1
        ]
        times.feed([mode, *moves], number * GROUP, [(0, mode)])
    straight = MoveTimes()
    for number in (0, 1):
        mode = b"G91" if number % 2 else b"G90"
        places = [0] if number % 2 else range(0, 100, 20)
        moves = [b"G1 X%d Y%d F3000" % (x or n % 2 * 40 - 20, x // 2) for n in range(GROUP) for x in places][
            : GROUP - 1
        ]
        straight.feed([mode, *moves])
        straight.settle()
    assert times.left()[1][0] == pytest.approx(straight.seconds * FULL_GROUPS * 4, rel=0.05)


def test_lines_of_a_file_that_turns_out_to_be_timed_are_not_looked_at() -> None:
    times = SampledTimes()
    Counted.looked_at = 0
    times.reach(HELD_BYTES - 1)
    times.feed(Counted(block(0)), 1, ())
    assert Counted.looked_at == 0
    times.reach(HELD_BYTES)
    assert Counted.looked_at >= GROUP


def curve(index: Index) -> list[float]:
    """Seconds that are left at each fifth of the lines."""
    found = [index.seconds_left(index.total_lines * part // 5) for part in range(6)]
    return [left for left in found if left is not None]


def without(data: bytes, *starts: bytes) -> bytes:
    """`data` without the lines that begin so."""
    return b"\n".join(line for line in data.split(b"\n") if not line.startswith(starts))


TIMES = (b"M73 ", b"; estimated", b";TIME_ELAPSED:", b";TIME:")


@pytest.mark.parametrize(("name", "near"), [("vase_prusaslicer", 0.1), ("cube_prusaslicer", 0.08), ("cube_cura", 0.25)])
def test_moves_tell_about_what_the_slicer_does(name: str, near: float) -> None:
    """CuraEngine supposes a printer that accelerates three times as fast."""
    with_times, with_none = scan(sliced(name)), scan(without(sliced(name), *TIMES))
    assert (with_times.left_from, with_none.left_from) == ("file", "moves")
    for ours, theirs in zip(curve(with_none)[:-1], curve(with_times)[:-1], strict=True):
        assert ours == pytest.approx(theirs, rel=near)
    assert curve(with_none)[-1] == 0.0


def test_a_slicers_total_is_spread_over_the_moves() -> None:
    index = scan(without(sliced("cube_prusaslicer"), b"M73 "))
    assert (index.left_from, index.seconds_left(0)) == ("file", 29 * 60)
    assert curve(index) == pytest.approx(curve(scan(sliced("cube_prusaslicer"))), rel=0.08, abs=20)


def test_minutes_that_are_cut_off_are_added_again() -> None:
    """PrusaSlicer says R28 from 28:59 to 28:00: what is left at the line where it begins is 29 minutes."""
    data = (
        b"; generated by PrusaSlicer 2.5.0\nM73 P0 R9\nG1 X1\nM73 P10 R8\nG1 X2\nM73 P11 R8\nG1 X3\nM73 P20 R7\nG1 X4\n"
    )
    index = scan(data)
    assert [index.seconds_left(line) for line in (1, 3, 7)] == [570, 540, 480]
    assert index.seconds_left(5) == 510  # R8 for the second time tells nothing
    assert scan(data.replace(b"PrusaSlicer", b"Other")).seconds_left(3) == 510
    assert scan(data + b"; estimated printing time (normal mode) = 9m 50s\n").seconds_left(0) == 590


def test_marks_of_no_time_at_all_are_none() -> None:
    assert scan(b"M73 P0 R0\n" + b"G1 X50 F600\nG1 X1\n" * 9).left_from == "moves"


def test_a_file_without_moves_has_no_time() -> None:
    index = scan(b"M104 S0\nG4 S1\nM84\n")
    assert (index.left_from, index.seconds_left(1), index.position(1).seconds_left) == ("", None, None)


@pytest.mark.parametrize(
    ("text", "line"), [("M220 S80\n", 2), ("M220\n", 0), ("M220 B\n", 0), ("M2200 S5\n", 0), ("M220 B\nM220 S50\n", 3)]
)
def test_the_line_from_which_the_file_sets_the_speed_is_known(text: str, line: int) -> None:
    assert scan(f"G28\n{text}G1 X1\n".encode()).own_speed == line


def test_a_time_beyond_all_reason_is_none() -> None:
    lines: Sequence[bytes] = [b"G91", *[b"G1 X90000 F0.001"] * 900]
    assert scan(b"\n".join(lines)).left_from == ""

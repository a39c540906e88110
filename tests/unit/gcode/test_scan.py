"""One pass: lines, layers, times, seek points."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from agent.errors import DataError
from agent.gcode import Caution, FileSource, Index
from agent.gcode.index import FORMAT, Thinned
from tests.unit.gcode.samples import LINES_AND_LAYERS, scan, sliced, slow_lines


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_lines_and_layers_of_the_real_files_are_exact(name: str) -> None:
    index = scan(sliced(name))
    assert (index.total_lines, index.total_layers) == LINES_AND_LAYERS[name]
    assert index.size == len(sliced(name))
    unfilled = (Caution("a placeholder was not filled in by the slicer", 19_250),)  # CuraEngine without Cura
    assert index.warnings == (unfilled if name == "cube_cura" else ())


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_the_size_of_the_blocks_does_not_matter(name: str) -> None:
    data = sliced(name)[:300_000]
    whole = scan(data)
    for block in (501, 4_096, 1 << 20):
        other = scan(data, block=block)
        assert (other.layer_starts, other.shares, other.left_lines) == (
            whole.layer_starts,
            whole.shares,
            whole.left_lines,
        )


def test_a_layer_starts_with_the_line_after_its_comment() -> None:
    index = scan(b"G28\n;LAYER_CHANGE\n;Z:0.2\nG1 Z.2\nG1 X1 E1\n;LAYER_CHANGE\nG1 Z.4\n;LAYER_CHANGE\n; nothing\n")
    assert index.layer_starts == (2, 4)
    assert [index.position(line).layer for line in range(5)] == [0, 0, 1, 1, 2]


def test_only_the_first_kind_of_layer_comment_counts() -> None:
    assert scan(b";LAYER_CHANGE\n;LAYER:0\nG1 X1\n;LAYER_CHANGE\n;LAYER:1\nG1 X2\n").total_layers == 2


def test_layers_from_comments_and_from_moves_are_the_same() -> None:
    """The comments of the real files are taken out: their moves must tell the same layers."""
    for name in ("demo", "cube_prusaslicer", "cube_cura"):
        data = sliced(name).replace(b"\n;LAYER", b"\n;no")
        assert scan(data).total_layers == LINES_AND_LAYERS[name][1], name


SQUARE = "G1 X{0} Y0 E{1}\nG1 X{0} Y9 E{2}\nG1 X0 Y9 E{3}\nG1 X0 Y0 E{4}\n"


def tower(heights: list[float], start: str = "", *, relative: bool = False) -> bytes:
    """A square at each height, with a Z-hop of 2 mm to the next one."""
    text, e = start, 0.0
    for z in heights:
        text += f"G1 Z{z + 2:.3f}\nG1 X5 Y5 F9000\nG1 Z{z:.3f}\n"
        text += SQUARE.format(9, *((1, 1, 1, 1) if relative else (e + 1, e + 2, e + 3, e + 4)))
        e += 4
    return text.encode()


@pytest.mark.parametrize(
    "start",
    [
        "",
        "M83\n",
        "G92 E0\nG1 Z0.2\nG1 X50 E9 F1000\nG1 X90 E12\nG92 E0\n",  # priming at the first layer's height
        "G92 E0\nG1 Z0.15\nG1 X50 E9 F1000\nG1 X90 E12\nG92 E0\n",  # … below it
        "G92 E0\nG1 Z5\nG1 X50 E9 F1000\nG1 X60 E10\nG1 X70 E11\nG1 X90 E12\nG92 E0\n",  # … far above it
        "G1 Z7\nG1 E10\nG92 E0\n",  # purging on the spot
        "G91\nG1 Z3\nG90\nM82\nG92 E0\n",
    ],
)
def test_hops_and_priming_are_not_layers(start: str) -> None:
    relative = start == "M83\n"
    assert scan(tower([0.2, 0.4, 0.6, 0.8], start, relative=relative)).total_layers == 4


def test_objects_printed_one_after_the_other_share_their_layers() -> None:
    assert scan(tower([0.2, 0.4, 0.6, 0.2, 0.4, 0.6, 0.8])).total_layers == 4


def test_relative_moves_are_summed_up() -> None:
    layer = "G1 Z0.2\nG1 X5 E1\nG1 Y5 E1\nG1 X-5 E1\nG1 Y-5 E1\nG1 E-1\nG1 X9\n"
    assert scan(("G91\n" + layer * 7 + "G90\n").encode()).total_layers == 7


@pytest.mark.parametrize("block", [1, 30, 65_536])
def test_a_height_that_was_renamed_is_what_later_heights_are_compared_with(block: int) -> None:
    """G92 Z: the layers are counted by the file's own heights; without a Z it leaves the height as it is."""
    square = "G1 X5 Y5 E1\nG1 X9 E2\nG1 Y9 E3\nG1 X5 E4\n"
    data = f"G28\nG1 Z3\nG92 Z0.2\n{square}G92 E0\nG1 Z0.4\n{square}G92 E0 X7\n{square}G92 Z0.6 E0\n{square}"
    assert scan(data.encode(), block=block).layer_starts == (4, 10, 20)


@pytest.mark.parametrize("block", [1, 30, 65_536])
def test_a_wipe_that_retracts_above_the_layer_is_not_a_layer(block: int) -> None:
    layer = "".join(f"G1 X{n % 7} Y3 E{n}\n" for n in range(1, 10))
    data = f"G1 Z0.2\n{layer}G1 Z2.2\nG1 X9 E8\nG1 X1\nG1 Z0.4\nG1 E9\nG1 X5 E10\n"
    index = scan(data.encode(), block=block)
    assert index.layer_starts == (2, 16)


def test_after_relative_moves_the_extruders_place_is_not_guessed() -> None:
    moves = "G1 X1 E1\nG1 X2 E1\nG1 X3 E1\nG1 X4 E1\n"
    data = f"M83\nG1 Z0.2\n{moves}G1 Z5\nM82\nG1 X9 E3.5\nG1 Z0.4\nG1 X5 E4.5\n"
    assert scan(data.encode()).layer_starts == (3, 11)


def test_prusaslicers_marks_give_progress_and_time() -> None:
    index = scan(sliced("vase_prusaslicer"))
    assert index.slicer == "PrusaSlicer 2.5.0"
    assert index.estimate == 85 * 60 + 36
    assert index.position(0).seconds_left == 85 * 60 + 36  # R85, and the estimate at the end of the file
    half = index.position(index.total_lines // 2)
    assert half.progress == pytest.approx(0.51, abs=0.02)
    assert half.seconds_left == pytest.approx(41 * 60, abs=60)


def test_curas_elapsed_times_give_progress_and_time_and_its_placeholder_does_not() -> None:
    index = scan(sliced("cube_cura"))
    assert index.slicer == "Cura_SteamEngine 4.13.0"
    assert index.estimate == pytest.approx(1707.574886)
    assert index.position(0).seconds_left == 1708
    assert index.position(index.total_lines // 2).seconds_left == 842
    assert index.position(index.total_lines).seconds_left == 0


def test_without_any_time_the_share_of_the_lines_is_the_progress_and_the_moves_tell_the_time() -> None:
    index = scan(sliced("cube_slic3r"))
    assert (index.slicer, index.estimate, index.left_from) == ("Slic3r 1.3.0", None, "moves")
    place = index.position(4_881)
    assert (place.layer, place.total_layers, place.progress) == (41, 80, 0.5)
    assert place.seconds_left == pytest.approx(713, abs=30)


def test_a_true_time_comment_is_used() -> None:
    index = scan(b";TIME:100\nG1 X1\nG1 X2\nG1 X3\nG1 X4\n")
    assert [index.position(line).seconds_left for line in range(5)] == [100, 75, 50, 25, 0]
    assert scan(b";TIME:6666\nG1 X1\n").estimate is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1d 2h 3m 4s", 93_784), ("7m 54s", 474), ("59s", 59), ("", None), ("abc", None)],
)
def test_estimates_are_read(text: str, seconds: float | None) -> None:
    data = f"G28\n; estimated printing time (normal mode) = {text}\n; estimated printing time (silent mode) = 9d\n"
    assert scan(data.encode()).estimate == seconds


@pytest.mark.parametrize(
    "mark",
    [
        b"M73 P1 R" + b"9" * 70,
        b";TIME:999999999999",
        b";TIME_ELAPSED:999999999999",
        b"; estimated printing time (normal mode) = " + b"9" * 60 + b"d",
    ],
)
def test_a_mark_of_more_time_than_a_print_can_take_is_none(mark: bytes) -> None:
    """It stood in the reports, a number of seventy digits."""
    index = scan(b"G28\n" + mark + b"\nG1 X1\nG1 X2\n")
    assert (index.estimate, index.position(1).seconds_left) == (None, None)


def test_silent_marks_are_ignored_and_wild_ones_do_no_harm() -> None:
    data = b"M73 Q50 S9\nG1 X1\nM73 P60 R4\nG1 X1\nM73 P20\nM73 P900 R\nM73\nM730 P99\nG1 X1\nG1 X2\n"
    index = scan(data)
    progress = [index.position(line).progress for line in range(index.total_lines + 1)]
    assert progress == sorted(progress)
    assert progress[3] == 0.6
    assert (index.position(0).seconds_left, index.position(index.total_lines).seconds_left) == (240, 0)


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_progress_never_falls_and_goes_from_0_to_1(name: str) -> None:
    index = scan(sliced(name))
    places = [index.position(line) for line in (*range(0, index.total_lines, 7), index.total_lines)]
    assert all(a.progress <= b.progress and a.layer <= b.layer for a, b in pairwise(places))
    assert (places[0].progress, places[0].layer) == (0.0, 0)
    assert (places[-1].progress, places[-1].layer) == (1.0, index.total_layers)
    assert index.position(-5) == index.position(0)
    assert index.position(10**9) == places[-1]


def test_a_mark_at_the_last_line_does_not_keep_the_end_from_being_the_end() -> None:
    index = scan(b"G1 X1\nM73 P50 R3\n")
    assert (index.position(2).progress, index.position(2).seconds_left) == (1.0, 0)


def test_a_mark_before_the_first_line_does_not_keep_the_start_from_being_the_start() -> None:
    index = scan(b";TIME_ELAPSED:5\nG1 X1\nG1 X2\n;TIME_ELAPSED:10\n")
    assert [index.position(line).progress for line in range(3)] == [0.0, 0.75, 1.0]


def test_an_index_survives_being_written_down() -> None:
    index = scan(sliced("demo"))
    assert Index.decode(index.encode()) == index


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_index_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Index.decode(data)


def test_an_index_of_another_version_is_refused() -> None:
    data = scan(b"G28\n").encode().replace(b'"format":%d' % FORMAT, b'"format":99')
    with pytest.raises(DataError, match="format 99"):
        Index.decode(data)


def test_thinning_keeps_the_first_and_every_stepth() -> None:
    thinned: Thinned[None] = Thinned(10)
    for number in range(1_000):
        thinned.add(number, None)
    assert thinned.count == 1_000
    assert len(thinned.keys()) <= 10
    assert thinned.keys() == tuple(range(0, 1_000, thinned.step))


def test_a_file_of_very_many_layers_stays_bounded_and_nearly_exact() -> None:
    index = scan(b";LAYER_CHANGE\nG1 X1\nG1 X2\n" * 40_000)
    assert index.total_layers == 40_000
    assert len(index.layer_starts) <= 16_384
    assert abs(index.position(60_001).layer - 30_001) < index.layer_step


def test_seek_points_lead_to_the_right_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("gcode") / "vase.gcode"
    path.write_bytes(sliced("vase_prusaslicer").replace(b"\n", b"\r\n"))
    index = scan(path.read_bytes(), block=10_007)
    assert len(index.seek_lines) > 40
    source = FileSource(path, index)
    lines = slow_lines(sliced("vase_prusaslicer"))
    rng = random.Random(1)
    for start in (1, 2, index.total_lines, *index.seek_lines[:50], *(rng.randrange(1, len(lines)) for _ in range(50))):
        assert next(source.lines(start)) == lines[start - 1]

"""Moves far outside, inches, extruding while cold: found before the print, with the line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataError
from agent.gcode import Caution, Limits
from agent.gcode.program_check import COLD, INCHES, TOLERANCE, at_least
from tests.unit.gcode.samples import LINES_AND_LAYERS, scan, sliced

BED = Limits(volume=(220.0, 220.0, 250.0))


@pytest.mark.parametrize(
    "line",
    [b"G1 X241", b"G1 Y-131 F100", b"G0 X10 Y999.5", b"G1 Z271", b"G1 Z-21", b"G2 X1000 Y1 I1 J1", b"G01 X241"],
)
def test_a_move_far_outside_the_build_volume_is_refused_with_its_line(line: bytes) -> None:
    for block in (5, 65_536):
        with pytest.raises(DataError, match=r"line 3 of the file: the move goes to . \S+ mm, far outside .* 250 mm"):
            scan(b"; X999\nG28\n" + line + b"\nG1 X1\n", limits=BED, block=block)


@pytest.mark.parametrize(
    "lines",
    [
        b"G1 X240.9",
        b"G1 Y-130.5",
        b"G1 Z270",
        b"G1 X1 ; X999",
        b"M117 X999",
        b"G91\nG1 X500\nG90",
        b"G92 X0\nG1 X500",
        b"G20\nG1 X500\nG21",
        b"N7 G91\nN8 G1 X500\nN9 G90",
        b"G1 X1 (X999) Y1",
        b"M92 X400 Y400 Z4000",
        b"M201 X9000",
        b"G1 E500",
    ],
)
def test_what_is_within_the_tolerance_or_no_place_on_the_bed_passes(lines: bytes) -> None:
    assert scan(b"G28\n" + lines + b"\n", limits=BED).total_lines


def test_relative_moves_and_inches_end_with_their_modes() -> None:
    for mode in (b"G91\nG1 X500\nG90\n", b"G20\nG1 X500\nG21\n", b"G92 E0\n"):
        for block in (3, 65_536):
            with pytest.raises(DataError, match="X 500 mm"):
                scan(b"G28\n" + mode + b"G1 X500\n", limits=BED, block=block)


@pytest.mark.parametrize("renamed", [b"G92 X0", b"G92 Y7", b"G92 Z0", b"G92 E0 Z0.2", b"G92"])
def test_once_an_axis_was_renamed_no_coordinate_is_a_place_on_the_bed(renamed: bytes) -> None:
    """docs/gcode.md «Modal state»: a bare G92 renames all axes; no homing names them as before."""
    for move in (b"G1 X500", b"G1 Y500", b"G1 Z500"):
        for block in (3, 65_536):
            assert scan(b"G28\n" + renamed + b"\nG28\nG90\n" + move + b"\n", limits=BED, block=block).total_lines == 5


@pytest.mark.parametrize("code", [b"G92 E0", b"G92 E", b"G92 E-1.5 ; Z", b"G920 Z0", b"M92 Z400"])
def test_what_renames_only_the_extruder_or_nothing_leaves_places_what_they_are(code: bytes) -> None:
    with pytest.raises(DataError, match="Z 500 mm"):
        scan(b"G28\n" + code + b"\nG1 Z500\n", limits=BED)


def test_without_a_known_volume_no_move_is_refused() -> None:
    assert scan(b"G28\nG1 X9999\n").total_lines == 2


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_sliced_files_pass_on_the_bed_they_were_sliced_for(name: str) -> None:
    index = scan(sliced(name), limits=Limits(volume=(250.0, 220.0, 220.0)))
    assert COLD not in [caution.text for caution in index.warnings]
    assert INCHES not in [caution.text for caution in index.warnings]


@given(limit=st.integers(min_value=1, max_value=99_999), number=st.integers(min_value=0, max_value=999_999))
def test_the_pattern_for_large_numbers_means_what_it_says(limit: int, number: int) -> None:
    assert bool(re.match(at_least(limit), str(number))) == (number >= limit)


def test_the_tolerance_is_as_documented() -> None:
    assert TOLERANCE == 20.0


def test_inches_are_warned_of() -> None:
    assert Caution(INCHES, 2, 1) in scan(b"G28\nG20\nG1 X1\n").warnings


@pytest.mark.parametrize(
    ("data", "cautions"),
    [
        (b"G28\nG1 X1 E1\nM104 S200\n", [Caution(COLD, 2)]),
        (b"G28\n; E\nG1 X1 ; E5\nG1 X2 E-1\nG1 X3 E2\n", [Caution(COLD, 4)]),
        (b"M109 S200\nG1 X1 E1\n", []),
        (b"M104 S200\nG1 X1 E1\n", []),
        (b"M302\nG1 X1 E1\n", []),
        (b"START_PRINT EXTRUDER=210\nG1 X1 E1\n", []),
        (b"G28\nG92 E0\nG1 X1\n", []),
    ],
)
def test_extruding_before_any_heat_is_warned_of_once(data: bytes, cautions: list[Caution]) -> None:
    for block in (4, 65_536):
        assert list(scan(data, block=block).warnings) == cautions


def test_other_waits_for_a_person_are_warned_of_too() -> None:
    assert [c.text for c in scan(b"G28\nM226 P2\n@pause\n").warnings] == [
        "M226 waits for a person",
        "@pause waits for a person",
    ]


def test_the_warnings_are_one_text_for_a_person() -> None:
    index = scan(b"G28\nM600\nM600\nG91\n")
    assert index.caution() == (
        "M600 waits for a person (line 2, 2 times); relative positioning (G91) is still on at the end (line 4)"
    )
    assert scan(b"G28\n").caution() == ""

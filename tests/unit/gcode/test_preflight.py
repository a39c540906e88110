"""What must not be printed is refused while it arrives, with the line and the reason."""

from __future__ import annotations

import gzip

import pytest

from agent.core.driver import COMMAND_SIZE
from agent.errors import DataError
from agent.gcode import Caution, Limits, Scanner
from agent.gcode.command_policy import DIALECTS
from agent.gcode.framing import framed_length
from agent.gcode.preflight import refusal
from tests.unit.gcode.samples import scan, sliced


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "holds no line to send"),
        (b"; only\n\n(comments)\r\n", "holds no line to send"),
        (b"\n\n  <!DOCTYPE html><html>", r"line 3 of the file: .*looks like an HTML page[^«]*$"),
        (b'{"error": 1}', "line 1 of the file: not G-code"),
        (b"solid cube\n  facet normal 0 0 1\n", "holds no G, M or T command"),
        (b"G28\r\n; x\r\n%\r\n", "line 3 of the file: not G-code[^%]*$"),
        (b"G28\r-1\r", "line 2 of the file: not G-code"),
        (b"G28\n" + b"\0" * 500, "504 bytes are NUL"),
        (gzip.compress(b"G28\n", mtime=0), "the file is a gzip archive"),
        (b"GCDE\1\0\0\0", "binary G-code"),
        (b"PK\3\4....", "ZIP"),
        (b"G28\nM112\n", r"line 2 of the file: M112 \(emergency stop\)"),
        (b"G28\n G28 M112 ; x\n", "line 2 of the file: M112"),
        (b"G28\nm0112\n", "M112"),
        (b"M106 S5 M112\n", "M112"),
        (b"M204 S5 m112\n", "M112"),
        (b"G28\nM112.1\n", "M112"),
        (b"M117 see M110 Now\n", "lose count"),
        (b"\xff\xfeG\0001\0 \0", "NUL|not G-code"),
    ],
)
def test_a_file_that_is_no_gcode_is_refused(data: bytes, message: str) -> None:
    for block in (1, 7, 65_536):
        with pytest.raises(DataError, match=message):
            scan(data, block=block)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"M104 S300.5", "M104 asks for 300.5 °C, allowed for the tool are 300 °C"),
        (b"M109 R999", "M109 asks for 999 °C"),
        (b"M109T1R999", "M109 asks for 999 °C"),
        (b"m140 s121", "M140 asks for 121 °C, allowed for the bed are 120 °C"),
        (b"M190 S 500", "bed"),
        (b"M0190 S500", "bed"),
        (b"M104.1 S400", "M104"),
        (b"M 190 S+500", "bed"),
        (b"M141 S81", "chamber"),
        (b"M191 S99999999999999999999", "chamber"),
        (b"G28 M104 S400", "M104"),
        (b"M104 S200 S400", "M104"),
        (b"N4 M104 S400*7", "M104"),
    ],
)
def test_too_hot_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"line 3 of the file: .*{message}"):
        scan(b"; hot\nG28\n" + line + b"\nG1 X1\n")


@pytest.mark.parametrize(
    "line", [b"M104 S300", b"M140 S0", b"M104 S-5", b"M104", b"M117 M104 S999", b"M106 S255", b"M1040 S999", b"T1"]
)
def test_what_is_allowed_passes(line: bytes) -> None:
    assert scan(b"G28\n" + line + b"\n").total_lines == 2


def test_the_limits_are_those_of_the_configuration() -> None:
    with pytest.raises(DataError, match="allowed for the tool are 200 °C"):
        scan(sliced("demo"), limits=Limits(tool=200))
    assert scan(b"M104 S400\n", limits=Limits(tool=450)).total_lines == 1


def test_the_longest_line_that_fits_passes_and_one_byte_more_does_not() -> None:
    """docs/serial.md §11: refused before the print starts, number and checksum counted."""
    for before in (0, 8, 9, 98, 99, 5_000):
        head = b"G1 X1\n" * before
        fits = max(n for n in range(200) if framed_length(before + 1, b"M117 " + b"x" * n) <= COMMAND_SIZE - 1)
        assert scan(head + b"M117 " + b"x" * fits).total_lines == before + 1
        over = next(n for n in range(200) if framed_length(before + 1, b"M117 " + b"x" * n) > COMMAND_SIZE - 1)
        with pytest.raises(DataError, match=rf"line {before + 1} of the file: the line is 9\d bytes .* allowed are 95"):
            scan(head + b"M117 " + b"x" * over, dialect="marlin")
        assert set(DIALECTS) - set(scan(head + b"M117 " + b"x" * over).refused) == {"klipper"}


def test_the_framed_length_counts_number_and_checksum() -> None:
    assert framed_length(0, b"M110 N0") == len(b"N0 M110 N0*125")
    assert framed_length(12_345, b"G1 X1.5 Y2") in (len(b"N12345 G1 X1.5 Y2*9") + k for k in range(3))


def test_an_endless_line_is_refused_with_a_short_excerpt() -> None:
    with pytest.raises(DataError) as caught:
        scan(b"G28\n" + b"G1 X" + b"1" * 500_000)
    assert "line 2 of the file" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_line_number_is_right_far_into_a_file_with_any_line_end() -> None:
    data = sliced("cube_prusaslicer")
    lines = data.count(b"\n")
    for end in (b"\n", b"\r\n", b"\r"):
        with pytest.raises(DataError, match=f"line {lines + 1} of the file"):
            scan(data.replace(b"\n", end) + b"M112" + end, block=9_973)


def test_excerpts_hold_nothing_unprintable() -> None:
    with pytest.raises(DataError) as caught:
        scan(b"G28\n\x1b[31m\xff<b>\n")
    assert str(caught.value).isprintable()


def test_a_refused_file_is_refused_as_soon_as_the_line_is_there() -> None:
    scanner = Scanner()
    scanner.feed(b"G28\nM112")
    with pytest.raises(DataError, match="M112"):
        scanner.feed(b"\nG1 X1")


def test_damage_in_comments_and_a_few_nuls_do_not_stop_a_file() -> None:
    """docs/serial.md §12."""
    data = sliced("demo")
    damaged = data.replace(b";TYPE:Skirt/Brim", b";TYPE:\xff\xfe\0\0\x80") + b"\0" * 512
    assert scan(damaged).total_lines == scan(data).total_lines


def test_waits_for_a_person_and_a_relative_end_are_warned_of_once_each() -> None:
    index = scan(b"G28\nM0 ; now\nM600\nM0\nM1\nM117 M0\nG90\nG91\nG92 E0\n")
    assert index.warnings == (
        Caution("M0 waits for a person", 2, 2),
        Caution("M600 waits for a person", 3, 1),
        Caution("M1 waits for a person", 5, 1),
        Caution("relative positioning (G91) is still on at the end", 9),
    )


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        (b"M104 S900", "M104 S900"),
        (b"M104 S900 hunter2", "M104 S900"),
        (b"G1 X10.5 Y-3 ; the password is hunter2", "G1 X10.5 Y-3"),
        (b"g1 x1 y2", "g1 x1 y2"),
        (b"g1x1y2", ""),
        (b"M117 hunter2", "M117"),
        (b"M1hunter2", ""),
        (b"G1_hunter2", ""),
        (b"T0ken=hunter2", ""),
        (b"token=hunter2", ""),
        (b"G12345678901", ""),
        (b"G1 X" + b"1" * 100, "G1"),
        (b"G1" + b" X1" * 40, "G1" + " X1" * 19 + "…"),
        (b"G28 " + b" " * 200_000 + b"!", "G28"),
    ],
)
def test_a_refused_line_is_quoted_only_as_far_as_it_is_gcode(line: bytes, quoted: str) -> None:
    """It may be an answer that whoever named its address is not entitled to read."""
    assert str(refusal(3, line, "why")) == "line 3 of the file: why" + (f": «{quoted}»" if quoted else "")

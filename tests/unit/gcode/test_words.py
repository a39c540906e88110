"""What a G-code word is, and which commands wait for a heater or a person."""

from __future__ import annotations

import pytest

from agent.errors import DataError
from agent.gcode.waiting import heat_wait, wants_person
from agent.gcode.words import command_word, host_line, uppercase


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"G1 X1", b"G1"),
        (b"G01X1", b"G1"),
        (b"T1", b"T"),
        (b"m104", b"M104"),
        (b"", b""),
        (b"\xff", b""),
        (b"G0", b"G0"),
    ],
)
def test_the_word_of_a_line(code: bytes, expected: bytes) -> None:
    assert command_word(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"g1 x1.5y-2 e.3", b"G1 X1.5Y-2 E.3"),
        (b"G1 x1 F600", b"G1 X1 F600"),
        (b"m104 s200 t0", b"M104 S200 T0"),
        (b"g28 x y", b"G28 X Y"),
        (b"t1", b"T1"),
        (b"m117 Hello you", b"M117 Hello you"),
        (b"M117 Layer 1 of 9", b"M117 Layer 1 of 9"),
        (b"M23 part.gco", b"M23 part.gco"),
        (b"G1 X1 Y2", b"G1 X1 Y2"),
        (b"SET_FAN_SPEED FAN=aux", b"SET_FAN_SPEED FAN=aux"),
        (b"@pause", b"@pause"),
        (b"g", b"g"),
    ],
)
def test_lower_case_is_written_as_the_firmware_knows_it(code: bytes, expected: bytes) -> None:
    """docs/serial.md §5a: lower-case g1 is unknown."""
    assert uppercase(code) == expected


def test_a_heat_wait_names_its_heater_target_and_setter() -> None:
    for code, setter, heater, target in (
        (b"M109 S200", b"M104 S200", "tool0", 200.0),
        (b"M109 R180 T1", b"M104 T1 S180", "tool1", 180.0),
        (b"M190S60", b"M140 S60", "bed", 60.0),
        (b"M191 S40", b"M141 S40", "chamber", 40.0),
    ):
        wait = heat_wait(code)
        assert wait is not None
        assert (wait.setter, wait.heater, wait.target) == (setter, heater, target)
    wait = heat_wait(b"M109 S200", tool=1)
    assert wait is not None
    assert wait.heater == "tool1", "without T it is the active one's"
    assert heat_wait(b"M109") is None
    assert heat_wait(b"M104 S200") is None


def test_m0_is_not_m0_everything() -> None:
    """docs/serial.md §26."""
    assert wants_person(b"M0") == "M0"
    for code in (b"M04", b"M003", b"M109 S0", b"M00x3", b"M117 M0", b"@paused"):
        assert wants_person(code) in ("", "M0") if code == b"M00x3" else wants_person(code) == ""


@pytest.mark.parametrize("line", ["G28\nM112", "G28\0", "M117 ä", "M117 " + "x" * 100])
def test_a_script_line_that_is_not_one_line_is_refused(line: str) -> None:
    with pytest.raises(DataError, match="G-code"):
        host_line(line)


def test_a_script_line_loses_its_comment() -> None:
    assert host_line("  G28 X ; home") == b"G28 X"
    assert host_line("; nothing") == b""
    assert host_line("g28 x") == b"G28 X"

"""What a G-code word is, and which commands wait for a heater or a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataError
from agent.gcode.waiting import heat_wait, wants_person
from agent.gcode.words import command_word, host_line, parameters, uppercase


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
        (b"G 028 X", b"G28"),
        (b"G92.1", b"G92"),
        (b"MESH_SAVE 1", b""),
        (b"S200", b""),
        (b"G\xc2\xb2", b""),
        (b"G1234567", b""),
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


@given(st.one_of(st.binary(max_size=60), st.text("GMTgmtXS019.+- \t*@\xe4\0", max_size=20).map(str.encode)))
def test_any_bytes_have_a_command_and_parameters_or_none(code: bytes) -> None:
    command = command_word(code)
    assert command == b"T" or not command or (command[:1] in b"GM" and command[1:].isdigit())
    assert all(len(letter) == 1 and letter.isupper() for letter in parameters(code))
    assert command_word(uppercase(code)) == command
    assert uppercase(uppercase(code)) == uppercase(code)
    assert uppercase(code).lower() == code.lower()
    heat_wait(code)
    wants_person(code)


@given(
    st.sampled_from("GM"), st.integers(0, 999_999), st.dictionaries(st.sampled_from("XYZEFS"), st.integers(-9999, 9999))
)
def test_words_that_were_written_are_read(letter: str, number: int, values: dict[str, int]) -> None:
    code = f"{letter}{number} " + " ".join(f"{name}{value / 100}" for name, value in values.items())
    assert command_word(code.encode()) == f"{letter}{number}".encode()
    assert parameters(code.encode()) == {name.encode(): value / 100 for name, value in values.items()}


@pytest.mark.parametrize("line", ["G28\nM112", "G28\0", "M117 ä", "M117 " + "x" * 100])
def test_a_script_line_that_is_not_one_line_is_refused(line: str) -> None:
    with pytest.raises(DataError, match="G-code"):
        host_line(line)


def test_a_script_line_loses_its_comment() -> None:
    assert host_line("  G28 X ; home") == b"G28 X"
    assert host_line("; nothing") == b""
    assert host_line("g28 x") == b"G28 X"

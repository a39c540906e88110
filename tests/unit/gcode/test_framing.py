"""Line numbers and checksums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gcode.framing import checksum, frame, framed_length, verify

CODE = st.binary(max_size=200).filter(lambda b: not set(b) & set(b"\r\n*"))


def test_the_first_line_of_a_job_has_the_checksum_that_everybody_knows() -> None:
    """docs/serial.md §7."""
    assert frame(0, b"M110 N0") == b"N0 M110 N0*125\n"


@given(number=st.integers(0, 10**9), code=CODE)
def test_what_was_framed_is_verified_and_the_same(number: int, code: bytes) -> None:
    assert verify(frame(number, code)) == (number, code)


@given(data=st.binary(max_size=300))
def test_the_checksum_is_the_exclusive_or_of_all_bytes(data: bytes) -> None:
    expected = 0
    for byte in data:
        expected ^= byte
    assert checksum(data) == expected if data else checksum(data) == 0


@given(number=st.integers(1, 10**6), code=CODE, data=st.data())
def test_a_line_with_one_byte_changed_is_refused(number: int, code: bytes, data: st.DataObject) -> None:
    """docs/serial.md §7."""
    line = bytearray(frame(number, code)[:-1])
    place = data.draw(st.integers(0, line.rindex(b"*") - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="checksum"):
        verify(bytes(line))


@given(line=st.one_of(st.binary(max_size=60), st.text("N0123456789 *GX\r\n\xb2", max_size=20).map(str.encode)))
def test_what_is_no_framed_line_is_a_value_error(line: bytes) -> None:
    try:
        number, code = verify(line)
    except ValueError:
        return
    assert verify(frame(number, code)) == (number, code)


@given(number=st.integers(0, 10**9), code=CODE)
def test_the_framed_length_is_that_of_the_line_without_its_newline(number: int, code: bytes) -> None:
    assert framed_length(number, code) == len(frame(number, code).removesuffix(b"\n"))

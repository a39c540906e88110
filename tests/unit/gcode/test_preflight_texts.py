"""What a person reads of a refused line, and which lines wait for one."""

from __future__ import annotations

import pytest

from agent.gcode import Limits
from agent.gcode.command_check import judge
from agent.gcode.command_policy import DIALECTS
from agent.gcode.preflight import EXCERPT, refusal

LIMITS = Limits()


@pytest.mark.parametrize(
    ("code", "warning"),
    [
        (b"@pause", "@pause waits for a person"),
        (b"@PAUSE change the filament", "@pause waits for a person"),
        (b"@pausing", ""),
        (b"@paus", ""),
        (b"M0 ready?", "M0 waits for a person"),
    ],
)
def test_a_line_that_waits_for_a_person_is_warned_of(code: bytes, warning: str) -> None:
    assert judge(code, LIMITS, "marlin") == ("", warning)


def test_a_line_is_quoted_whole_up_to_a_length_and_shortened_beyond_it() -> None:
    longest = "G28" + " X1" * 19
    assert len(longest) == EXCERPT
    assert f"«{longest}»" in str(refusal(1, longest.encode(), "why"))
    assert f"«{longest[:-1]}…»" in str(refusal(1, longest.encode() + b" X1", "why"))


@pytest.mark.parametrize(
    "line",
    [
        b"Hunter2 is the password",
        b"HUNTER2=1",
        b"HUNTER_ TEMP=inf",
        b"HUNTER_ TEMP=900",
        b"@hunter M104 S900",
        b"M117 hunter:*\\\x08",
        b"M104 S200 HUNTER2",
        b"M104 S{hunter2}",
        b"G1 X{hunter2}",
        b"G1 X1 #hunter2",
        b"_HUNTER2",
    ],
)
def test_no_refusal_tells_what_is_no_gcode(line: bytes) -> None:
    """The file may be an answer that whoever named its address is not entitled to read."""
    for dialect in DIALECTS:
        for text in judge(line, LIMITS, dialect):
            assert "hunter" not in text.lower(), text

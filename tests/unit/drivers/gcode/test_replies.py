"""What printers say."""

from __future__ import annotations

import re
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gcode.protocol.replies import ReplyKind, next_line_in, parse


def kinds(line: bytes) -> list[ReplyKind]:
    return [event.kind for event in parse(line)]


def heaters(line: bytes) -> dict[str, tuple[float, float | None]]:
    return {r.name: (r.actual, r.target) for e in parse(line) if e.kind is ReplyKind.TEMPERATURES for r in e.readings}


@given(line=st.one_of(st.binary(max_size=120), st.text(max_size=60).map(str.encode)))
def test_whatever_is_heard_is_some_event_with_at_most_one_credit_which_comes_first(line: bytes) -> None:
    are_credits = [event.kind is ReplyKind.OK for event in parse(line)]
    assert are_credits
    assert not any(are_credits[1:])


@given(
    head=st.sampled_from([b"ok", b"Resend:", b"rs N", b"T:", b"Error:", b"//action:", b"Cap:", b"busy:", b"T0:"]),
    rest=st.text(max_size=30).map(str.encode),
)
def test_what_begins_like_an_answer_is_one_and_asks_for_no_line_that_it_does_not_name(head: bytes, rest: bytes) -> None:
    line = head + rest
    events = parse(line)
    assert events
    named = {int(number) for number in re.findall(rb"[0-9]+", line.replace(b"\0", b""))}
    assert {event.number for event in events if event.kind is ReplyKind.RESEND} <= named | {-1}


@pytest.mark.parametrize(
    "line",
    [b"ok", b"ok 12", b"ok N7531 P15 B3", b"ok X:1.0 Y:2.0", b" ok", b"\0ok", b"File deleted:x.gcook"],
)
def test_one_credit_and_no_temperatures(line: bytes) -> None:
    """docs/serial.md §3, §4: an ok may carry data, come after noise, or be glued to the end of a line."""
    assert kinds(line).count(ReplyKind.OK) == 1
    assert heaters(line) == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"ok T:201.3 /210.0 B:60.0 /60.0 @:64", {"tool0": (201.3, 210.0), "bed": (60.0, 60.0)}),
        (b"okT:20/0 B:21", {"tool0": (20.0, 0.0), "bed": (21.0, None)}),
        (b"T:20 /0 B:60.0 @:0ok N12 P0 B3", {"tool0": (20.0, 0.0), "bed": (60.0, None)}),
        (b" T:20 /0 B:60.0 @:0ok 12", {"tool0": (20.0, 0.0), "bed": (60.0, None)}),
    ],
)
def test_a_credit_comes_before_its_temperatures(line: bytes, expected: dict[str, tuple[float, float | None]]) -> None:
    """docs/serial.md §3, §4: take the credit first, then the rest."""
    assert kinds(line) == [ReplyKind.OK, ReplyKind.TEMPERATURES]
    assert heaters(line) == expected


@pytest.mark.parametrize("line", [b"echo:SD card ok", b"okay", b"k", b"o", b"look", b"echo:Unknown command: ok"])
def test_what_only_looks_like_a_credit_is_none(line: bytes) -> None:
    """docs/serial.md §3, §4."""
    assert ReplyKind.OK not in kinds(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b" T:-3.5 /0.0 B:nan /0.0", {"tool0": (-3.5, 0.0)}),
        (b"T:23 /200 T0:24.1 /200 T1:25 /0 @:0 B@:0", {"tool0": (24.1, 200.0), "tool1": (25.0, 0.0)}),
        (b"T0:23.1/200.0 C:31 /40", {"tool0": (23.1, 200.0), "chamber": (31.0, 40.0)}),
        (b"B:60 / 60.5 P:22 A:20", {"bed": (60.0, 60.5)}),
        (b"T:201 E:0 W:?", {"tool0": (201.0, None)}),
        (b"T:201 /" + b"9" * 400, {"tool0": (201.0, None)}),
        (
            b"T:201.32 /210.00 B:60.02 /60.00 T0:201.32 /210.00 T1:25.00 /0.00 P:31.0 A:27.4 @:127 B@:64 W:3",
            {"tool0": (201.32, 210.0), "bed": (60.02, 60.0), "tool1": (25.0, 0.0)},
        ),
    ],
)
def test_temperatures_in_all_their_forms(line: bytes, expected: dict[str, tuple[float, float | None]]) -> None:
    """docs/serial.md §22: blanks vary, targets may be missing, values may be nan or negative."""
    assert heaters(line) == expected


def test_a_position_is_no_temperature() -> None:
    assert kinds(b"X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0") == [ReplyKind.TEXT]


@pytest.mark.parametrize("line", [b"Resend: 5", b"Resend:5", b"rs N5", b"rs 5", b"resend: N5", b"rs N5 E1"])
def test_a_resend_request_in_all_its_forms(line: bytes) -> None:
    """docs/serial.md §8."""
    assert [(e.kind, e.number) for e in parse(line)] == [(ReplyKind.RESEND, 5)]


@pytest.mark.parametrize(
    "line",
    [
        b"Resend: ?",
        b"Resend: 12x3",
        b"Resend: 12\xff",
        b"Resend: 1?",
        b"Resend: 12345678901",
        "Resend: 1\u0662".encode(),
        b"rs N12x3",
        b"Resend:",
    ],
)
def test_a_resend_request_that_cannot_be_read_is_one_nevertheless(line: bytes) -> None:
    """docs/serial.md §8, §9: a garbled digit makes it another number, and not the one before that digit."""
    assert [(e.kind, e.number) for e in parse(line)] == [(ReplyKind.RESEND, -1)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"Error:Printer halted. kill() called!", ReplyKind.FATAL),
        (b"Error:Thermal Runaway, system stopped! Heater_ID: 0", ReplyKind.FATAL),
        (b"Error:MINTEMP triggered, system stopped! Heater_ID: 0", ReplyKind.FATAL),
        (b"Error:Heating failed, system stopped! Heater_ID: bed", ReplyKind.FATAL),
        (b"!! Printer stopped", ReplyKind.FATAL),
        (b"Error:checksum mismatch, Last Line: 3", ReplyKind.ERROR),
        (b"Error:No SD card", ReplyKind.ERROR),
        (b'echo:Unknown command: "X"', ReplyKind.UNKNOWN),
        (b'// Unknown command:"FOO"', ReplyKind.UNKNOWN),
        (b"Unknown command:G29 P1", ReplyKind.UNKNOWN),
        (b"Warning: Command is not supported: G29", ReplyKind.UNKNOWN),
        (b"Error: Bad command: G29", ReplyKind.UNKNOWN),
        (b"Warning: low voltage", ReplyKind.TEXT),
        (b"echo:busy: processing", ReplyKind.BUSY),
        (b"busy: processing", ReplyKind.BUSY),
        (b"echo:busy: paused for user", ReplyKind.BUSY_USER),
        (b"echo:busy: paused for input", ReplyKind.BUSY_USER),
        (b"start", ReplyKind.START),
        (b"\xff\xfe\x00start", ReplyKind.START),
        (b"\xc3\xa9start", ReplyKind.START),
        (b"boot \xff\xfeX1\xffstart", ReplyKind.START),
        (b"\xff\xfe start of it, restart", ReplyKind.DAMAGED),
        (b"\x80\x00\xffRepRapFirmware for Duet 2 WiFi/Ethernet Version 3.4.6", ReplyKind.START),
        (b"\x90Smoothie", ReplyKind.START),
        (b"\xff// Klipper state: Ready", ReplyKind.READY),
        (b"// Klipper state: Disconnect", ReplyKind.START),
        (b"// Klipper state: Shutdown", ReplyKind.SHUTDOWN),
        (b"// Printer is shutdown", ReplyKind.SHUTDOWN),
        (b"// Printer is not ready", ReplyKind.TEXT),
        (b"!! Must home axis first: 50.000 0.000 0.000 [0.000]", ReplyKind.REFUSED),
        (b"echo:\xc3\xa9Smoothie", ReplyKind.TEXT),
        (b"\xff// Klipper state: Startup", ReplyKind.DAMAGED),
        (b"restart", ReplyKind.TEXT),
        (b"echo:start", ReplyKind.TEXT),
        (b"wait", ReplyKind.WAIT),
        (b"Done saving file.", ReplyKind.SAVED),
    ],
)
def test_a_line_means(line: bytes, kind: ReplyKind) -> None:
    """docs/serial.md §5, §15, §20, §21, §25: each in its forms; boot garbage may come before any banner."""
    assert kinds(line) == [kind]


@pytest.mark.parametrize("line", [b"//action:pause", b"// action:pause", b"//action: pause "])
def test_an_action_with_and_without_spaces(line: bytes) -> None:
    """docs/serial.md §30: a space after `//` is allowed."""
    assert [(e.kind, e.text) for e in parse(line)] == [(ReplyKind.ACTION, "pause")]


def test_a_capability() -> None:
    """docs/serial.md §19."""
    assert [(e.kind, e.text, e.number) for e in parse(b"Cap:BUSY_PROTOCOL:1")] == [
        (ReplyKind.CAPABILITY, "BUSY_PROTOCOL", 1)
    ]


ARABIC = "\u0661\u0662"  # digits, as str.isdigit() and float() take them; no printer says them


@pytest.mark.parametrize("text", ["T:{} /0.0", "ok T:{}.0 /0.0", "T{}:20.0 /0.0", "Resend: {}", "Cap:X:{}"])
def test_only_ascii_digits_are_numbers(text: str) -> None:
    assert not any(event.readings or event.number >= 0 for event in parse(text.format(ARABIC).encode()))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Line Number is not Last Line Number+1, Last Line: 41", 42),
        ("checksum mismatch, Last Line: 0", 1),
        ("expected line 42 got 44", 42),
        ("EXPECTED LINE 7 GOT 9", 7),
        ("Last Line: 41 or so", -1),
        (f"Last Line: {ARABIC}", -1),
        (f"expected line {ARABIC} got 3", -1),
        ("expected line 42 got", -1),
        ("Last Line: 12345678901", -1),
        ("No Checksum with line number", -1),
    ],
)
def test_an_error_names_the_line_that_is_wanted_next(text: str, wanted: int) -> None:
    """docs/serial.md §8."""
    assert next_line_in(text) == wanted


@pytest.mark.parametrize("text", ["T:" + "9" * 400 + " /0.0", "T:20.0 /" + "9" * 400])
def test_a_temperature_is_a_finite_number(text: str) -> None:
    for event in parse(text.encode()):
        assert all(isfinite(reading.actual) and isfinite(reading.target or 0.0) for reading in event.readings)

"""Lines in, `ok` and `Resend:` out: docs/serial.md §1–13 as the virtual Marlin 2.1.2 models them."""

from __future__ import annotations

import pytest

from tests.unit.drivers.simulated.support import Host, numbered


def test_each_line_gets_one_ok() -> None:
    """docs/serial.md §1."""
    host = Host()
    assert host.send("G90") == ["ok"]
    assert host.raw(b"G90\nG91\nM82\n") == ["ok", "ok", "ok"]


def test_ok_means_consumed_and_m400_means_finished() -> None:
    """docs/serial.md §2."""
    host = Host()
    assert host.send("G1 X95 F600") == ["ok"]
    assert host.send("M400") == []
    assert "ok" not in host.wait(9.4)
    assert host.wait(0.2) == ["ok"]


@pytest.mark.parametrize("line", ["", ";", "; a comment", "\r", "\\"])
def test_blank_lines_and_comments_get_no_ok(line: str) -> None:
    """docs/serial.md §5a."""
    host = Host()
    assert host.send(line) == []
    assert host.send("G90") == ["ok"]


def test_a_long_line_gets_one_ok_and_is_truncated() -> None:
    """docs/serial.md §5a, §11."""
    host = Host()
    assert host.send("M117 " + "x" * 120) == ["ok"]
    assert host.executed == ["M117 " + "x" * 90]


def test_a_long_numbered_line_is_asked_for_for_ever() -> None:
    """docs/serial.md §11."""
    host = Host()
    for _ in range(3):
        answer = host.line(1, "M117 " + "x" * 120)
        assert answer == ["Error:No Checksum with line number, Last Line: 0", "Resend: 1", "ok"]
    assert host.executed == []


def test_a_numbered_line_of_95_bytes_fits_and_one_of_96_does_not() -> None:
    """docs/serial.md §11: the buffer of 96 bytes has a terminating NUL."""
    fits = next(line for n in range(60, 95) if len(line := numbered(1, "M117 " + "x" * n)) == 96)
    host = Host()
    assert host.raw(fits) == ["ok"]
    longer = next(line for n in range(60, 95) if len(line := numbered(2, "M117 " + "x" * n)) == 97)
    assert host.raw(longer)[1:] == ["Resend: 2", "ok"]


@pytest.mark.parametrize("line", ["g1 X1", "G", "hello", "M9999", "X1"])
def test_what_is_unknown_is_echoed_and_gets_its_ok(line: str) -> None:
    """docs/serial.md §5a: lower case is unknown."""
    assert Host().send(line) == [f'echo:Unknown command: "{line}"', "ok"]


def test_an_unknown_numbered_line_is_echoed_without_number_and_checksum() -> None:
    """docs/serial.md §5a, §7."""
    assert Host().line(1, "g1 X1") == ['echo:Unknown command: "g1 X1"', "ok"]


def test_numbered_lines_are_accepted_in_order() -> None:
    """docs/serial.md §7."""
    host = Host()
    assert host.line(0, "M110 N0") == ["ok"]
    for number in range(1, 50):
        assert host.line(number, f"G1 X{number} F6000") in (["ok"], []) or pytest.fail("refused")
        host.wait(1.0)
    assert len(host.executed) == 50


def test_the_opening_line_has_the_documented_checksum() -> None:
    """docs/serial.md §7: `N0 M110 N0*125`."""
    host = Host()
    host.line(1, "G90")
    assert host.raw(b"N0 M110 N0*125\n") == ["ok"]
    assert host.line(1, "G90") == ["ok"]


def test_a_wrong_checksum_is_asked_for_again() -> None:
    """docs/serial.md §8."""
    host = Host()
    host.line(1, "G90")
    assert host.raw(b"N2 G1 X5*1\n") == ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]
    assert host.line(2, "G1 X5") == ["ok"]
    assert host.executed == ["G90", "G1 X5"]


def test_a_number_without_checksum_is_asked_for_again() -> None:
    """docs/serial.md §8."""
    answer = ["Error:No Checksum with line number, Last Line: 0", "Resend: 1", "ok"]
    assert Host().raw(b"N1 G90\n") == answer
    assert Host().raw(b"N1 G1 X1\n") == answer


def test_an_error_throws_away_everything_buffered() -> None:
    """docs/serial.md §9, §9b: line 6 is corrupted, 7 and 8 vanish without a word."""
    host = Host()
    for number in range(1, 6):
        host.line(number, "G90")
    burst = numbered(6, "G1 X6").replace(b"X6", b"X7") + numbered(7, "G1 X7") + numbered(8, "G1 X8")
    assert host.raw(burst) == ["Error:checksum mismatch, Last Line: 5", "Resend: 6", "ok"]
    assert host.line(6, "G1 X6") == ["ok"]
    assert host.executed == ["G90"] * 5 + ["G1 X6"]


def test_an_error_does_not_take_back_what_is_in_the_queue() -> None:
    """docs/serial.md §9b: after the resend comes the `ok` of an older line."""
    host = Host(host_prompts=False)
    assert host.line(1, "G4 S1") == []
    assert host.line(2, "G90") == []
    assert host.raw(b"N3 G91*1\n") == ["Error:checksum mismatch, Last Line: 2", "Resend: 3", "ok"]
    assert host.wait(1.0) == ["ok", "ok"]
    assert host.executed == ["G4 S1", "G90"]


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_a_repeat_of_the_last_line_or_the_one_before_gets_no_answer(command: str) -> None:
    """docs/serial.md §9a."""
    host = Host()
    for number in range(1, 4):
        host.line(number, command)
    for number in (3, 2, 3, 3):
        assert host.line(number, command) == []
    assert len(host.executed) == 3
    assert host.line(4, command) == ["ok"]


@pytest.mark.parametrize("number", [1, 5, 1000, -7])
def test_any_other_wrong_number_tells_the_true_place(number: int) -> None:
    """docs/serial.md §9a: too high or too old, nothing is executed."""
    host = Host()
    for good in range(1, 4):
        host.line(good, "G90")
    answer = ["Error:Line Number is not Last Line Number+1, Last Line: 3", "Resend: 4", "ok"]
    assert host.line(number, "G91") == answer
    assert host.line(number, "G1 X1") == answer
    assert host.executed == ["G90"] * 3


def test_m110_sets_the_number_of_the_last_line() -> None:
    """docs/serial.md §7: the number inside wins over that of the line."""
    host = Host()
    assert host.line(3, "M110 N41") == ["ok"]
    assert host.line(42, "G90") == ["ok"]
    assert host.line(7, "M110") == ["ok"]
    assert host.line(8, "G90") == ["ok"]
    assert host.send("M110 N99") == ["ok"]
    assert host.line(100, "G90") == ["ok"]


def test_m110_needs_a_good_checksum() -> None:
    """docs/serial.md §7."""
    host = Host()
    assert host.raw(b"N0 M110 N0*124\n") == ["Error:checksum mismatch, Last Line: 0", "Resend: 1", "ok"]


def test_m110_inside_a_message_changes_the_number_by_accident() -> None:
    """docs/serial.md §13."""
    host = Host()
    host.line(1, "G90")
    assert host.line(2, "M117 M110 N500") == ["ok"]
    assert host.line(3, "G90")[1] == "Resend: 501"


def test_m105_has_its_data_on_the_line_of_the_ok() -> None:
    """docs/serial.md §3, §5a, §22."""
    assert Host().send("M105") == ["ok T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0"]


@pytest.mark.parametrize(("command", "first"), [("M114", "X:0.00 Y:0.00 Z:0.00"), ("M115", "FIRMWARE_NAME:Marlin")])
def test_m114_and_m115_have_their_data_before_the_ok(command: str, first: str) -> None:
    """docs/serial.md §5a."""
    answer = Host().send(command)
    assert answer[0].startswith(first)
    assert answer[-1] == "ok"


def test_advanced_ok_tells_line_planner_and_queue() -> None:
    """docs/serial.md §6."""
    host = Host(advanced_ok=True, host_prompts=False)
    assert host.line(1, "G90") == ["ok N1 P15 B3"]
    assert host.line(2, "G1 X10 F600") == ["ok N2 P14 B3"]
    assert host.send("G90") == ["ok P14 B3"]
    assert host.raw(numbered(3, "G4 S5") + numbered(4, "G90") + numbered(5, "G90")) == []
    assert [line for line in host.wait(60.0) if "busy" not in line] == ["ok N3 P15 B1", "ok N4 P15 B2", "ok N5 P15 B3"]


def test_four_commands_fit_in_the_queue_and_127_bytes_wait_behind_them() -> None:
    """docs/serial.md §6, §6a: eight in flight overflow the buffers; what does not fit is lost."""
    host = Host()
    host.line(1, "G4 S1")
    lines = [numbered(number, "M117 " + "x" * 40) for number in range(2, 9)]
    assert host.raw(b"".join(lines)) == []
    waiting = sum(map(len, lines[3:]))
    assert host.firmware.lost_bytes == waiting - 127 > 0
    answer = host.wait(1.0)
    assert answer.count("ok") == 6
    assert len(host.executed) == 6
    assert "Resend: 7" in host.raw(b"\n")


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_in_cr_lf_or_both(newline: bytes) -> None:
    """docs/serial.md §12."""
    host = Host()
    assert host.raw(numbered(1, "G1 X1").replace(b"\n", newline)) == ["ok"]
    assert host.raw(b"G90" + newline) == ["ok"]


def test_a_line_may_arrive_in_pieces() -> None:
    host = Host()
    line = numbered(1, "G1 X1.5 Y2")
    for at in range(len(line) - 1):
        assert host.raw(line[at : at + 1]) == []
    assert host.raw(line[-1:]) == ["ok"]
    assert host.executed == ["G1 X1.5 Y2"]


def test_comments_backspaces_and_escapes_are_taken_out() -> None:
    """docs/serial.md §5a, §11: a comment ends the command; the rest of its line is passed over."""
    host = Host()
    assert host.raw(b"G90 ; all*of it\nG9\x0891\nM117 a\\;b\n") == ["ok", "ok", "ok"]
    assert host.executed == ["G90 ", "G91", "M117 a;b"]


def test_a_line_without_end_does_not_grow() -> None:
    host = Host()
    for _ in range(100):
        assert host.raw(b"x" * 1000) == []
    assert host.raw(b"\n") == [f'echo:Unknown command: "{"x" * 95}"', "ok"]


def test_any_bytes_are_taken() -> None:
    """docs/serial.md §12: nothing that arrives stops the firmware."""
    host = Host()
    host.raw(bytes(range(256)) * 4 + b"\n")
    host.wait(5.0)
    host.send("")
    assert host.send("M105")[-1].startswith("ok T:")

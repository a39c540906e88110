"""Credits, resends and silence, with time in the test's hand."""

from __future__ import annotations

from drivers.gcode.framing import frame
from drivers.gcode.protocol import HISTORY, Counters, Protocol
from drivers.gcode.steps import RENUMBER, Command, numbered, plain
from drivers.gcode.timing import Timing

TIMING = Timing()


class Wire:
    """A protocol, what it wrote, and a clock."""

    def __init__(self, window: int = 1) -> None:
        self.written: list[bytes] = []
        self.counters = Counters()
        self.now = 100.0
        self.protocol = Protocol(self.written.append, self.counters, TIMING, window)

    def send(self, command: Command) -> Command:
        self.protocol.send_again(self.now)
        assert self.protocol.free()
        self.protocol.send(command, self.now)
        return command

    def print(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.send(numbered(number, b"G1 X%d" % number))
            self.ok()

    def ok(self, text: str = "") -> Command | None:
        return self.protocol.ok(text, self.now)

    def silence(self) -> Command | None:
        """Until something is overdue."""
        self.now = self.protocol.deadline
        return self.protocol.tick(self.now)

    def settle(self) -> list[bytes]:
        """After a resend request: its `ok`, the stragglers' moment; what is written then."""
        self.ok()
        self.silence()
        before = len(self.written)
        self.protocol.send_again(self.now)
        return self.written[before:]


def test_one_line_is_in_flight_until_its_ok() -> None:
    wire = Wire()
    line = wire.send(numbered(1, b"G28"))
    assert wire.written == [frame(1, b"G28")]
    assert not wire.protocol.free()
    assert wire.ok() is line
    assert wire.protocol.free()
    assert wire.counters.line == 1


def test_an_ok_too_many_is_ignored() -> None:
    wire = Wire()
    assert wire.ok() is None
    wire.print(1, 1)
    assert wire.ok() is None
    wire.send(numbered(2, b"G28"))
    assert not wire.protocol.free()


def test_what_is_asked_for_is_sent_again_once() -> None:
    wire = Wire()
    wire.print(1, 3)
    wire.send(numbered(4, b"G1 X4"))
    wire.protocol.resend(4, wire.now)
    wire.protocol.resend(4, wire.now)  # stale: the first has not been answered yet
    assert wire.settle() == [frame(4, b"G1 X4")]
    assert wire.ok() is not None
    assert wire.counters.line == 4
    assert wire.counters.resent == 1


def test_an_older_number_brings_everything_after_it_again() -> None:
    wire = Wire()
    wire.print(1, 5)
    wire.send(numbered(6, b"G1 X6"))
    wire.protocol.resend(4, wire.now)
    assert wire.settle() == [frame(4, b"G1 X4")]
    wire.ok()
    wire.protocol.send_again(wire.now)
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.written[-2:] == [frame(5, b"G1 X5"), frame(6, b"G1 X6")]
    wire.ok()
    assert wire.protocol.free()


def test_a_firmware_without_ok_after_a_resend_is_not_waited_for_long() -> None:
    wire = Wire()
    wire.send(numbered(1, b"G28"))
    wire.protocol.resend(1, wire.now)
    began = wire.now
    wire.silence()
    assert wire.now - began <= 0.5
    wire.protocol.send_again(wire.now)
    assert wire.written[-1] == frame(1, b"G28")


def test_an_unnumbered_line_that_was_thrown_away_is_sent_again() -> None:
    wire = Wire()
    wire.print(1, 2)
    wire.send(plain(b"M400"))
    wire.protocol.resend(3, wire.now)
    assert wire.settle() == [b"M400\n"]


def test_a_renumbering_that_was_garbled_is_sent_again_whatever_is_asked_for() -> None:
    wire = Wire()
    wire.send(Command(RENUMBER + b"\n", RENUMBER))
    wire.protocol.resend(4711, wire.now)
    assert wire.settle() == [RENUMBER + b"\n"]


def test_a_request_that_cannot_be_read_means_the_line_in_flight() -> None:
    for number in (-1, 4711):
        wire = Wire()
        wire.print(1, 2)
        wire.send(numbered(3, b"G1 X3"))
        wire.protocol.resend(number, wire.now)
        assert wire.settle() == [frame(3, b"G1 X3")]


def test_the_same_line_asked_for_ten_times_fails_and_names_it() -> None:
    wire = Wire()
    wire.print(1, 4710)
    wire.send(numbered(4711, b"G1 X10"))
    for _ in range(9):
        wire.protocol.resend(4711, wire.now)
        wire.settle()
        assert wire.protocol.failure == ""
    wire.protocol.resend(4711, wire.now)
    assert wire.protocol.failure == "line 4711 (G1 X10): the printer asked for it 10 times"
    assert not wire.protocol.in_flight


def test_a_line_older_than_the_history_fails() -> None:
    wire = Wire()
    wire.print(1, HISTORY + 10)
    wire.send(numbered(HISTORY + 11, b"G28"))
    wire.protocol.resend(5, wire.now)
    assert "line 5" in wire.protocol.failure


def test_an_ok_that_was_lost_is_found_out_and_nothing_is_sent_twice() -> None:
    wire = Wire()
    wire.print(1, 1)
    line = wire.send(numbered(2, b"G1 X2"))
    wire.silence()
    assert wire.written[-1] == b"M105\n"
    assert wire.ok("T:20.0 /0.0") is None
    assert wire.written[-1] == frame(4, b"M105"), "a number too high tells the printer's place"
    assert wire.protocol.resend(3, wire.now) is line
    assert wire.counters.line == 2
    wire.settle()
    assert wire.protocol.free()
    assert wire.written.count(frame(2, b"G1 X2")) == 1


def test_a_line_that_was_lost_is_found_out_and_sent_again() -> None:
    wire = Wire()
    wire.print(1, 1)
    wire.send(numbered(2, b"G1 X2"))
    wire.silence()
    wire.ok("T:20.0 /0.0")
    assert wire.protocol.resend(2, wire.now) is None
    assert wire.settle() == [frame(2, b"G1 X2")]


def test_an_ok_that_was_only_late_is_no_lost_one() -> None:
    wire = Wire()
    line = wire.send(numbered(1, b"G1 X2"))
    wire.silence()
    assert wire.ok() is line
    assert not wire.protocol.free(), "the probe's own answer is still to come"
    wire.ok("T:20.0 /0.0")
    assert wire.protocol.free()


def test_an_unnumbered_line_with_a_lost_ok_is_done_when_the_probe_is_answered() -> None:
    wire = Wire()
    line = wire.send(plain(b"M117 x"))
    wire.silence()
    assert wire.ok("T:20.0 /0.0") is line
    assert wire.protocol.free()


def test_a_printer_that_says_nothing_fails_after_three_probes() -> None:
    wire = Wire()
    wire.send(numbered(1, b"G1 X2"))
    began = wire.now
    for _ in range(4):
        assert wire.protocol.failure == ""
        wire.silence()
    assert wire.protocol.failure.startswith("line 1 (G1 X2): no answer")
    assert wire.written.count(b"M105\n") == 3
    assert wire.now - began < 40


def test_three_lost_oks_in_a_row_fail_and_one_ok_in_between_starts_anew() -> None:
    wire = Wire()
    for number in range(1, 9):
        wire.send(plain(b"M117 x"))
        wire.silence()
        wire.ok("T:20")
        if number % 2 == 0:
            wire.send(plain(b"M117 y"))
            wire.ok()
        assert wire.protocol.failure == ""
    for _ in range(3):
        wire.send(plain(b"M117 x"))
        wire.silence()
        wire.ok("T:20")
    assert "3 in a row" in wire.protocol.failure


def test_busy_extends_patience_and_a_person_may_take_for_ever() -> None:
    wire = Wire()
    wire.send(numbered(1, b"G1 X1"))
    wire.now += 3.9
    wire.protocol.busy(wire.now)
    assert wire.protocol.deadline >= wire.now + 10
    wire.protocol.busy(wire.now, user=True)
    assert wire.protocol.deadline == float("inf")
    wire.protocol.busy(wire.now)
    assert wire.protocol.deadline < float("inf")


def test_temperatures_prove_progress_only_for_a_line_that_heats() -> None:
    for code, extends in ((b"G1 X1", False), (b"M109 S200", True)):
        wire = Wire()
        wire.send(numbered(1, code))
        before = wire.protocol.deadline
        wire.now = before - 0.1
        wire.protocol.temperatures(wire.now)
        assert (wire.protocol.deadline > before) is extends


def test_long_commands_have_long_patience_and_a_dwell_its_own() -> None:
    assert numbered(1, b"G28").patience > 60
    assert numbered(1, b"G4 S120").patience > 120
    assert numbered(1, b"G4 P500").patience < 60
    assert numbered(1, b"G1 X1").patience < 10


def test_a_line_that_gives_up_is_forgotten() -> None:
    wire = Wire()
    line = wire.send(Command(b"M115\n", b"M115", patience=2.0, gives_up=True))
    assert wire.silence() is line
    assert wire.protocol.free()
    assert wire.written == [b"M115\n"]


def test_a_wait_after_a_second_means_that_the_line_or_its_ok_was_lost() -> None:
    wire = Wire()
    wire.send(numbered(1, b"G1 X1"))
    wire.protocol.wait(wire.now + 0.1)
    assert b"M105\n" not in wire.written
    wire.protocol.wait(wire.now + 1.1)
    assert wire.written[-1] == b"M105\n"


def test_the_quick_way_does_what_the_long_way_does() -> None:
    quick, long = Wire(), Wire()
    for wire in (quick, long):
        wire.send(numbered(1, b"G1 X1"))
    for number in range(2, 200):
        command = numbered(number, b"G1 X%d" % number)
        assert quick.protocol.exchange(command, quick.now)
        long.ok()
        long.send(command)
    assert quick.written == long.written
    skip = ("_write", "_counters")
    mine, theirs = ({k: v for k, v in vars(w.protocol).items() if k not in skip} for w in (quick, long))
    assert mine == theirs
    assert vars(quick.counters) == vars(long.counters)
    quick.protocol.resend(199, quick.now)
    assert not quick.protocol.exchange(numbered(200, b"G28"), quick.now)

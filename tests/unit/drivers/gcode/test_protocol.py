"""Credits, resends and silence: the facts of docs/serial.md, one by one, with time in the test's hand."""

from __future__ import annotations

import pytest

from agent.core.driver import COMMAND_SIZE
from agent.gcode.framing import frame
from drivers.gcode.protocol.numbering import HISTORY, file_line
from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import RENUMBER, OutgoingLine, numbered, unnumbered
from drivers.gcode.protocol.window import BYTES, CLEAN, MOST, SPOILT, Window
from tests.unit.drivers.gcode.wire import Wire, host_base, host_line, line, moves


def test_one_ok_returns_one_credit() -> None:
    """docs/serial.md §1: one line is in flight until its ok."""
    wire = Wire()
    first = wire.send(line(1))
    assert wire.written == [frame(1, b"G1 X1")]
    assert not wire.protocol.free()
    assert wire.ok() is first
    assert wire.protocol.free()
    assert wire.counters.line == 1


def test_an_ok_too_many_is_ignored() -> None:
    """docs/serial.md §1: an extra ok with nothing outstanding gives no credit."""
    wire = Wire()
    assert wire.ok() is None
    wire.print(1, 1)
    assert wire.ok() is None
    wire.send(line(2))
    assert not wire.protocol.free()


def test_after_an_ok_too_many_the_next_ones_are_listened_for() -> None:
    """docs/serial.md §1: a doubled ok that comes when the next line is in flight gives credits for no longer than 2
    s."""
    wire = Wire()
    wire.print(1, 1)
    wire.ok()
    wire.now += 2.0
    wire.send(line(2))
    assert wire.written[-1] == frame(1, b"G1 X1"), "a moment of silence first"
    assert wire.ok() is None, "this one would have acknowledged line 2"
    wire.silence()
    assert wire.written[-1] == frame(2, b"G1 X2")


def test_m400_is_not_acknowledged_by_the_ok_of_the_line_before() -> None:
    """docs/serial.md §2: M400 is the synchronisation point: before it an ok too many is listened for."""
    wire = Wire()
    wire.send(unnumbered(b"M117 x"))
    assert wire.serve() == [host_line(0, 1, b"M117 x")]
    wire.ok()
    drain = wire.send(unnumbered(b"M400"))
    assert wire.take() == []
    assert wire.ok() is None, "a doubled one"
    wire.silence()
    assert wire.take() == [host_line(0, 2, b"M400")]
    assert wire.ok() is drain


def test_in_doubt_an_m105_goes_before_m400() -> None:
    """docs/serial.md §2: where oks were lost or doubled only `ok T:…` proves that all before was done."""
    wire = Wire()
    wire.send(unnumbered(b"M105"))
    assert wire.serve() == [host_line(0, 1, b"M105")]
    wire.ok("T:20.0 /0.0")
    wire.ok()  # one too many
    drain = wire.send(unnumbered(b"M400"))
    assert wire.serve() == [host_line(0, 2, b"M105")]
    assert wire.ok() is None, "not M105's own"
    wire.ok("T:20.0 /0.0")
    wire.protocol.send_again(wire.now)
    assert wire.serve() == [host_line(0, 3, b"M400")]
    assert wire.ok("T:20.0 /0.0") is None, "M105's once more"
    assert wire.ok() is drain


def test_a_numbered_ok_tells_which_line() -> None:
    """docs/serial.md §3, §6: `ok N7 P15 B3` acknowledges all up to 7; the same again acknowledges nothing."""
    wire = Wire(Window(3))
    wire.fill(1)
    assert wire.ok("N2 P15 B3") is not None
    assert wire.counters.line == 2
    assert wire.ok("N2 P15 B3") is None
    assert [c.number for c in wire.protocol.in_flight] == [3]


def test_a_numbered_ok_for_a_line_that_is_not_in_flight_acknowledges_nothing() -> None:
    """docs/serial.md §1, §6: a doubled one of the M110 before must not be taken for the next line's."""
    wire = Wire()
    wire.print(1, 2)
    wire.take()
    asked = wire.send(unnumbered(b"M114"))
    assert wire.serve() == [host_line(2, 1, b"M114")]
    for number in (host_base(2), 2, host_base(2) + 9):
        assert wire.ok(f"N{number} P15 B3") is None
    assert wire.ok(f"N{host_base(2) + 1} P15 B3") is asked


def test_a_garbled_ok_is_asked_after_soon() -> None:
    """docs/serial.md §4: recovery from a garbled ok needs no human and no long wait."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.damaged(wire.now)
    assert wire.protocol.deadline - wire.now <= 0.5
    wire.silence()
    assert wire.written[-1] == TOO_HIGH


def test_done_saving_file_stands_for_the_ok_of_m29() -> None:
    """docs/serial.md §5."""
    wire = Wire()
    wire.send(line(1))
    assert wire.protocol.saved(wire.now) is None
    wire.ok()
    stop = wire.send(numbered(2, b"M29"))
    assert wire.protocol.saved(wire.now) is stop


def test_a_wait_after_a_second_means_that_the_line_or_its_ok_was_lost() -> None:
    """docs/serial.md §5: `wait` says that nothing else is pending."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.wait(wire.now + 0.1)
    assert TOO_HIGH not in wire.written
    wire.protocol.wait(wire.now + 1.1)
    assert wire.written[-1] == TOO_HIGH


def test_several_lines_are_in_flight_where_the_configuration_says_so() -> None:
    """docs/serial.md §1, §6: and never more."""
    wire = Wire(Window(2))
    assert wire.fill(1) == 3
    assert wire.ok() is not None
    assert wire.fill(3) == 4


def test_bytes_are_counted_as_well_as_lines() -> None:
    """docs/serial.md §6a: never more than 127 bytes in flight."""
    wire = Wire(Window(3))
    for number in (1, 2, 3):
        long = numbered(number, b"G1 X100.1234 Y100.1234 E0.123456 F1800.00 ; ")
        if wire.protocol.fits(long):
            wire.protocol.send(long, wire.now)
    assert len(wire.protocol.in_flight) == 2
    assert sum(map(len, wire.written)) <= 127


def test_the_window_opens_by_itself_where_the_firmware_shows_its_buffers() -> None:
    """docs/serial.md §6: ADVANCED_OK proves the command queue."""
    wire = Wire(Window("auto"))
    assert wire.fill(1) == 2
    wire.ok("N1 P15 B3")
    assert wire.fill(2) == 5


def test_a_resend_brings_it_back_to_one_line_until_a_clean_run() -> None:
    """docs/serial.md §6: on any resend fall back to one line at a time until the link is clean again."""
    wire = Wire(Window(3))
    wire.fill(1)
    wire.asks(2)
    wire.ok()
    wire.silence()
    number = 4
    for _ in range(300):
        if wire.protocol.window.lines > 1:
            break
        assert len(wire.protocol.in_flight) == 1
        wire.ok()
        number = wire.fill(number)
    assert number > 50
    wire.fill(number)
    assert len(wire.protocol.in_flight) == 3


@pytest.mark.parametrize(("emergency", "free", "lines"), [(False, 15, 3), (True, 3, 3), (True, 15, 15)])
def test_more_than_three_lines_need_an_emergency_parser_and_room(emergency: bool, free: int, lines: int) -> None:
    """docs/serial.md §6a."""
    window = Window("auto")
    window.shown(free)
    window.parses_emergencies(emergency)
    assert window.lines == lines
    assert Window(8).lines == 3


def test_a_window_above_three_lines_that_has_brought_three_resends_is_not_tried_again() -> None:
    """docs/serial.md §6, §6a: at most three lines from then on, and 127 bytes."""
    window = Window("auto")
    window.parses_emergencies(True)
    window.shown(15)
    widths = []
    for _ in range(4):
        widths.append((window.lines, window.bytes > BYTES))
        window.resend()
        for _ in range(CLEAN):
            assert window.lines == 1
            window.acknowledged()
    assert widths == [(15, True), (15, True), (15, True), (3, False)]
    window.shown(200)
    window.parses_emergencies(True)
    assert (window.lines, window.bytes) == (3, BYTES)


def test_resends_within_three_lines_do_not_count_against_a_wider_window() -> None:
    """docs/serial.md §6a."""
    window = Window("auto")
    window.shown(15)
    for _ in range(2 * SPOILT):
        window.resend()
        for _ in range(CLEAN):
            window.acknowledged()
    window.parses_emergencies(True)
    assert window.lines == 15


def test_every_line_in_flight_can_be_sent_again() -> None:
    """docs/serial.md §6: the history is at least as long as the window."""
    assert HISTORY >= MOST
    wire = Wire(Window("auto"))
    wire.protocol.window.parses_emergencies(True)
    wire.protocol.window.shown(200)
    assert wire.fill(1) == MOST + 1, "short lines all fit"
    wire.asks(1)
    assert wire.settle() == [frame(1, b"G1 X1")]


def test_a_hosts_line_has_a_number_and_a_checksum_of_its_own_space() -> None:
    """docs/serial.md §7: what the host adds survives corruption too, and the file's numbers stay its ordinals."""
    wire = Wire()
    wire.print(1, 2)
    wire.take()
    setting = wire.send(unnumbered(b"M155 S2"))
    assert wire.serve() == [host_line(2, 1, b"M155 S2")]
    assert file_line(wire.place) == 2
    wire.asks(wire.place)
    assert wire.settle() == [host_line(2, 1, b"M155 S2")]
    assert wire.ok() is setting
    third = wire.send(line(3))
    assert wire.take() == [TOO_HIGH], "whether the setting has arrived"
    wire.asks(wire.place + 1)
    assert wire.serve() == [frame(3, b"G1 X3")]
    assert wire.ok() is third


def test_the_place_is_asked_for_before_the_files_numbers_are_left() -> None:
    """docs/serial.md §7, §9a: a line taken for acknowledged that never arrived is sent before anything else is."""
    wire = Wire()
    wire.print(1, 3)
    wire.take()
    wire.send(unnumbered(b"M400"))
    assert wire.take() == [TOO_HIGH]
    wire.asks(3, "Line Number is not Last Line Number+1")
    assert wire.settle() == [frame(3, b"G1 X3")]
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.take() == [TOO_HIGH], "and asked again"


def test_an_m110_that_was_lost_shows_at_once() -> None:
    """docs/serial.md §7: the two spaces cannot be mistaken for each other, so a lost change of space is never
    silent."""
    wire = Wire()
    wire.print(1, 3)
    wire.take()
    wire.send(unnumbered(b"M114"))
    assert wire.serve() == [host_line(3, 1, b"M114")]
    wire.asks(4, "Line Number is not Last Line Number+1")
    assert wire.take() == [TOO_HIGH], "a way back is not taken before it is told twice"
    wire.asks(4, "Line Number is not Last Line Number+1")
    assert wire.settle() == [moves(host_base(3))]
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.take() == [host_line(3, 1, b"M114")]


@pytest.mark.parametrize("last", [1, 3])
def test_an_m110_is_proven_before_the_next_line_goes(last: int) -> None:
    """docs/serial.md §2, §7: Marlin carries it out on arrival and again in its turn, which would set back the next
    line's
    number; a doubled `ok` of something before must not bring that line on its way too early."""
    wire = Wire()
    wire.print(1, last)
    wire.poll()
    wire.take()
    wire.send(line(last + 1))
    assert wire.take() == [moves(last)]
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.take() == []
    assert wire.ok() is None, "M110's own, after another's"
    assert wire.settle() == [frame(last + 1, b"G1 X%d" % (last + 1))]


def test_a_hosts_line_too_goes_when_the_m110_before_it_is_proven() -> None:
    """docs/serial.md §2, §7."""
    wire = Wire()
    wire.print(1, 2)
    wire.poll()
    wire.send(line(3))
    wire.serve()
    wire.ok("T:20.0 /0.0")
    wire.serve()
    wire.ok()
    wire.send(unnumbered(b"M104 S0"))
    assert wire.serve() == [host_line(3, 1, b"M105")]
    wire.ok("T:20.0 /0.0")
    assert wire.serve() == [host_line(3, 2, b"M104 S0")]


def test_a_garbled_answer_to_m105_is_no_other_lines_ok() -> None:
    """docs/serial.md §3: `ok TK20.00 /0.00` is not the ok of the M110 that follows."""
    wire = Wire()
    wire.print(1, 3)
    wire.poll()
    wire.send(line(4))
    assert wire.take()[-1] == moves(3)
    assert wire.ok("TK20.00 /0.00 B:20.00 /0.00") is None
    assert wire.take() == []


def test_a_visit_of_many_lines_begins_again_in_time() -> None:
    """docs/serial.md §7: a host's number tells the file's place, whatever the script's length."""
    wire = Wire()
    wire.print(1, 3)
    wire.take()
    for _ in range(40):
        wire.send(unnumbered(b"M117 x"))
        assert len(wire.serve()) == 1
        assert file_line(wire.place) == 3
        wire.ok()


def test_a_firmware_without_ok_after_a_resend_is_not_waited_for_long() -> None:
    """docs/serial.md §8: if no ok comes in 0.5 s, go on."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.resend(1, wire.now)
    began = wire.now
    wire.silence()
    assert wire.now - began <= 0.5
    assert wire.written[-1] == frame(1, b"G1 X1")


def test_another_line_after_a_resend_ends_the_wait_for_its_ok() -> None:
    """docs/serial.md §8: if another line comes first, go on."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.resend(1, wire.now)
    wire.protocol.other(wire.now)
    assert wire.protocol.deadline - wire.now <= 0.05


def test_the_ok_of_a_request_that_is_late_is_not_taken_for_anothers() -> None:
    """docs/serial.md §8, §9: where an ok follows each request, one that does not come in time is asked after; the
    answer
    comes after it."""
    wire = Wire()
    wire.send(line(1))
    wire.asks(1)
    wire.silence()
    wire.protocol.resend(1, wire.now)
    wire.take()
    wire.silence()
    assert wire.take() == [TOO_HIGH]
    assert wire.ok() is None, "the late one"
    wire.asks(1, "Line Number is not Last Line Number+1")
    assert wire.settle() == [frame(1, b"G1 X1")]


@pytest.mark.parametrize(
    "why",
    [
        "checksum mismatch, Last Line: 0",
        "Line Number is not Last Line Number+1, Last Line: 0",
        "No Checksum with line number, Last Line: 0",
        "No Line Number with checksum, Last Line: 0",
        "expected line 1 got 7",
    ],
)
def test_an_error_whose_request_was_garbled_is_one_nevertheless(why: str) -> None:
    """docs/serial.md §8: it says why; the ok after it belongs to the request and is no acknowledgement."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.error(why, wire.now)
    assert wire.ok() is None
    assert wire.settle() == [frame(1, b"G1 X1")]


def test_an_error_while_a_request_settles_names_the_line_of_the_next_request() -> None:
    """docs/serial.md §8, §9: a request for an older line is believed at once when its own error says the same."""
    wire = Wire()
    wire.print(1, 3)
    wire.send(line(4))
    wire.protocol.resend(4, wire.now)
    wire.take()
    wire.asks(3)
    assert wire.take() == [], "the printer need not be asked where it is"
    assert wire.settle() == [frame(3, b"G1 X3")]


def test_a_place_asked_for_only_as_a_precaution_costs_no_wait_for_stragglers() -> None:
    """docs/serial.md §9a: nothing was amiss, and the temperatures in an M105's ok tell it from any other."""
    wire = Wire()
    wire.print(1, 1)
    wire.poll()
    wire.send(line(2))
    wire.serve()
    wire.ok()
    wire.send(unnumbered(b"M114"))
    assert wire.take() == [TOO_HIGH]
    wire.asks(3, "Line Number is not Last Line Number+1")
    wire.protocol.send_again(wire.now)
    assert wire.take() == [moves(host_base(2))], "no time has passed"


@pytest.mark.parametrize("last", ["0x", "x0", "", "\u0660", "12345678901", "-1"])
def test_an_error_with_a_garbled_number_does_not_say_which_line_a_garbled_request_is_for(last: str) -> None:
    """docs/serial.md §8, §9a: the printer is asked where it is."""
    wire = Wire()
    wire.send(line(1))
    wire.protocol.error(f"checksum mismatch, Last Line: {last}", wire.now)
    wire.protocol.resend(-1, wire.now)
    assert wire.take()[-1] == TOO_HIGH


def test_what_is_asked_for_is_sent_again_once() -> None:
    """docs/serial.md §9: a repeated request for what is being sent again already is stale."""
    wire = Wire()
    wire.print(1, 3)
    wire.send(line(4))
    wire.protocol.resend(4, wire.now)
    wire.protocol.resend(4, wire.now)
    wire.ok()
    assert wire.settle() == [frame(4, b"G1 X4")]
    assert wire.ok() is not None
    assert (wire.counters.line, wire.counters.resent) == (4, 1)


def test_an_older_number_brings_everything_after_it_again() -> None:
    """docs/serial.md §9: replay everything from the number asked for, never «the last one minus one»."""
    wire = Wire()
    wire.print(1, 5)
    wire.send(line(6))
    wire.asks(4)
    assert wire.settle() == [frame(4, b"G1 X4")]
    for number in (5, 6):
        wire.ok()
        wire.protocol.send_again(wire.now)
        assert wire.take() == [frame(number, b"G1 X%d" % number)]
    wire.ok()
    assert wire.protocol.free()


@pytest.mark.parametrize("number", [-1, 4711, 2])
def test_a_request_that_cannot_be_believed_is_asked_after(number: int) -> None:
    """docs/serial.md §9, §9a: a garbled number must not bring back what was executed."""
    wire = Wire()
    wire.print(1, 2)
    wire.send(line(3))
    wire.protocol.resend(number, wire.now)
    assert wire.written[-1] == TOO_HIGH
    wire.asks(3, "Line Number is not Last Line Number+1")
    assert wire.settle() == [frame(3, b"G1 X3")]


def test_a_request_that_is_not_believed_yet_has_its_own_ok_nevertheless() -> None:
    """docs/serial.md §8, Dialects: `rs N3`, without an `Error:` that says the same, must be told twice."""
    wire = Wire()
    wire.print(1, 1)
    wire.send(line(2))
    wire.asks(2)
    wire.settle()
    wire.ok()
    wire.send(line(3))
    wire.silence()
    assert wire.protocol.resend(3, wire.now) is None
    assert wire.ok() is None
    assert [c.number for c in wire.protocol.in_flight] == [3]
    wire.protocol.resend(3, wire.now)
    wire.ok()
    assert wire.settle() == [frame(3, b"G1 X3")]


def test_a_request_that_its_own_error_contradicts_is_not_believed() -> None:
    """docs/serial.md §9: the same digit garbled twice is no proof."""
    wire = Wire()
    wire.print(1, 125)
    wire.send(line(126))
    wire.silence()
    wire.protocol.resend(26, wire.now)  # 126, of which the first digit was garbled
    for _ in range(2):
        assert wire.protocol.failure == ""
        wire.protocol.error("Line Number is not Last Line Number+1, Last Line: 125", wire.now)
        wire.protocol.resend(26, wire.now)
        wire.ok()
        wire.asks(127, "Line Number is not Last Line Number+1")
    assert wire.protocol.failure == ""


def test_requests_that_contradict_themselves_without_end_fail() -> None:
    """docs/serial.md §10: every loop has an end."""
    wire = Wire()
    wire.print(1, 9)
    wire.send(line(10))
    for _ in range(50):
        if wire.protocol.failure:
            break
        wire.protocol.error("checksum mismatch, Last Line: 3", wire.now)
        wire.protocol.resend(7, wire.now)
        wire.ok()
    assert wire.protocol.failure == "line 10: the printer asks for others, each time for another one"


def test_an_ok_that_was_lost_is_found_out_and_nothing_is_sent_twice() -> None:
    """docs/serial.md §4, §9a, §16: a number too high tells the place, M105 that the line was done; in seconds."""
    wire = Wire()
    wire.print(1, 1)
    lost, began = wire.send(line(2)), wire.now
    wire.take()
    wire.silence()
    assert wire.serve() == [host_line(2, 1, b"M105")]
    assert wire.ok("T:20.0 /0.0") is lost
    assert wire.counters.line == 2
    assert wire.protocol.fits(line(3))
    assert wire.now - began < 6.0


def test_a_line_that_was_lost_is_found_out_and_sent_again() -> None:
    """docs/serial.md §9a."""
    wire = Wire()
    wire.print(1, 1)
    wire.send(line(2))
    wire.silence()
    wire.asks(2, "Line Number is not Last Line Number+1")
    assert wire.settle() == [frame(2, b"G1 X2")]


def test_an_ok_that_was_only_late_is_no_lost_one() -> None:
    """docs/serial.md §9a."""
    wire = Wire()
    late = wire.send(line(1))
    wire.take()
    wire.silence()
    assert wire.ok() is late
    assert wire.serve() == []
    assert wire.protocol.fits(line(2))


def test_a_firmware_that_does_not_check_numbers_answers_the_m105_itself() -> None:
    """docs/serial.md Dialects: then its answer proves that all before it was done."""
    wire = Wire()
    lost = wire.send(line(1))
    wire.silence()
    assert wire.ok("T:20.0 /0.0") is lost
    wire.print(2, 2)
    wire.take()
    wire.send(unnumbered(b"M114"))
    assert wire.take() == [moves(host_base(2))], "and is not asked for its place any more"


def test_a_firmware_that_was_thought_not_to_check_numbers_is_known_by_its_first_place() -> None:
    """docs/serial.md §9a: a late answer to an M105 looks like that of a firmware that has executed the number too
    high."""
    wire = Wire()
    wire.send(line(1))
    wire.silence()
    wire.ok("T:20.0 /0.0")  # of an M105 that was thought to be acknowledged
    wire.send(line(2))
    wire.protocol.damaged(wire.now)
    wire.silence()
    wire.asks(3, "Line Number is not Last Line Number+1")
    wire.serve()
    wire.ok("T:20.0 /0.0")
    wire.send(line(3))
    assert wire.serve() == [frame(3, b"G1 X3")]
    wire.protocol.damaged(wire.now)
    wire.silence()
    wire.protocol.resend(4711, wire.now)
    assert wire.protocol.failure == "", "a garbled request is not believed at once any more"
    wire.ok()
    wire.asks(4, "Line Number is not Last Line Number+1")
    assert wire.protocol.failure == ""


def test_several_in_flight_and_one_of_them_garbled() -> None:
    """docs/serial.md §9b: drop what is in flight from the number on, swallow its ok, wait for stragglers, go on."""
    wire = Wire(Window(3))
    wire.fill(1)
    wire.ok()
    wire.fill(4)
    assert [c.number for c in wire.protocol.in_flight] == [2, 3, 4]
    assert wire.asks(3) is None, "the request's own ok"
    assert [c.number for c in wire.protocol.in_flight] == [2]
    assert wire.protocol.deadline - wire.now == pytest.approx(0.02)
    assert wire.ok() is not None, "the older line's"
    wire.take()
    wire.silence()
    assert wire.take() == [frame(3, b"G1 X3")]
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.take() == [frame(4, b"G1 X4")]


def test_the_same_line_asked_for_ten_times_fails_and_names_it() -> None:
    """docs/serial.md §10."""
    wire = Wire()
    wire.print(1, 4710)
    wire.send(line(4711))
    for _ in range(9):
        wire.asks(4711)
        wire.settle()
        assert wire.protocol.failure == ""
    wire.asks(4711)
    assert wire.protocol.failure == "line 4711 (G1 X4711): the printer asked for it 10 times"
    assert not wire.protocol.in_flight


def test_a_line_older_than_the_history_fails() -> None:
    """docs/serial.md §10."""
    wire = Wire()
    wire.print(1, HISTORY + 10)
    wire.send(line(HISTORY + 11))
    wire.asks(5)
    assert "line 5" in wire.protocol.failure


def test_a_line_that_was_never_sent_fails_and_says_so() -> None:
    """docs/serial.md §10: neither it nor the way to it is known."""
    wire = Wire()
    wire.print(1, 4)
    wire.send(line(5))
    for _ in range(2):
        wire.asks(9, "Line Number is not Last Line Number+1")
    assert wire.protocol.failure == "line 9: the printer asked for it, but the last one sent is 5"


def test_m110_in_a_hosts_message_has_no_number() -> None:
    """docs/serial.md §13: Marlin finds the text anywhere in a numbered line."""
    wire = Wire()
    told = wire.send(unnumbered(b"M117 about M110"))
    assert wire.take() == [b"M117 about M110\n"]
    assert wire.ok() is told


def test_a_hosts_line_that_would_become_too_long_has_no_number() -> None:
    """docs/serial.md §11: one that is longer than the firmware's buffer would be asked for for ever."""
    longest = COMMAND_SIZE - 1 - len(b"N1000000001 *255")
    for length, numbered_too in ((longest, True), (longest + 1, False)):
        wire = Wire()
        code = b"M117 ".ljust(length, b"x")
        told = wire.send(unnumbered(code))
        assert wire.serve() == [host_line(0, 1, code) if numbered_too else code + b"\n"]
        assert wire.ok() is told


def test_temperatures_prove_progress_only_for_a_line_that_heats() -> None:
    """docs/serial.md §14, §15: any line heard is no ok heard."""
    for code, extends in ((b"G1 X1", False), (b"M109 S200", True)):
        wire = Wire()
        wire.send(numbered(1, code))
        before = wire.protocol.deadline
        wire.now = before - 0.1
        wire.protocol.temperatures(wire.now)
        wire.protocol.other(wire.now)
        assert (wire.protocol.deadline > before) is extends


def test_long_commands_have_long_patience_and_a_dwell_its_own() -> None:
    """docs/serial.md §15."""
    for code in b"M109 M190 M191 M116 G28 G29 G30 G34 M400 M226 M600 M0 M1 T0".split():
        assert numbered(1, code).patience > 60
    assert numbered(1, b"G4 S120").patience > 120
    assert numbered(1, b"G4 P500").patience < 60
    assert numbered(1, b"G1 X1").patience < 10


def test_busy_extends_patience_and_a_person_may_take_for_ever() -> None:
    """docs/serial.md §15."""
    wire = Wire()
    wire.send(line(1))
    wire.now += 3.9
    wire.protocol.busy(wire.now)
    assert wire.protocol.deadline >= wire.now + 10
    wire.protocol.busy(wire.now, user=True)
    assert wire.protocol.deadline == float("inf")
    wire.protocol.busy(wire.now)
    assert wire.protocol.deadline < float("inf")


def test_a_line_that_gives_up_is_forgotten() -> None:
    """docs/serial.md §18: a hello that is not answered is said again, not asked after."""
    wire = Wire()
    hello = OutgoingLine(b"\n" + RENUMBER + b"\n", RENUMBER, patience=2.0, gives_up=True)
    wire.send(hello)
    began = wire.now
    assert wire.silence() is hello
    assert wire.now - began == pytest.approx(2.0), "it has its whole time"
    assert wire.protocol.free()
    assert wire.written == [hello.wire]


def test_a_renumbering_that_was_garbled_is_sent_again_whatever_is_asked_for() -> None:
    """docs/serial.md §7, §18: the printer may be at any number when the host comes."""
    wire = Wire()
    hello = wire.send(OutgoingLine(b"\n" + RENUMBER + b"\n", RENUMBER, patience=2.0, gives_up=True))
    wire.protocol.error("checksum mismatch, Last Line: 4711", wire.now)
    wire.protocol.resend(4712, wire.now)
    wire.asks(4712)
    assert wire.settle() == [hello.wire]
    assert wire.ok() is hello


def test_what_an_emergency_parser_reads_takes_no_credit() -> None:
    """docs/serial.md §23: M108 and M410 act at once and give no ok."""
    wire = Wire()
    heat = wire.send(numbered(1, b"M109 S200"))
    wire.protocol.urgent(b"M108")
    assert wire.written[-1] == b"M108\n"
    assert wire.ok() is heat
    assert wire.protocol.free()

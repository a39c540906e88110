"""The serial protocol's parts, each by itself."""

from __future__ import annotations

from math import inf

import pytest

from drivers.gcode.protocol.in_flight import LATER, InFlight
from drivers.gcode.protocol.locator import MAX_UNCLEAR_ANSWERS, MIN_PROBES, Locator, Silence
from drivers.gcode.protocol.numbering import HOST, Numbers, set_line_number
from drivers.gcode.protocol.ok_traits import MISSED, OkTraits
from drivers.gcode.protocol.phases import Service
from drivers.gcode.protocol.preamble import Preamble
from drivers.gcode.protocol.resend_guard import REQUESTS, ResendGuard
from drivers.gcode.protocol.steps import OutgoingLine, numbered, unnumbered
from drivers.gcode.protocol.unacknowledged import Unacknowledged
from tests.unit.drivers.gcode.wire import TIMING, line


def written(last: int) -> Numbers:
    numbers = Numbers()
    for number in range(1, last + 1):
        numbers.written(line(number))
    return numbers


def test_in_flight_counts_bytes_and_keeps_the_oldest_lines_deadline() -> None:
    flight = InFlight(1.0)
    flight.add(line(1), 10.0)
    flight.add(line(2), 12.0)
    assert flight.bytes == len(line(1).wire) + len(line(2).wire)
    assert (flight.deadline, flight.sent_at) == (10.5, 12.0)
    assert flight.remove_oldest() == line(1)
    flight.restart_deadline(20.0)
    assert (flight.bytes, flight.deadline) == (len(line(2).wire), 20.5)
    flight.keep([])
    flight.restart_deadline(20.0)
    assert (flight.bytes, flight.deadline) == (0, inf)


def test_a_late_ok_makes_questions_come_later_up_to_a_limit() -> None:
    flight = InFlight(1.0)
    for _ in range(9):
        flight.ask_later()
    assert flight.due_after(line(1)) == 0.5 * LATER
    flight.ask_early()
    assert flight.due_after(line(1)) == 0.5


def test_a_hosts_line_is_known_as_it_was_given() -> None:
    flight = InFlight(1.0)
    given, framed = unnumbered(b"M114"), numbered(HOST + 1, b"M114")
    flight.remember(written=framed, given=given)
    assert flight.as_given(framed) is given
    assert flight.as_given(line(1)) == line(1)


def test_unacknowledged_lines_are_proved_ever_more_rarely() -> None:
    """docs/serial.md §15: a printer at work is not buried in M105."""
    unacknowledged, flight = Unacknowledged(), InFlight(1.0)
    asked, deadlines = [], []
    for _ in range(18):
        flight.add(numbered(1, b"M105"), 0.0)
        deadlines.append(flight.deadline)
        asked.append(unacknowledged.take_from(flight, 0.0))
        flight.keep([])
    assert asked == [*[True] * 10, *[False] * 7, True]
    assert deadlines == [0.5, 0.5, 0.5, 1.0, 1.5, 2.5, 4.5, 8.5, *[10.5] * 10]
    assert unacknowledged.deadline == 900.0
    assert len(unacknowledged.release(flight)) == sum(asked)
    flight.add(line(1), 0.0)
    assert flight.deadline == 0.5, "soon again"
    assert (list(unacknowledged.lines), unacknowledged.deadline) == ([], inf)


@pytest.mark.parametrize(
    ("number", "reported", "oldest", "locating", "believed"),
    [
        (9, 9, line(9), False, True),  # the error says the same
        (9, -1, line(9), False, True),  # it is in flight
        (-1, 9, line(9), False, True),  # only the error could be read
        (5, -1, line(9), False, False),  # it was acknowledged, and nothing else says so
        (5, 5, line(9), False, True),
        (9, 5, line(9), False, False),  # they contradict each other
        (-1, -1, line(9), False, False),
        (4711, 4711, line(9), False, False),  # it was never sent
        (4711, 4711, line(9), True, True),  # the place itself: judged by what is known of it
        (9, -1, line(9), True, False),  # an answer must be told twice
        (10, -1, None, False, False),
    ],
)
def test_a_request_is_believed_when_another_says_the_same(
    number: int, reported: int, oldest: OutgoingLine | None, locating: bool, believed: bool
) -> None:
    """docs/serial.md §9."""
    guard = ResendGuard(written(9))
    guard.reported_next = reported
    wanted, accepted = guard.judge(number, oldest, locating=locating)
    assert accepted is believed
    assert wanted == (number if number > 0 else reported)
    assert guard.reported_next == -1, "an error is for one request"


def test_a_request_is_believed_when_it_is_repeated() -> None:
    guard = ResendGuard(written(9))
    for accepted in (False, True):
        assert guard.judge(5, line(9), locating=True) == (5, accepted)
        guard.refuse(5, ok_expected=False)
    guard.accept()
    assert guard.judge(5, line(9), locating=True) == (5, False)


def test_the_same_request_without_progress_is_counted() -> None:
    """docs/serial.md §10."""
    guard = ResendGuard(written(9))
    assert [guard.too_often(9, 8) for _ in range(REQUESTS)] == [False] * (REQUESTS - 1) + [True]
    guard = ResendGuard(written(9))
    assert not any(guard.too_often(9, acknowledged=9) for _ in range(2 * REQUESTS))


def locator(*lines: OutgoingLine) -> Locator:
    flight = InFlight(1.0)
    for each in lines:
        flight.add(each, 0.0)
    return Locator(TIMING, flight, Unacknowledged())


def test_silence_fails_after_patience_and_at_least_three_questions() -> None:
    """docs/serial.md §16."""
    asks = locator(line(1))
    asks.begin(0.0)
    assert [asks.unanswered(100.0) for _ in range(MIN_PROBES + 1)] == [Silence.ASK_AGAIN] * MIN_PROBES + [
        Silence.FAILED
    ]


@pytest.mark.parametrize(("answered", "most"), [(True, MAX_UNCLEAR_ANSWERS), (False, MIN_PROBES)])
def test_unclear_answers_are_no_silence_but_have_an_end(answered: bool, most: int) -> None:
    """docs/serial.md §16."""
    asks = locator(line(1))
    if answered:
        asks.note_answer()
    asks.begin(0.0)
    verdicts = []
    for _ in range(most + 1):
        asks.answer_heard = True
        verdicts.append(asks.unanswered(100.0))
    assert verdicts == [Silence.ASK_AGAIN] * most + [Silence.FAILED]


def test_a_firmware_that_never_answers_is_not_asked_any_more() -> None:
    asks = locator()
    asks.begin(0.0)
    assert asks.is_precaution
    while (verdict := asks.unanswered(100.0)) is Silence.ASK_AGAIN:
        pass
    assert verdict is Silence.NEVER_ANSWERS
    assert not asks.answers_probes


def test_a_missing_ok_after_a_request_is_waited_for_where_one_followed_before() -> None:
    """docs/serial.md §8."""
    traits = OkTraits()
    assert not traits.missed_after_resend()
    traits.seen_after_resend()
    assert [traits.missed_after_resend() for _ in range(MISSED + 1)] == [True] * MISSED + [False]


@pytest.mark.parametrize("carries_temps", [False, True])
def test_the_way_to_a_hosts_line_and_back(carries_temps: bool) -> None:
    """docs/serial.md §2, §7."""
    numbers, traits = written(3), OkTraits()
    traits.carries_temps = carries_temps
    preamble = Preamble(TIMING, numbers, locator(), traits)
    there = set_line_number(HOST + 48, 8.0)
    barrier = [Service.BARRIER] if carries_temps else []
    assert preamble.way_to(unnumbered(b"M155 S2")) == [Service.LOCATE, there, *barrier]
    assert preamble.way_to(unnumbered(b"M117 about M110")) == []
    numbers.written(there)
    numbers.written(numbered(HOST + 49, b"M155 S2"))
    back = set_line_number(3, 8.0)
    listen = [Service.LISTEN] if carries_temps else []
    assert preamble.way_to(line(4)) == [Service.LOCATE, *barrier, back, *listen]
    numbers.confirmed_up_to = HOST + 49
    assert preamble.way_to(line(4)) == [*barrier, back, *listen]

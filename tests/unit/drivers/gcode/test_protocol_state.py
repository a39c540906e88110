"""What the serial protocol's parts begin with, and where exactly their limits are."""

from __future__ import annotations

import pytest

from drivers.gcode.protocol.acknowledging import Acknowledger
from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.line_splitter import MAX_HEARD, LineSplitter
from drivers.gcode.protocol.locator import Locator
from drivers.gcode.protocol.numbering import HOST, VISIT, Numbers, set_line_number
from drivers.gcode.protocol.ok_traits import OkTraits
from drivers.gcode.protocol.patience import asked_after, patience
from drivers.gcode.protocol.phases import Counters
from drivers.gcode.protocol.quality import Quality
from drivers.gcode.protocol.resend_guard import ResendGuard
from drivers.gcode.protocol.steps import ask, numbered, unnumbered
from drivers.gcode.protocol.unacknowledged import Unacknowledged
from drivers.gcode.protocol.window import MOST, Window
from tests.unit.drivers.gcode.wire import TIMING, line


def acknowledger(flight: InFlight, traits: OkTraits, unacknowledged: Unacknowledged) -> Acknowledger:
    return Acknowledger(
        counters=Counters(), window=Window(), flight=flight, traits=traits, unacknowledged=unacknowledged
    )


@pytest.mark.parametrize(("carries_temps", "in_doubt"), [(True, False), (False, True)])
def test_an_answered_m105_ends_the_doubt_only_where_its_ok_is_known_by_its_temperatures(
    carries_temps: bool, in_doubt: bool
) -> None:
    """docs/serial.md §2."""
    flight, traits, unacknowledged = InFlight(1.0), OkTraits(), Unacknowledged()
    acknowledge = acknowledger(flight, traits, unacknowledged)
    traits.carries_temps = carries_temps
    acknowledge.too_many(0.0, 2.0)
    assert traits.in_doubt
    flight.add(numbered(1, b"M105"), 0.0)
    acknowledge.acknowledge(0.0)
    assert traits.in_doubt is in_doubt


def test_without_a_doubt_an_m105_brings_none() -> None:
    flight, traits = InFlight(1.0), OkTraits()
    flight.add(numbered(1, b"M105"), 0.0)
    acknowledger(flight, traits, Unacknowledged()).acknowledge(0.0)
    assert not traits.in_doubt


def test_an_m105_proves_all_lines_and_gives_the_hosts_own_back_as_it_was_given() -> None:
    flight, unacknowledged = InFlight(1.0), Unacknowledged()
    given, framed = unnumbered(b"M114"), numbered(HOST + 17, b"M114")
    flight.remember(written=framed, given=given)
    for command in (line(1), framed, line(2)):
        flight.add(command, 0.0)
    assert unacknowledged.take_from(flight, 0.0)
    flight.add(numbered(3, b"M105"), 0.0)
    acknowledge = acknowledger(flight, OkTraits(), unacknowledged)
    assert acknowledge.acknowledge(0.0) is given
    for command in (line(4), line(5), line(6)):
        flight.add(command, 0.0)
    assert unacknowledged.take_from(flight, 0.0)
    flight.add(numbered(7, b"M105"), 0.0)
    assert acknowledge.acknowledge(0.0) == line(6), "the last one, where all are the file's"


def test_more_patience_asks_later_after_any_line() -> None:
    home = numbered(1, b"G28")
    assert InFlight(2.0).due_after(home) == 2 * InFlight(1.0).due_after(home)
    assert InFlight(2.0).due_after(line(1)) == 2 * InFlight(1.0).due_after(line(1))


def test_a_line_without_an_end_is_kept_up_to_its_limit() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * (MAX_HEARD + 9)) == []
    assert splitter.feed(b"\n") == [b"x" * 1024]
    assert splitter.feed(b"y" * 2000 + b"\n") == [b"y" * 1024]
    assert splitter.feed(b"z") == []
    splitter.clear()
    assert not splitter.pending


def test_the_printer_is_asked_again_each_time_that_the_silence_has_doubled() -> None:
    flight = InFlight(1.0)
    flight.add(line(1), 0.0)
    asks = Locator(TIMING, flight, Unacknowledged())
    asks.begin(0.0)
    asks.answer_heard = True
    deadlines = []
    for now in (0.5, 1.0, 2.0, 4.0):
        asks.wait_for_answer(now)
        deadlines.append(flight.deadline)
    assert deadlines == [1.0, 2.0, 4.0, 8.0]
    assert not asks.answer_heard, "an answer to an earlier question is none to this one"


def test_unclear_answers_and_silence_are_counted_one_by_one() -> None:
    flight = InFlight(1.0)
    flight.add(line(1), 0.0)
    asks = Locator(TIMING, flight, Unacknowledged())
    asks.begin(0.0)
    asks.unanswered(0.5)
    asks.answer_heard = True
    asks.unanswered(1.0)
    assert (asks.probes_sent, asks.unclear_answers) == (1, 1)


def test_the_space_of_a_number_that_the_firmware_told_begins_before_it() -> None:
    numbers = Numbers()
    numbers.adopt(HOST + VISIT * 4711 + 3)
    assert (numbers.base, numbers.host_base(), numbers.cursor) == (
        HOST + VISIT * 4711,
        HOST + VISIT * 4711,
        HOST + VISIT * 4711 + 4,
    )
    numbers.adopt(9)
    assert (numbers.base, numbers.host_base()) == (8, HOST + VISIT * 9)
    assert not numbers.within(8), "the M110 itself is never asked for"
    assert numbers.within(9)
    assert numbers.within(10)
    assert not numbers.within(11)


def test_an_m110_begins_a_space_only_when_it_is_not_sent_again() -> None:
    numbers = Numbers()
    opening = set_line_number(HOST, 8.0)
    numbers.confirmed_up_to = 1
    numbers.written(opening)
    assert (numbers.confirmed_up_to, numbers.unproven) == (-1, False)
    numbers.written(numbered(HOST + 1, b"M155 S2"))
    assert numbers.unproven
    assert (numbers.base, numbers.last, numbers.cursor) == (HOST, HOST + 1, HOST + 2)
    numbers.confirmed_up_to = HOST
    numbers.cursor = HOST + 1  # all after the M110 is asked for again
    numbers.written(opening)
    assert (numbers.last, numbers.confirmed_up_to, numbers.unproven) == (HOST + 1, HOST, True)
    numbers.cursor = HOST + 2
    numbers.written(opening)
    assert (numbers.last, numbers.confirmed_up_to) == (HOST, -1)
    assert numbers.ring[HOST % len(numbers.ring)] is opening


def test_a_new_exchange_has_sent_nothing() -> None:
    counters = Counters()
    assert (counters.line, counters.sent, counters.resent) == (0, 0, 0)


def test_nothing_is_known_of_the_oks_of_a_new_printer() -> None:
    traits = OkTraits()
    assert (traits.carries_temps, traits.in_doubt, traits.missed_after_resend()) == (False, False, False)
    assert traits.missing_after_resend == 0
    assert traits.temps_in("T:20.0 /0.0")
    assert traits.temps_in("T0:20.0 /0.0")
    assert not traits.temps_in("x:20.0 /0.0")


def test_a_dwell_takes_its_seconds_and_milliseconds_and_the_moves_before_it() -> None:
    """docs/serial.md §15."""
    assert patience(b"G4 S2 P500") == 8.0 + 30.0 + 2.5
    assert patience(b"G4 P60000") == 8.0 + 30.0 + 60.0
    assert patience(b"G4") == 38.0
    assert asked_after(b"G4 P60000", 98.0) == 60.0 + 38.0 / 16.0
    assert asked_after(b"G28", 900.0) == 900.0 / 16.0


def test_percentiles_are_exact() -> None:
    quality = Quality()
    quality.latencies[0] = 0.001
    assert quality.percentiles() == (1.0, 1.0)
    quality.latencies[1] = 0.002
    assert quality.percentiles() == (2.0, 2.0)
    for index in range(200):
        quality.latencies[index] = 0.001 * (index + 1)
    assert quality.percentiles() == (101.0, 199.0)


def test_a_request_before_which_nothing_was_told_stands_by_itself() -> None:
    """docs/serial.md §9."""
    numbers = Numbers()
    for number in range(1, 10):
        numbers.written(line(number))
    guard = ResendGuard(numbers)
    assert not guard.ok_expected
    assert guard.take_reported() == -1
    assert guard.judge(-1, line(9), locating=True) == (-1, False), "garbled, and no error before it"
    assert guard.judge(9, line(9), locating=False) == (9, True), "the oldest in flight"
    assert guard.judge(9, None, locating=False) == (9, False), "nothing is in flight"
    assert guard.judge(8, line(9), locating=False) == (8, False), "acknowledged long ago"


def test_requests_are_counted_for_one_line_at_a_time() -> None:
    guard = ResendGuard(Numbers())
    for number in (5, 6) * 20:
        assert not guard.too_often(number, 4)


def test_lines_that_nothing_proves_have_their_own_and_the_printers_patience() -> None:
    """docs/serial.md §15."""
    flight, unacknowledged = InFlight(2.0), Unacknowledged()
    flight.add(line(1), 5.0)
    unacknowledged.ok_was_late = True
    assert unacknowledged.take_from(flight, 10.0)
    assert unacknowledged.deadline == 10.0 + 900.0 * 2.0
    assert not unacknowledged.ok_was_late


def test_a_window_grows_with_the_places_that_were_shown() -> None:
    """docs/serial.md §6a."""
    assert Window().lines == 1
    assert (Window("auto").lines, Window(3).lines, Window(9).lines) == (1, 3, 3)
    wide = Window("auto")
    wide.shown(3)
    assert wide.lines == 3, "four places, one of them free at all times"
    wide.shown(63)
    assert wide.lines == 3, "without an emergency parser"
    wide.parses_emergencies(True)
    assert (wide.lines, wide.bytes) == (16, 127 + 96 * 60)
    narrow = Window("auto")
    narrow.parses_emergencies(True)
    known = []
    for free in (256, 0, 7):  # more than any queue has, one place, eight
        narrow.shown(free)
        known.append((narrow.known, narrow.lines))
    assert known == [(False, 1), (True, 1), (True, 7)]
    assert MOST == 16


def test_after_a_resend_a_window_opens_after_a_hundred_good_lines() -> None:
    """docs/serial.md §10."""
    window = Window(3)
    window.resend()
    for _ in range(99):
        window.acknowledged()
        window.grow()
    assert (window.lines, window.recovering) == (1, True)
    window.acknowledged()
    assert (window.lines, window.recovering) == (3, False)


def test_a_step_without_more_said_settles_at_once_and_gives_nothing_up() -> None:
    assert unnumbered(b"M155 S2").number == -1
    assert not unnumbered(b"M155 S2").gives_up
    assert ask(b"M114").settle == 0.0

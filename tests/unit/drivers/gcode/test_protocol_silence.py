"""What is asked, and when it has failed: docs/serial.md §15, §16, with time in the test's hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import numbered
from tests.unit.drivers.gcode.wire import Wire, host_base, host_line, line, moves


def test_a_printer_that_says_nothing_fails_in_seconds() -> None:
    """docs/serial.md §16: it is asked early, again each time that the silence has doubled, and not for minutes."""
    wire = Wire()
    wire.send(line(1))
    began, asked = wire.now, []
    while not wire.protocol.failure:
        wire.silence()
        asked.append(wire.now - began)
    assert asked == [0.5, 1.0, 1.5, 2.5, 4.5, 8.5, 16.5, 18.5]
    assert wire.protocol.failure == "line 1 (G1 X1): no answer, although asked 7 times"
    assert wire.written.count(TOO_HIGH) == 7


def test_a_slow_machine_asks_three_times_before_it_gives_up() -> None:
    """docs/serial.md §16: what the printer said is heard late when this computer is busy."""
    wire = Wire()
    wire.send(line(1))
    for _ in range(3):
        wire.now += 100.0
        assert wire.protocol.tick(wire.now) is None
        assert wire.protocol.failure == ""
    wire.now += 100.0
    wire.protocol.tick(wire.now)
    assert wire.protocol.failure == "line 1 (G1 X1): no answer, although asked 3 times"


def test_a_long_line_is_not_buried_in_questions() -> None:
    """docs/serial.md §15: a firmware that reads nothing meanwhile has 128 bytes of room."""
    wire = Wire()
    wire.send(numbered(1, b"G28"))
    began = wire.now
    while wire.now - began < 899:
        assert wire.protocol.failure == ""
        wire.silence()
    assert 3 <= wire.written.count(TOO_HIGH) <= 6


def test_lines_that_are_late_are_asked_after_later_and_a_loss_soon_again() -> None:
    """docs/serial.md §15, §16: where each move waits for room in the planner a question for each would be of no use."""
    wire = Wire()
    waited = []
    for number in range(1, 7):
        wire.send(line(number))
        waited.append(wire.protocol.deadline - wire.now)
        wire.silence()
        wire.ok()
        wire.asks(number + 1, "Line Number is not Last Line Number+1")
        wire.serve()
    assert waited == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0, 4.0])
    wire.send(line(7))
    wire.silence()
    wire.serve()
    wire.ok("T:20.0 /0.0")
    wire.send(line(8))
    wire.serve()
    assert wire.protocol.deadline - wire.now == pytest.approx(0.5)


def test_a_place_that_was_just_told_is_not_asked_for_again() -> None:
    """docs/serial.md §9a: Repetier would not tell it twice: after a request it passes over what has another number."""
    wire = Wire()
    wire.print(1, 1)
    lost = wire.send(line(2))
    wire.take()
    wire.silence()
    assert wire.take() == [TOO_HIGH]
    wire.asks(3, "Line Number is not Last Line Number+1")
    assert wire.settle() == [moves(host_base(2))]
    wire.ok()
    wire.protocol.send_again(wire.now)
    assert wire.take() == [host_line(2, 1, b"M105")]
    wire.ok("T:20.0 /0.0")
    wire.protocol.send_again(wire.now)
    assert wire.counters.line == lost.number


def test_an_answer_that_tells_no_place_is_no_silence() -> None:
    """docs/serial.md §16: three in a row without an answer fail; Repetier's `skip`, `ok` is one, as is a garbled
    one."""
    wire = Wire()
    wire.print(1, 1)
    wire.poll()
    wire.send(line(2))
    wire.serve()
    wire.silence()
    for _ in range(14):
        wire.protocol.other(wire.now)
        wire.ok()
        wire.silence()
        assert wire.protocol.failure == ""
    wire.asks(3, "Line Number is not Last Line Number+1")
    assert wire.serve() == []
    assert wire.protocol.fits(line(3))


@pytest.mark.parametrize("tells", [True, False])
def test_answers_without_end_that_tell_no_place_fail_too(tells: bool) -> None:
    """docs/serial.md §16: every wait has a limit; shorter for a printer that has never told its place."""
    wire = Wire()
    wire.print(1, 1)
    if tells:
        wire.poll()
    wire.send(line(2))
    wire.serve()
    for _ in range(50):
        if wire.protocol.failure:
            break
        wire.silence()
        wire.protocol.damaged(wire.now)
    times = 21 if tells else 4
    assert wire.protocol.failure == f"line 2 (G1 X2): no answer, although asked {times} times"


def test_a_printer_that_is_there_but_slow_is_waited_for() -> None:
    """docs/serial.md §15, §16: it answers for its place, so it lives; a slow move without `busy` is no reason to
    fail."""
    wire = Wire()
    slow = wire.send(line(1))
    sent: list[bytes] = []
    while wire.now < 300.0:
        wire.silence()
        for data in wire.take():
            if data == TOO_HIGH:
                wire.asks(wire.place + 1, "Line Number is not Last Line Number+1")
            else:
                sent.append(data)
        assert wire.protocol.failure == ""
    assert len(sent) <= 16, "and it is not buried in questions"
    assert wire.counters.line == 0
    for text in ("", "", "T:20.0 /0.0", "T:20.0 /0.0"):
        wire.ok(text)
    assert wire.counters.line == slow.number


def test_a_line_that_the_printer_has_and_never_acknowledges_fails_after_a_long_lines_patience() -> None:
    """docs/serial.md §15, §16: it tells its place each time, but acknowledges neither the line nor an M105. It is
    asked ever more rarely, at least every 10 s, so that a cancel does not wait for a printer that answers again."""
    wire = Wire()
    wire.send(line(1))
    began, asked = wire.now, []
    for _ in range(10_000):
        if wire.protocol.failure:
            break
        wire.silence()
        if TOO_HIGH in wire.take():
            asked.append(wire.now - began)
            wire.asks(wire.place + 1, "Line Number is not Last Line Number+1")
    assert wire.protocol.failure == "line 1 (G1 X1): the printer has it and never said ok"
    assert 900.0 <= wire.now - began <= 920.0
    assert asked[:3] == pytest.approx([0.5, 1.0, 1.5], abs=0.1)
    assert 80 <= len(asked) <= 110
    assert max(later - sooner for sooner, later in pairwise(asked)) <= 11.0
    assert wire.counters.line == 0

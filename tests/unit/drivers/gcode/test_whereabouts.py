"""Where a printer is: what it says and the clock are in the test's hand."""

from __future__ import annotations

import random

import pytest

from benchmarks.serial_model import Model
from drivers.gcode.protocol.numbering import HOST
from drivers.gcode.protocol.replies import parse
from drivers.gcode.session.position_query import ABORT_PARTIAL_LINE, PROBE_LINE, RESTARTED, PositionQuery
from drivers.gcode.timing import Timing


class Asked:
    """`written` are whole writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.now = 10.0
        self.where = PositionQuery(self.written.append, Timing(), self.now)
        self.where.step(self.now)

    def hear(self, *lines: str) -> None:
        for line in lines:
            for event in parse(line.encode()):
                self.where.heard(event, self.now)
        self.where.step(self.now)

    def due(self) -> None:
        """Until it has something to do."""
        self.now = max(self.now, self.where.due())
        self.where.step(self.now)

    def asking(self) -> Asked:
        self.due()
        assert self.written == [ABORT_PARTIAL_LINE, PROBE_LINE]
        return self


def marlin(last: int) -> tuple[str, ...]:
    return (f"Error:Line Number is not Last Line Number+1, Last Line: {last}", f"Resend: {last + 1}", "ok")


def test_it_asks_in_a_calm_moment_and_believes_what_is_told_twice() -> None:
    asked = Asked()
    assert asked.written == [ABORT_PARTIAL_LINE], "half a line is ended, whatever it was"
    for _ in range(3):
        asked.now += 0.05
        asked.hear("ok", *marlin(7))
    assert asked.written == [ABORT_PARTIAL_LINE], "what was on its way says nothing about now"
    asked.due()
    asked.hear(*marlin(41))
    assert not asked.where.done
    asked.due()
    assert asked.written == [ABORT_PARTIAL_LINE, PROBE_LINE, PROBE_LINE]
    asked.hear(*marlin(41))
    assert (asked.where.last, asked.where.failure) == (41, "")


def test_a_printer_that_never_is_calm_is_asked_nevertheless() -> None:
    asked = Asked()
    for _ in range(30):
        asked.now += 0.05
        asked.hear(" T:20.0 /0.0")
    assert PROBE_LINE in asked.written


@pytest.mark.parametrize(
    "answers",
    [
        (("Error:… Last Line: 41", "Resend: 43", "ok"), ("Resend: 43", "ok"), ("Resend: 43", "ok")),
        (marlin(40), marlin(41)),
        (("Resend: 4\ufffd", "ok"), ("ok",), marlin(41)),
        (("Resend: 42",), ("Resend: 42",)),
        ((" T:20 /0", "echo:busy: processing", "ok"), marlin(41)),
    ],
    ids=["contradiction", "another place", "garbled", "a request alone, twice", "once"],
)
def test_what_is_not_told_consistently_is_not_believed(answers: tuple[tuple[str, ...], ...]) -> None:
    asked = Asked().asking()
    for lines in answers:
        asked.hear(*lines)
        asked.due()
    assert not asked.where.done


def test_a_request_alone_is_believed_the_third_time() -> None:
    """Smoothieware has no `Error:` for it."""
    asked = Asked().asking()
    for _ in range(3):
        asked.hear("rs N42", "ok")
        asked.due()
    assert asked.where.last == 41


def test_repetier_says_what_it_expects() -> None:
    asked = Asked().asking()
    asked.hear("Error:expected line 42 got 2147483646", "Resend:42", "ok")
    asked.due()
    asked.hear("skip 2147483646", "ok")
    assert not asked.where.done
    asked.hear("Resend:42", "ok")
    assert asked.where.last == 41


def test_an_answer_whose_request_was_garbled_counts() -> None:
    asked = Asked().asking()
    asked.hear(*marlin(41))
    asked.due()
    asked.hear("Error:… Last Line: 41", "Res\ufffdnd 42", "ok")
    assert asked.where.last == 41


@pytest.mark.parametrize("lines", [("start",), (*marlin(0), *marlin(0))])
def test_a_board_that_was_reset_is_told_by_its_start_or_its_place(lines: tuple[str, ...]) -> None:
    asked = Asked().asking()
    asked.hear(*lines)
    assert asked.where.failure == RESTARTED


def test_a_firmware_that_executes_the_question_fails_after_some_answers() -> None:
    asked = Asked().asking()
    for _ in range(3):
        asked.hear("ok T:20.0 /0.0 B:20.0 /0.0")
        asked.due()
    assert not asked.where.done, "they may be late ones"
    asked.hear("ok T:20.0 /0.0 B:20.0 /0.0")
    assert "does not say where it is" in asked.where.failure


def test_only_silence_counts_and_a_printer_that_works_is_waited_for() -> None:
    asked = Asked().asking()
    for _ in range(200):
        asked.now += 10.0
        asked.hear("echo:busy: processing")
    assert not asked.where.done
    asked.now += 29.0
    asked.where.step(asked.now)
    assert not asked.where.done
    asked.now += 1.0
    asked.where.step(asked.now)
    assert asked.where.failure == "the printer says nothing (30 s)"


def test_a_printer_that_only_reports_its_temperatures_is_given_up_at_last() -> None:
    asked = Asked().asking()
    for _ in range(600):
        asked.now += 2.0
        asked.hear(" T:20.0 /0.0")
    assert asked.where.failure == "the printer does not say where it is"


@pytest.mark.parametrize("seed", range(40))
def test_noise_of_one_percent_does_not_fool_it(seed: int) -> None:
    """Every byte, both ways, becomes another one with that probability."""
    dice = random.Random(seed)
    last = dice.choice((1, 12, 4711, 65_000_000, HOST + 16 * 4711 + 3))

    def noisy(data: bytes) -> bytes:
        return bytes(dice.randrange(256) if dice.random() < 0.01 else byte for byte in data)

    model = Model()
    model.receive(b"N%d M110 N%d*" % (last, last) + b"%d\n" % _sum(b"N%d M110 N%d" % (last, last)))
    model.execute()
    model.out.clear()
    asked = Asked()
    seen = 0
    for _ in range(400):
        while seen < len(asked.written):
            model.receive(noisy(asked.written[seen]))
            seen += 1
            while model.queue:
                model.execute()
        lines = noisy(b"".join(line + b"\n" for line in model.out)).split(b"\n")
        model.out.clear()
        asked.hear(*(line.decode("utf-8", "replace") for line in lines if line))
        if asked.where.done:
            break
        asked.due()
    assert (asked.where.last, asked.where.failure) == (last, "")


def _sum(data: bytes) -> int:
    code = 0
    for byte in data:
        code ^= byte
    return code

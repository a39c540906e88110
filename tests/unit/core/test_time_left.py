"""Time left of a print: reckoned, corrected by the speed that is set and by what the print shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from agent.core.time_left import Pace, Reckoned, TimeLeft, TimeSource, speed_percent

WHOLE = 4_000.0
"""Seconds that are reckoned for the print here."""


@dataclass
class Print:
    """A print that is looked at each second; `pace` real seconds pass for each that is reckoned."""

    pace: float = 1.0
    speed: float = 100.0
    timed: bool = True
    estimate: TimeLeft = field(default_factory=lambda: TimeLeft(Pace()))
    now: float = 50_000.0
    done: float = 0.0
    shown: list[int] = field(default_factory=list)

    def prints(self, share: float, *, begun: bool = True) -> Print:
        """Print until this share is done."""
        while self.done < share * WHOLE:
            self.done = min(self.done + 1.0 / self.pace, share * WHOLE)
            self.now += 1.0
            self.looks(begun=begun)
        return self

    def waits(self, seconds: int, *, runs: bool) -> Print:
        """Nothing moves; with `runs` nobody knows."""
        for _ in range(seconds):
            self.now += 1.0
            self.looks(runs=runs)
        return self

    def looks(self, *, runs: bool = True, begun: bool = True) -> None:
        """Update the estimate."""
        left = WHOLE - self.done if self.timed else None
        reckoned = Reckoned(left, self.done / WHOLE, TimeSource.FILE, self.speed, begun)
        self.estimate.update(self.now, reckoned, runs=runs)
        if self.estimate.seconds is not None:
            self.shown.append(self.estimate.seconds)

    @property
    def left(self) -> float:
        """What is said."""
        assert self.estimate.seconds is not None
        return self.estimate.seconds

    @property
    def error(self) -> float:
        """Of what is said, as a share of the print."""
        return abs(self.left - (WHOLE - self.done) * self.pace) / (WHOLE * self.pace)


def test_before_the_print_it_is_what_was_reckoned() -> None:
    start = Print()
    start.looks(runs=False)
    assert (start.left, start.estimate.source) == (WHOLE, TimeSource.FILE)


@pytest.mark.parametrize("pace", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_it_learns_how_fast_this_printer_is(pace: float) -> None:
    quarter = Print(pace).prints(0.25)
    assert quarter.error < 0.04
    assert quarter.prints(0.5).error < 0.02
    assert quarter.prints(1.0).left < 10


def test_a_pause_and_heating_tell_nothing_about_the_pace() -> None:
    half = Print().prints(0.5)
    before = half.left
    assert half.waits(3_600, runs=False).left == before
    assert half.prints(0.52).error < 0.005


def test_what_comes_before_the_first_layer_tells_nothing() -> None:
    """Homing and levelling take a minute of lines that are reckoned as nothing."""
    start = Print()
    for _ in range(300):
        start.now += 1.0
        start.looks(begun=False)
    assert start.prints(0.25).error < 0.005


def test_one_long_stall_does_not_spoil_the_estimate() -> None:
    """Half an hour in which nothing moved and nobody said why."""
    half = Print().prints(0.5).waits(1_800, runs=True)
    assert half.prints(0.6).error < 0.03
    assert half.prints(0.75).error < 0.01


@pytest.mark.parametrize("pace", [0.5, 2.0])
def test_a_speed_that_is_changed_at_the_printer_is_noticed(pace: float) -> None:
    changed = Print().prints(0.4)
    changed.pace = pace
    assert changed.prints(0.7).error < 0.12
    assert changed.prints(0.9).error < 0.02


def test_half_the_speed_is_less_than_twice_the_time() -> None:
    start = Print(speed=50.0)
    start.looks()
    assert 1.5 * WHOLE < start.left < 2.0 * WHOLE
    slow = Print(pace=1.7, speed=50.0).prints(0.25)
    assert slow.error < 0.02


def test_a_speed_that_changes_does_not_undo_what_was_learned() -> None:
    slow = Print(pace=1.3 * 2.0**0.8, speed=50.0).prints(0.5)
    slow.speed, slow.pace = 100.0, 1.3
    assert slow.prints(0.51).error < 0.02


def test_it_counts_down_and_does_not_flicker() -> None:
    shown = Print(pace=1.2).prints(0.2).prints(1.0).shown
    rises = [after - before for before, after in pairwise(shown) if after > before]
    assert len(rises) < 20
    later = shown[len(shown) // 2 :]
    assert later == sorted(later, reverse=True)


def test_the_next_agent_goes_on_with_what_was_learned() -> None:
    before = Print(pace=1.5).prints(0.5)
    after = Print(pace=1.5, estimate=TimeLeft(before.estimate.pace), now=9.0, done=before.done)
    after.looks()
    assert after.left == pytest.approx(before.left, rel=0.02)
    assert after.estimate.pace.printed == pytest.approx(before.estimate.pace.printed)


def test_without_any_times_the_time_that_passed_tells() -> None:
    start = Print(timed=False, pace=1.5)
    start.prints(0.002)
    assert (start.estimate.seconds, start.estimate.source) == (None, None)
    assert start.prints(0.25).error < 0.01
    assert start.estimate.source is TimeSource.ELAPSED
    assert start.waits(600, runs=False).error < 0.01


@pytest.mark.parametrize(
    ("lines", "percent"),
    [
        ([], 100.0),
        (["M220 S50"], 50.0),
        (["M220 S50", "M221 S90", "M220 S80"], 80.0),
        (["M220"], 100.0),
        (["M220 S0"], 100.0),
        (["M2200 S5", "G1 X1"], 100.0),
    ],
)
def test_the_speed_comes_from_what_is_sent_before_the_print(lines: list[str], percent: float) -> None:
    assert speed_percent(lines) == percent


@pytest.mark.parametrize("nonsense", [lambda line: line * 1e9, lambda line: -line * 1e9, lambda _: 0.0])
def test_nonsense_gives_no_error_and_no_negative_time(nonsense: Callable[[float], float]) -> None:
    estimate = TimeLeft(Pace())
    for second in range(100):
        estimate.update(float(second), Reckoned(max(0.0, nonsense(second)), second / 100), runs=True)
        assert estimate.seconds is None or estimate.seconds >= 0

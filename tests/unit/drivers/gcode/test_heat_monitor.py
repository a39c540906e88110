"""The heat monitor: readings in, an alarm or none out. The curves of whole printers are in `benchmarks.room_curves`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.room_curves import curves, judge
from drivers.gcode.printing.heat_monitor import MOST_HEATERS, HeatMonitor
from drivers.gcode.printing.heat_rules import RULES, Action, AlarmKind
from drivers.gcode.printing.heater_watch import Alarm
from drivers.gcode.protocol.replies import Reading
from drivers.settings import WatchSettings

K = AlarmKind
DOCUMENT = Path(__file__).parents[4] / "docs" / "heat-monitor.md"


class Feed:
    """A monitor that is fed every 2 s."""

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self.monitor = HeatMonitor(settings or WatchSettings())
        self.now = 1000.0

    def feed(
        self,
        seconds: float,
        value: float | Callable[[float], float],
        target: float | None,
        *,
        name: str = "tool0",
        power: int | None = None,
        beside: tuple[Reading, ...] = (),
    ) -> Alarm | None:
        """Readings of one heater for some seconds; the first alarm. `value` may be a function of the seconds so far."""
        begin = self.now
        while self.now < begin + seconds:
            self.now += 2.0
            at = self.now - begin
            actual = value(at) if callable(value) else value
            alarm = self.monitor.report(self.now, (Reading(name, actual, target, power), *beside))
            if alarm is not None:
                return alarm
        return None

    def holding(self, name: str = "tool0", target: float = 210.0) -> Feed:
        assert self.feed(60, target, target, name=name) is None
        return self


def kind(alarm: Alarm | None) -> AlarmKind | None:
    return alarm.kind if alarm is not None else None


def test_no_healthy_curve_alarms_and_each_failure_does_in_time() -> None:
    """Three sizes of printer; more than 200 curves, each failure at each phase."""
    verdicts = [judge(curve, WatchSettings()) for curve in curves()]
    assert [f"{verdict.curve.name}: {verdict.wrong}" for verdict in verdicts if verdict.wrong] == []
    assert len(verdicts) >= 200
    assert sum(not verdict.curve.kinds for verdict in verdicts) >= 60
    raised = {verdict.alarm.kind for verdict in verdicts if verdict.alarm is not None}
    assert raised == set(AlarmKind)


def test_the_document_has_the_table_of_the_code() -> None:
    rows = "".join(
        f"| `{rule.kind}` | {', '.join(state.value for state in sorted(rule.states, key=lambda s: s.name))} | "
        f"{rule.meaning} | {rule.tool} | {rule.bed} | {rule.chamber} | {rule.action.value} |\n"
        for rule in RULES
    )
    assert rows in DOCUMENT.read_text(encoding="utf-8")


def test_the_document_has_the_thresholds_of_the_code() -> None:
    settings, text = WatchSettings(), DOCUMENT.read_text(encoding="utf-8")
    for name in settings.tool.__struct_fields__:
        tool, bed, chamber = (getattr(kind, name) for kind in (settings.tool, settings.bed, settings.chamber))
        assert f"| `{name}` | {tool:g} | {bed:g} | {chamber:g} |" in text


def test_an_alarm_says_what_it_saw_and_since_when() -> None:
    feed = Feed()
    alarm = feed.feed(200, 24.0, 210.0, power=127)
    assert alarm is not None
    assert alarm.text == "tool0: 24 → 24 °C in 90 s while heating to 210 °C at full power"
    assert alarm.since == pytest.approx(feed.now - 90, abs=3)
    assert alarm.action is Action.OFF


def test_a_single_reading_that_is_garbled_is_no_alarm() -> None:
    for wrong in (-14.0, 0.0, 21.0, 999.0, 2100.0, 60.0):
        feed = Feed().holding()
        for _ in range(20):
            assert feed.feed(2, wrong, 210.0) is None
            assert feed.feed(30, 210.0, 210.0) is None


def test_a_target_that_is_garbled_once_is_no_alarm() -> None:
    feed = Feed().holding()
    for wrong in (0.0, 21.0, 910.0, None):
        assert feed.feed(2, 210.0, wrong) is None
        assert feed.feed(30, 210.0, 210.0) is None


def test_over_the_limit_is_an_alarm_whatever_asked_for_it() -> None:
    feed = Feed().holding(target=310.0)
    alarm = feed.feed(20, lambda s: 310.0 + 5 * s, 400.0)
    assert kind(alarm) is K.OVER_LIMIT
    assert alarm is not None
    assert alarm.action is Action.STOP


def test_two_readings_of_three_over_the_limit_are_needed() -> None:
    feed = Feed().holding(target=312.0)
    assert feed.feed(2, 325.0, 312.0) is None
    assert feed.feed(4, 312.0, 312.0) is None
    assert kind(feed.feed(4, 325.0, 312.0)) is K.OVER_LIMIT


@pytest.mark.parametrize("wrong", [-14.0, 0.0, 21.0, 450.0])
def test_a_sensor_that_stays_where_it_jumped_to_is_an_alarm(wrong: float) -> None:
    assert kind(Feed().holding().feed(30, wrong, 210.0)) is K.JUMP


def test_a_heater_that_gets_very_quickly_to_its_target_does_not_jump() -> None:
    """A printer whose simulated time runs away."""
    feed = Feed()
    assert feed.feed(10, 21.0, 0.0) is None
    assert feed.feed(60, 210.0, 210.0) is None
    assert feed.feed(60, 21.0, 0.0) is None


def test_a_sensor_of_a_tool_that_is_not_there_is_none() -> None:
    for value in (-60.0, 2000.0):
        assert Feed().feed(600, value, 0.0, name="tool1") is None


def test_a_heater_without_a_reading_while_others_have_one_is_silent() -> None:
    feed = Feed().holding()
    alarm = feed.feed(200, 60.0, 60.0, name="bed")
    assert kind(alarm) is K.SILENT
    assert alarm is not None
    assert alarm.heater == "tool0"


def test_silence_counts_only_while_the_firmware_is_not_busy() -> None:
    feed = Feed().holding()
    monitor, now = feed.monitor, feed.now
    for second in range(0, 1200, 5):
        assert monitor.tick(now + second, busy=True) is None
    assert monitor.tick(now + 1300, busy=False) is None
    assert kind(monitor.tick(now + 1320, busy=False)) is K.SILENT


def test_a_heater_that_is_off_may_be_silent() -> None:
    feed = Feed()
    assert feed.feed(20, 21.0, 0.0) is None
    assert feed.monitor.tick(feed.now + 9999, busy=False) is None
    assert not feed.monitor.blind(feed.now + 9999)


def test_without_reports_the_host_is_to_ask_as_long_as_a_heater_is_on() -> None:
    feed = Feed().holding()
    assert not feed.monitor.blind(feed.now + 9)
    assert feed.monitor.blind(feed.now + 11)


def test_what_happened_in_a_gap_is_not_known() -> None:
    """The firmware was busy for minutes and has changed the target meanwhile; the first reading is a cold one."""
    feed = Feed().holding()
    feed.now += 400
    assert feed.feed(60, lambda s: 160.0 + 0.5 * s, 210.0) is None


def test_a_clock_that_jumps_is_a_gap() -> None:
    feed = Feed().holding()
    feed.now += 1e6
    assert feed.feed(20, lambda s: 50.0 + s, 210.0) is None
    feed.now -= 2e6
    assert feed.feed(20, lambda s: 90.0 + s, 210.0) is None


def test_a_reading_without_a_target_says_nothing_but_the_limit() -> None:
    """An old Marlin while it waits (docs/serial.md §22): what is known as off gets warm."""
    feed = Feed()
    assert feed.feed(20, 21.0, 0.0) is None
    assert feed.feed(180, lambda s: 21.0 + s, None) is None
    assert kind(feed.feed(180, lambda s: 201.0 + s, None)) is K.OVER_LIMIT


def test_a_firmware_that_tells_no_power_has_switched_the_heater_off_for_a_while() -> None:
    """docs/serial.md §22a: in a filament change the target stays as it was."""

    def cooling(seconds: float) -> float:
        return max(60.0, 210.0 - seconds)

    feed = Feed()
    assert feed.feed(60, 210.0, 210.0, power=60) is None
    assert feed.feed(400, cooling, 210.0, power=0) is None
    assert feed.feed(80, lambda s: 60 + s, 210.0, power=127) is None
    assert kind(Feed().holding().feed(400, cooling, 210.0)) is K.FALLING


def test_a_chamber_without_a_heater_may_never_reach_its_target() -> None:
    assert Feed().feed(7200, 30.0, 50.0, name="chamber") is None
    assert kind(Feed().feed(7200, 30.0, 50.0, name="chamber", power=127)) is K.NO_RISE


def test_a_chamber_is_warmed_by_the_bed_and_a_bed_is_not() -> None:
    bed = (Reading("bed", 100.0, 100.0),)
    assert Feed().feed(1200, lambda s: 21 + s / 20, 0.0, name="chamber", beside=bed) is None
    tool = (Reading("tool0", 210.0, 210.0),)
    assert kind(Feed().feed(1200, lambda s: 21 + s / 20, 0.0, name="bed", beside=tool)) is K.RISING_OFF


def test_switched_off_it_watches_nothing() -> None:
    feed = Feed(WatchSettings(enabled=False))
    assert feed.feed(600, 999.0, 210.0) is None
    assert feed.monitor.tick(feed.now + 9999, busy=False) is None


def test_garbled_names_do_not_fill_the_memory() -> None:
    feed = Feed()
    for number in range(100):
        feed.feed(2, 21.0, 0.0, name=f"tool{number}")
    assert len(feed.monitor.curves(feed.now)) == MOST_HEATERS


def test_the_curve_is_that_of_the_last_five_minutes() -> None:
    feed = Feed()
    for _ in range(2000):
        feed.now += 0.5
        feed.monitor.report(feed.now, (Reading("tool0", 21.0, 0.0),))
    points = feed.monitor.curves(feed.now)["tool0"]
    assert 140 <= len(points) <= 152
    assert points[0][0] >= -300.0
    assert points[-1][0] == 0.0


def test_values_that_are_no_numbers_raise_nothing() -> None:
    feed = Feed().holding()
    for value in (math.inf, -math.inf):
        feed.feed(4, value, 210.0)

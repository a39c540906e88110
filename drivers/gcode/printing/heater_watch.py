"""Watch over one heater of the heat monitor: its readings filtered, its state, and the rules of that state."""

from __future__ import annotations

from collections import deque
from math import exp
from statistics import median

import msgspec

from drivers.gcode.printing.heat_curve import HeatHistory
from drivers.gcode.printing.heat_rules import RULE_OF, Action, AlarmKind, HeatState
from drivers.gcode.printing.stray_readings import Stray, StrayReadings
from drivers.settings import HeatLimits

GAP_S = 20.0
"""Seconds without a reading after which the heater is looked at anew: what happened meanwhile is not known."""
SAME_TARGET_C = 5.0
"""A target that moves by less is the same one for the rules: firmware may adapt it all the time."""
COLDEST, HOTTEST = -50.0, 500.0
"""°C: what a heater that is off reads beyond these is no sensor at all."""
COOLS_PER_S = 0.02
"""°C by which the memory of a heater's warmth fades each second: what it has warmed stays warm for a while."""


FULL_POWER = 127
"""What Marlin tells as the power of a heater that is fully on (docs/serial.md §22)."""
SMOOTH_S = 10.0
"""Time constant in seconds by which a temperature is smoothed, to see whether it rises, at most…"""
SMOOTH_SHARE = 1 / 9
"""…and as a share of the time that it has to rise."""


class Alarm(msgspec.Struct, frozen=True):
    """What is wrong with which heater. `text` is for a person; `since` is the instant from which on it was so."""

    heater: str
    kind: AlarmKind
    text: str
    since: float

    @property
    def action(self) -> Action:
        """What is to be done."""
        return RULE_OF[self.kind].action


class Climb:
    """How a heater gets warmer from some instant on: the least temperature since then and when it was last left upwards
    by enough, and the same of the highest. Noise is smoothed away."""

    def __init__(self, now: float, value: float, smooth_s: float) -> None:
        self._smooth_s = smooth_s
        self.since = self.base_at = self.top_at = self._at = now
        self.base = self.top = self.value = value

    def update(self, now: float, value: float, enough: float) -> None:
        """Note a temperature; `enough` °C above the least, or the highest, begin anew."""
        self.value += (value - self.value) * (1.0 - exp((self._at - now) / self._smooth_s))
        self._at, value = now, self.value
        if value >= self.base + enough:
            self.base_at, self.base = now, value
        if value >= self.top + enough:
            self.top_at, self.top = now, value
        self.base = min(self.base, value)


class HeaterWatch:
    """One heater. `value` is its temperature in °C as far as it is believed; NaN before that. `peak` is the highest of
    the last time, fading."""

    def __init__(self, name: str, limits: HeatLimits) -> None:
        self.name = name
        self.history = HeatHistory()
        self.state = HeatState.UNKNOWN
        self.target = 0.0
        self.value = float("nan")
        self.peak = float("-inf")
        self.heard_at = float("-inf")
        self.missed = 0  # reports in a row that had others and not this one
        self._limits = limits
        self._recent: deque[float] = deque(maxlen=3)
        self._strays = StrayReadings(limits)
        self._next_target: float | None = None  # heard once: believed when it is heard again
        self._climb = self._new_climb(0.0, 0.0)
        self._low: Climb | None = None  # while it holds, and is too far below
        self._floor = 0.0  # the least since this state began
        self._power: int | None = None
        self._tells_power = False  # whether its power was ever told to be more than 0

    @property
    def on(self) -> bool:
        """Whether it is known to have a target."""
        return self.target > 0

    def sample(
        self, now: float, actual: float, target: float | None, power: int | None, passive: float
    ) -> Alarm | None:
        """Take a reading; `passive` is the temperature in °C to which the other heaters may warm this one."""
        gap = now - self.heard_at
        self.heard_at, self.missed = now, 0
        self.history.add(now, actual, target)
        self._power = power
        self._tells_power = self._tells_power or bool(power)
        if not 0.0 <= gap <= GAP_S:
            self._begin_anew()
        if self._learn_target(target) and self.state is not HeatState.UNKNOWN:
            self._enter(now, self.value)
        if not self.on and not COLDEST < actual < HOTTEST:
            return None
        stray = self._strays.judge(now, gap, actual, self._recent[-1] if self._recent else None)
        if stray is Stray.AGREED and self._may_be_there(actual):
            self._recent.extend((actual, actual))  # those that agreed are as good as this one
        elif stray is not Stray.NO:
            return self._jump(now, actual) if self.on and stray is not Stray.ONE else None
        self._recent.append(actual)
        if len(self._recent) < 3:
            return None
        self.value = value = median(self._recent)
        self.peak = max(value, self.peak - max(0.0, gap) * COOLS_PER_S)
        if target is None:
            self.state = HeatState.UNKNOWN
        elif self.state is HeatState.UNKNOWN:
            self._enter(now, value)
        return self._judge(now, value, passive)

    def silence(self, since: float, now: float) -> Alarm:
        """The alarm of a heater that is on and has not been read since `since`."""
        text = f"{self.name}: no reading for {now - since:.0f} s, its target is {self.target:.0f} °C"
        return Alarm(self.name, AlarmKind.SILENT, text, since)

    def _begin_anew(self) -> None:
        self._recent.clear()
        self._strays.forget()
        self.state = HeatState.UNKNOWN
        self.value = float("nan")

    def _learn_target(self, target: float | None) -> bool:
        """Take a target that was heard twice, or is the first; whether it is another one than before."""
        if target is None or target == self.target:
            self._next_target = None
            return False
        if self.state is not HeatState.UNKNOWN and target != self._next_target:
            self._next_target = target
            return False
        before, self.target, self._next_target = self.target, target, None
        return abs(target - before) >= SAME_TARGET_C or not (target > 0 and before > 0)

    def _may_be_there(self, actual: float) -> bool:
        """Whether a heater may have gone to `actual` °C, however quickly: towards its target, or while it is off."""
        if not self.on or self.state is HeatState.UNKNOWN:
            return True
        last, limits = self._recent[-1], self._limits
        if self.state is HeatState.HEATING:
            return last <= actual <= self.target + limits.above_c
        return self.state is HeatState.COOLING and self.target - limits.fall_c <= actual <= last

    def _enter(self, now: float, value: float) -> None:
        limits, target = self._limits, self.target
        if target <= 0:
            self.state = HeatState.OFF
        elif value < target - limits.fall_c:
            self.state = HeatState.HEATING
        elif value > target + limits.fall_c:
            self.state = HeatState.COOLING
        else:
            self.state = HeatState.HOLDING
        self._climb = self._new_climb(now, value)
        self._low = None
        self._floor = value

    def _new_climb(self, now: float, value: float) -> Climb:
        return Climb(now, value, min(SMOOTH_S, self._limits.rise_s * SMOOTH_SHARE))

    def _judge(self, now: float, value: float, passive: float) -> Alarm | None:
        """Apply the rules of the state."""
        if value >= self._limits.limit_c:
            text = f"{self.name}: {value:.0f} °C, over the limit of {self._limits.limit_c:.0f} °C"
            return Alarm(self.name, AlarmKind.OVER_LIMIT, text, now)
        if self.state is HeatState.UNKNOWN:
            return None
        if self.state is HeatState.HEATING:
            if value < self.target - self._limits.fall_c:
                return self._heating(now, value)
            self.state, self._floor = HeatState.HOLDING, value
        elif self.state is HeatState.COOLING and value <= self.target + self._limits.fall_c:
            self.state = HeatState.HOLDING
        return self._rising(now, value, passive) or (
            self._holding(now, value) if self.state is HeatState.HOLDING else None
        )

    @property
    def _heats(self) -> bool:
        """Whether it is known to have a heater that the firmware uses. Firmware that tells its power as 0 has switched
        it off for a while (docs/serial.md §22a); a chamber may have a target and nothing but the bed's warmth."""
        if self._power == 0 and self._tells_power:
            return False
        return self.name != "chamber" or self._tells_power

    def _heating(self, now: float, value: float) -> Alarm | None:
        if not self._heats:
            self._climb = self._new_climb(now, value)
        limits, climb = self._limits, self._climb
        climb.update(now, value, limits.rise_c)
        if now - climb.base_at < limits.rise_s and now - climb.top_at < limits.back_s:
            return None
        return self._alarm(AlarmKind.NO_RISE, climb, now, value, f"while heating to {self.target:.0f} °C")

    def _holding(self, now: float, value: float) -> Alarm | None:
        limits = self._limits
        if value >= self.target - limits.fall_c or not self._heats:
            self._low = None
            return None
        if self._low is None:
            self._low = self._new_climb(now, value)
        low = self._low
        low.update(now, value, limits.rise_c)
        if now - low.base_at < limits.fall_s and now - low.since < limits.back_s:
            return None
        return self._alarm(AlarmKind.FALLING, low, now, value, f"below its target of {self.target:.0f} °C")

    def _rising(self, now: float, value: float, passive: float) -> Alarm | None:
        self._floor = min(self._floor, value)
        if value < max(self._floor, self.target, passive) + self._limits.above_c:
            return None
        if self.state is HeatState.OFF:
            text = f"{self.name}: {self._floor:.0f} → {value:.0f} °C while it is off"
            return Alarm(self.name, AlarmKind.RISING_OFF, text, now)
        text = f"{self.name}: {value:.0f} °C, and its target is {self.target:.0f} °C"
        return Alarm(self.name, AlarmKind.ABOVE_TARGET, text, now)

    def _jump(self, now: float, actual: float) -> Alarm:
        last = self._recent[-1] if self._recent else actual
        text = f"{self.name}: its sensor jumps from {last:.0f} to {actual:.0f} °C"
        return Alarm(self.name, AlarmKind.JUMP, text, now)

    def _alarm(self, kind: AlarmKind, climb: Climb, now: float, value: float, why: str) -> Alarm:
        full = " at full power" if self._power is not None and self._power >= FULL_POWER else ""
        stalled = now - climb.base_at >= now - climb.top_at
        base, since = (climb.base, climb.base_at) if stalled else (climb.top, climb.top_at)
        change = f"{base:.0f} → {value:.0f} °C in {now - since:.0f} s"
        return Alarm(self.name, kind, f"{self.name}: {change} {why}{full}", since)

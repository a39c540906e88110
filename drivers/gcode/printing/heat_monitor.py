"""Heat monitor: the agent's own thermal protection, beside the firmware's. Pure: fed with temperature readings, it
raises an alarm when one of the rules is broken (`heat_rules.RULES`, docs/heat-monitor.md).

Slower than the protection in the firmware (docs/serial.md §22a), which so acts first where it is there and
works."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from drivers.gcode.printing.heater_watch import Alarm, HeaterWatch
from drivers.gcode.protocol.replies import Reading
from drivers.settings import HeatLimits, WatchSettings

WARM_C = 45.0
"""°C that anything may come to without a fault: the sun, a warm room, a motor."""
MISSED = 5
"""Reports without a heater that have others, before it is silent."""
BLIND_S = 10.0
"""Seconds without any report after which it is to be asked for."""
MOST_HEATERS = 16
"""Heaters that are watched, at most: garbled names must not fill the memory."""


class HeatMonitor:
    """All heaters of one connection, from the first reading on. Times are instants of a monotonic clock in seconds."""

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._watches: dict[str, HeaterWatch] = {}
        self._quiet_since = -inf  # the firmware was busy until then
        self._reported_at = -inf

    def report(self, now: float, readings: Iterable[Reading], *, complete: bool = True) -> Alarm | None:
        """Take a report; the first alarm that it raises. `complete`: a heater that is not in it has no reading; a line
        that waits for one heater may be answered with that one alone (docs/serial.md §22)."""
        if not self._settings.enabled:
            return None
        alarm: Alarm | None = None
        named = set()
        for reading in readings:
            watch = self._watch(reading.name)
            if watch is None:
                continue
            named.add(reading.name)
            passive = self._passive(watch.name)
            found = watch.sample(now, reading.actual, reading.target, reading.power, passive)
            alarm = alarm or found
        if named:
            self._reported_at = now
        if complete and named:
            alarm = alarm or self._missing(now, named)
        return alarm

    def tick(self, now: float, *, busy: bool) -> Alarm | None:
        """Let time pass without a report. `busy`: the firmware is at something that may keep it from reporting."""
        if busy:
            self._quiet_since = now
            return None
        for watch in self._watches.values():
            since = max(watch.heard_at, self._quiet_since)
            if watch.on and now - since >= self._limits(watch.name).silent_s:
                return watch.silence(watch.heard_at, now)
        return None

    def blind(self, now: float) -> bool:
        """Whether a heater is on and nothing was reported for so long that the host must ask."""
        return now - self._reported_at >= BLIND_S and self.on

    @property
    def on(self) -> bool:
        """Whether a heater is on, as far as was reported."""
        return any(watch.on for watch in self._watches.values())

    def curves(self, now: float) -> dict[str, list[tuple[float, float, float | None]]]:
        """Curve of the last minutes of each heater, as `HeatHistory.points`."""
        return {name: list(watch.history.points(now)) for name, watch in self._watches.items()}

    def _watch(self, name: str) -> HeaterWatch | None:
        watch = self._watches.get(name)
        if watch is None and len(self._watches) < MOST_HEATERS:
            watch = self._watches[name] = HeaterWatch(name, self._limits(name))
        return watch

    def _limits(self, name: str) -> HeatLimits:
        settings = self._settings
        return settings.tool if name.startswith("tool") else settings.bed if name == "bed" else settings.chamber

    def _passive(self, name: str) -> float:
        """°C to which the other heaters may warm this one: a tool by all of them, the bed by the chamber alone, the
        chamber by the bed."""
        sources = {"bed": ("chamber",), "chamber": ("bed",)}.get(name)
        peaks = (w.peak for w in self._watches.values() if w.name != name and (sources is None or w.name in sources))
        return max((WARM_C, *peaks))

    def _missing(self, now: float, named: set[str]) -> Alarm | None:
        for watch in self._watches.values():
            if watch.name in named:
                continue
            watch.missed += 1
            silent = now - watch.heard_at >= self._limits(watch.name).silent_s
            if watch.on and watch.missed >= MISSED and silent:
                return watch.silence(watch.heard_at, now)
        return None

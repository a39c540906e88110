"""Thermal model of a printer: heaters of two masses, their controllers and sensors, faults, and the reports of a
firmware. Written from the physics, for the curves of `benchmarks.room_curves`; it shares no code with the simulator.

Temperatures in °C, power in W, heat capacity in J/K, conductance in W/K, times in seconds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """A heater: the mass with the sensor, a mass behind it, and how they lose heat. `pid`: else it is on or off."""

    watts: float
    capacity: float
    loss: float
    behind: float  # heat capacity of what the heater warms through the first mass: heat break, glass, air
    coupling: float
    sensor_s: float = 2.0
    pid: bool = True
    slow: float = 0.0  # of the overshoot: how much integral a badly tuned controller has


@dataclass(frozen=True, slots=True)
class Size:
    """A size of printer. `chamber` is None without a sensor in it."""

    name: str
    tool: Body
    bed: Body
    chamber: Body | None = None
    chamber_watts: float = 0.0


SIZES = (
    Size("small", Body(25, 12, 0.082, 3, 0.02), Body(60, 260, 0.62, 120, 1.5, 3.0, pid=False)),
    Size("standard", Body(40, 14, 0.11, 4, 0.03), Body(220, 420, 1.9, 400, 6.0, 3.0)),
    Size(
        "large",
        Body(70, 26, 0.17, 8, 0.05),
        Body(420, 2300, 3.4, 1900, 25.0, 5.0),
        Body(0, 9000, 5.0, 4000, 6.0, 10.0),
        200.0,
    ),
)


class Fault(StrEnum):
    """What breaks. `Break.amount` says how much."""

    DEAD = "dead"  # the heater gives `amount` of its power
    FALLEN = "fallen"  # the sensor hangs in the air, and cools with a time constant of `amount` s
    STUCK = "stuck"  # the heater is fully on, whatever is asked
    READS = "reads"  # the sensor reads `amount` °C
    OFFSET = "offset"  # the sensor reads `amount` °C too much
    LOOSE = "loose"  # the sensor has a loose contact: it reads -14 °C in `amount` of the readings
    NAN = "nan"  # the sensor reads `nan`
    MISSING = "missing"  # the sensor is not in the report


@dataclass(slots=True)
class Heating:
    """One heater in time."""

    body: Body
    ambient: float
    temperature: float = math.nan
    behind: float = math.nan
    sensor: float = math.nan
    target: float = 0.0
    power: float = 0.0
    fault: Fault | None = None
    amount: float = 0.0
    wind: float = 1.0  # factor of the loss: fan, draught, an open door
    paused: bool = False  # the firmware has switched it off for a while and tells the target as ever
    warmed: float = 0.0  # W from other heaters
    present: bool = True
    _integral: float = 0.0
    _was: float = math.nan
    _air: float = math.nan

    def __post_init__(self) -> None:
        self.temperature = self.behind = self.sensor = self.ambient

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass."""
        body = self.body
        self.power = 0.0 if self.paused or self.target <= 0 else self._control(dt)
        share = 1.0 if self.fault is Fault.STUCK else self.power
        if self.fault is Fault.DEAD:
            share *= self.amount
        flow = body.coupling * (self.temperature - self.behind)
        loss = body.loss * self.wind * (self.temperature - self.ambient)
        self.temperature += dt * (body.watts * share + self.warmed - flow - loss) / body.capacity
        self.behind += dt * flow / body.behind
        if self.fault is Fault.FALLEN:
            air = self.ambient + 0.05 * (self.temperature - self.ambient)
            self.sensor += (air - self.sensor) * (1 - math.exp(-dt / self.amount))
        else:
            self.sensor += (self.temperature - self.sensor) * (1 - math.exp(-dt / body.sensor_s))

    def _control(self, dt: float) -> float:
        error = self.target - self.reading(self.sensor)
        if not self.body.pid:
            return 1.0 if error > 0.3 or (error > -0.3 and self.power > 0.5) else 0.0
        if error > 10:
            self._integral, self._was = self.body.slow, math.nan
            return 1.0
        if error < -10:
            self._integral = 0.0
            return 0.0
        hold = self.body.loss * (self.target - self.ambient) / self.body.watts
        speed = 0.0 if math.isnan(self._was) else (self.sensor - self._was) / dt
        self._was = self.sensor
        self._integral = min(max(self._integral + 0.002 * error * dt, -0.5), 0.6)
        return min(max(hold + 0.08 * error - 0.25 * speed + self._integral, 0.0), 1.0)

    def reading(self, value: float) -> float:
        """What the sensor makes of `value`."""
        if self.fault is Fault.READS:
            return self.amount
        return value + self.amount if self.fault is Fault.OFFSET else value


@dataclass(frozen=True, slots=True)
class Reports:
    """How the firmware reports, and what the cable makes of it."""

    every: float = 2.0
    jitter: float = 0.0
    digits: int = 2
    noise: float = 0.1
    garbled: float = 0.0  # of the reports have a character changed
    tells_power: bool = True
    silences: tuple[tuple[float, float], ...] = ()  # from, until: the firmware is busy and reports nothing
    only: tuple[tuple[float, float, str], ...] = ()  # from, until, heater: a line that waits reports it alone


class Printer:
    """A printer of some size, with a fault that may come."""

    def __init__(self, size: Size, *, ambient: float = 21.0, tools: int = 1, chamber_heats: bool = False) -> None:
        self.ambient = ambient
        self.heaters: dict[str, Heating] = {f"tool{n}": Heating(size.tool, ambient) for n in range(tools)}
        self.heaters["bed"] = Heating(size.bed, ambient)
        if size.chamber is not None:
            watts = size.chamber_watts if chamber_heats else 0.0
            self.heaters["chamber"] = Heating(replace(size.chamber, watts=max(watts, 1e-9), pid=False), ambient)
        self.chamber_heats = chamber_heats
        self.shared_block = 0.0  # W/K between the tools
        self.enclosed = 0.0  # W/K from the bed to each tool

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass."""
        bed, chamber = self.heaters["bed"], self.heaters.get("chamber")
        tools = [heating for name, heating in self.heaters.items() if name.startswith("tool")]
        if chamber is not None:
            chamber.warmed = 3.0 * (bed.temperature - chamber.temperature)
        for tool in tools:
            air = chamber.temperature if chamber is not None else self.ambient
            tool.warmed = tool.body.loss * (air - self.ambient) + self.enclosed * (bed.temperature - tool.temperature)
            tool.warmed += sum(self.shared_block * (other.temperature - tool.temperature) for other in tools)
        for heating in self.heaters.values():
            heating.step(dt)

    def text(self, dice: random.Random, reports: Reports, only: str = "") -> str:
        """The report at this moment, before the cable has it."""
        parts, powers = [], []
        several = "tool1" in self.heaters
        for name, heating in self.heaters.items():
            letter = {"b": "B", "c": "C"}.get(name[0], "T" + (name[4:] if several else ""))
            if not heating.present or heating.fault is Fault.MISSING or (only and name != only):
                continue
            value = heating.reading(heating.sensor)
            if heating.fault is Fault.LOOSE and dice.random() < heating.amount:
                value = -14.0
            value += dice.gauss(0.0, reports.noise)
            shown = "nan" if heating.fault is Fault.NAN else f"{value:.{reports.digits}f}"
            parts.append(f"{letter}:{shown}" + ("" if only else f" /{heating.target:.{reports.digits}f}"))
            if name != "chamber" or self.chamber_heats:
                mark = letter if letter in "BC" else ""
                powers.append(f"{mark}@{name[4:] if several and not mark else ''}:{round(127 * heating.power)}")
        return " ".join(parts + (powers if reports.tells_power and not only else ["W:?"] if only else []))


Event = tuple[float, Callable[[Printer], None]]


@dataclass(slots=True)
class Run:
    """A run of a printer: what happens when, and how long it lasts."""

    printer: Printer
    seconds: float
    events: list[Event] = field(default_factory=list)
    reports: Reports = Reports()
    seed: int = 0

    def lines(self) -> Iterator[tuple[float, str]]:
        """Reports as they come out of the cable, with their instants."""
        dice = random.Random(self.seed)
        pending = sorted(self.events, key=lambda event: event[0])
        now, next_report = 0.0, dice.random()
        while now < self.seconds:
            while pending and pending[0][0] <= now:
                pending.pop(0)[1](self.printer)
            self.printer.step(STEP_S)
            now += STEP_S
            while next_report <= now:
                at, reports = next_report, self.reports
                next_report += reports.every * (1 + reports.jitter * (2 * dice.random() - 1))
                if _within(at, reports.silences):
                    continue
                only = next((name for begin, end, name in reports.only if begin <= at < end), "")
                text = self.printer.text(dice, reports, only)
                if reports.garbled and dice.random() < reports.garbled:
                    text = garble(text, dice)
                yield at, text


def garble(text: str, dice: random.Random) -> str:
    """Change one character, or lose it, or the rest of the line."""
    place = dice.randrange(len(text))
    kind = dice.randrange(4)
    if kind == 0:
        return text[:place]
    return text[:place] + ("" if kind == 1 else dice.choice("0123456789./:TB \x7f")) + text[place + 1 :]


def _within(at: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(begin <= at < end for begin, end in spans)


def aim(name: str, target: float) -> Callable[[Printer], None]:
    """The event that a heater gets a target."""

    def act(printer: Printer) -> None:
        printer.heaters[name].target = target

    return act


def blow(name: str, wind: float) -> Callable[[Printer], None]:
    """The event that a fan or a door changes a heater's loss."""

    def act(printer: Printer) -> None:
        printer.heaters[name].wind = wind

    return act


def chill(name: str, fall: float) -> Callable[[Printer], None]:
    """The event that something cold is laid on a heater."""

    def act(printer: Printer) -> None:
        heating = printer.heaters[name]
        heating.behind -= fall

    return act


def idle(name: str, *, off: bool) -> Callable[[Printer], None]:
    """The event that the firmware switches a heater off without telling its target."""

    def act(printer: Printer) -> None:
        printer.heaters[name].paused = off

    return act


def fail(name: str, fault: Fault, amount: float = 0.0) -> Callable[[Printer], None]:
    """The event that something breaks."""

    def act(printer: Printer) -> None:
        heating = printer.heaters[name]
        heating.fault, heating.amount = fault, amount

    return act

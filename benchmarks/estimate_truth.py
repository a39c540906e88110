"""The true times of a simulated print: a firmware's planner with its look-ahead, independent of the agent's estimate.

    heating ▒▒▒▒  homing ▒  blocks ────────────────────────────  the line of a block is acknowledged when the ring has
                                                                  room for it: some blocks before it is executed

Each move is a trapezoid between the speeds of its two corners. Corners are limited by jerk or by junction deviation,
each axis by its own speed and acceleration, and both passes of the planner are made over all blocks. Arcs are cut into
chords of a millimetre, as firmwares do. It reads G-code by itself: what an estimate is judged by must not share its
code. Millimetres and seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

BUFFER = 16
"""Blocks in the planner's ring."""

CHORD = 1.0
HOMING_S = 18.0
HEATING_S = {"M109": 75.0, "M190": 110.0}
Vector = tuple[float, float, float, float]


@dataclass(frozen=True)
class Machine:
    """A printer: what its firmware is set to, X Y Z E. `deviation`: junction deviation in mm instead of jerk."""

    name: str
    acceleration: float
    travel: float
    retract: float
    fastest: Vector
    strongest: Vector
    jerk: Vector
    deviation: float = 0.0


MACHINES = (
    Machine("bed slinger, 500 mm/s²", 500, 500, 500, (500, 500, 5, 25), (500, 500, 100, 5000), (10, 10, 0.4, 5)),
    Machine("1250 mm/s²", 1250, 1500, 1500, (200, 200, 12, 120), (1250, 1250, 400, 4000), (8, 8, 0.4, 4.5)),
    Machine("Core XY, 3000 mm/s²", 3000, 3000, 3000, (300, 300, 10, 80), (3000, 3000, 200, 5000), (9, 9, 3, 5), 0.0133),
)


@dataclass
class Run:
    """A print: for each sendable line the second in which it is acknowledged, and which seconds are heating."""

    acknowledged: list[float]
    heating: list[tuple[float, float]]
    end: float
    offsets: list[int] = field(default_factory=list)

    def line(self, at: float) -> int:
        """The last line that is acknowledged at the second `at`."""
        return bisect_right(self.acknowledged, at)

    def printed(self, at: float) -> float:
        """Seconds of printing until `at`: all but heating."""
        return at - sum(max(0.0, min(at, stop) - start) for start, stop in self.heating)

    def heats(self, at: float) -> bool:
        """Whether it heats at the second `at`."""
        return any(start <= at < stop for start, stop in self.heating)

    def when(self, share: float) -> float:
        """The second in which this share of the printing is done."""
        wanted, low, high = share * self.printed(self.end), 0.0, self.end
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.printed(middle) < wanted else (low, middle)
        return high


@dataclass
class _Block:
    length: float
    speed: float
    acceleration: float
    entry: float  # the highest entry speed of its corner, squared
    line: int


class _Reader:
    """Follows a program and gives its blocks; `waits` are (number of blocks before it, seconds, whether it heats)."""

    def __init__(self, machine: Machine, speed_percent: float) -> None:
        self.machine = machine
        self.blocks: list[_Block] = []
        self.waits: list[tuple[int, float, bool]] = []
        self.at = [0.0, 0.0, 0.0, 0.0]
        self.feed = 25.0
        self.percent = speed_percent
        self.relative = self.relative_e = False
        self.printing, self.travelling, self.retracting = machine.acceleration, machine.travel, machine.retract
        self.strongest, self.fastest, self.jerk = list(machine.strongest), list(machine.fastest), list(machine.jerk)
        self._unit: list[float] | None = None
        self._speed = 0.0

    def take(self, code: str, line: int) -> None:
        """The sendable line with the ordinal `line`."""
        command, *rest = code.split()
        words = {word[0]: float(word[1:]) for word in rest if len(word) > 1 and word[1:].lstrip("-.")[:1].isdigit()}
        if command in ("G0", "G1"):
            self._move(self._target(words), line)
        elif command in ("G2", "G3"):
            self._arc(words, line, clockwise=command == "G2")
        elif command in ("M109", "M190"):
            if words.get("S"):
                self._wait(HEATING_S[command], heats=True)
        elif command in ("G4", "G28", "G92"):
            self._special(command, words)
        else:
            self._set(command, words)

    def _special(self, command: str, words: dict[str, float]) -> None:
        if command == "G4":
            self._wait(words.get("S", 0.0) + words.get("P", 0.0) / 1000)
        elif command == "G28":
            self._wait(HOMING_S)
            self.at[:3] = [0.0, 0.0, 0.0]
        else:
            for axis, letter in enumerate("XYZE"):
                self.at[axis] = words.get(letter, self.at[axis])

    def _set(self, command: str, words: dict[str, float]) -> None:
        match command:
            case "G90" | "G91":
                self.relative = self.relative_e = command == "G91"
            case "M82" | "M83":
                self.relative_e = command == "M83"
            case "M220" if "S" in words:
                self.percent = words["S"]
            case "M204":
                self.printing = words.get("P", words.get("S", self.printing))
                self.travelling = words.get("T", words.get("S", self.travelling))
                self.retracting = words.get("R", self.retracting)
            case "M201" | "M203" | "M205":
                limits = {"M201": self.strongest, "M203": self.fastest, "M205": self.jerk}[command]
                for axis, letter in enumerate("XYZE"):
                    limits[axis] = words.get(letter, limits[axis])

    def _wait(self, seconds: float, *, heats: bool = False) -> None:
        self.waits.append((len(self.blocks), seconds, heats))
        self._unit = None

    def _target(self, words: dict[str, float]) -> list[float]:
        self.feed = words.get("F", self.feed * 60) / 60 or self.feed
        target = list(self.at)
        for axis, letter in enumerate("XYZE"):
            if letter in words:
                relative = self.relative_e if letter == "E" else self.relative
                target[axis] = words[letter] + (self.at[axis] if relative else 0.0)
        return target

    def _arc(self, words: dict[str, float], line: int, *, clockwise: bool) -> None:
        start, target = list(self.at), self._target(words)
        centre = (start[0] + words.get("I", 0.0), start[1] + words.get("J", 0.0))
        radius = math.hypot(start[0] - centre[0], start[1] - centre[1])
        first = math.atan2(start[1] - centre[1], start[0] - centre[0])
        last = math.atan2(target[1] - centre[1], target[0] - centre[0])
        turn = (first - last if clockwise else last - first) % (2 * math.pi) or 2 * math.pi
        count = max(1, int(radius * turn / CHORD))
        for n in range(1, count + 1):
            angle = first + (-turn if clockwise else turn) * n / count
            share = n / count
            between = [a + (b - a) * share for a, b in zip(start, target, strict=True)]
            if n < count:
                between[:2] = [centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)]
            self._move(between, line)

    def _move(self, target: list[float], line: int) -> None:
        delta = [b - a for a, b in zip(self.at, target, strict=True)]
        self.at = target
        length = math.sqrt(delta[0] ** 2 + delta[1] ** 2 + delta[2] ** 2)
        moves = length > 1e-6
        acceleration = (self.printing if delta[3] else self.travelling) if moves else self.retracting
        if not moves:
            length = abs(delta[3])
        if length < 1e-6:
            return
        unit = [part / length for part in delta]
        speed = self.feed * self.percent / 100
        for axis, part in enumerate(unit):
            if part:
                speed = min(speed, self.fastest[axis] / abs(part))
                acceleration = min(acceleration, self.strongest[axis] / abs(part))
        entry = 0.0
        if self._unit is not None:
            entry = min(self._corner(self._unit, unit, acceleration), speed, self._speed)
        self.blocks.append(_Block(length, speed, acceleration, entry * entry, line))
        self._unit, self._speed = unit, speed

    def _corner(self, before: list[float], after: list[float], acceleration: float) -> float:
        if self.machine.deviation:
            cosine = -sum(a * b for a, b in zip(before[:3], after[:3], strict=True))
            if cosine > 0.999999:
                return 0.0
            half = math.sqrt(max(0.0, 0.5 * (1 - cosine)))
            return math.inf if half > 0.999999 else math.sqrt(acceleration * self.machine.deviation * half / (1 - half))
        fastest = math.inf
        for axis in range(4):
            if change := abs(after[axis] - before[axis]):
                fastest = min(fastest, self.jerk[axis] / change)
        return fastest


def run(codes: list[str], machine: Machine, speed_percent: float = 100.0) -> Run:
    """Print the sendable lines `codes`."""
    reader = _Reader(machine, speed_percent)
    counts = []  # blocks before each line's own
    for ordinal, code in enumerate(codes, 1):
        counts.append(len(reader.blocks))
        reader.take(code, ordinal)
    begins, heating, end = _execute(reader)
    acknowledged, last = [], 0.0
    stops = sorted({blocks for blocks, _, _ in reader.waits})
    for ordinal, count in enumerate(counts):
        after = counts[ordinal + 1] if ordinal + 1 < len(counts) else len(reader.blocks)
        stop = bisect_right(stops, count)
        floor = stops[stop - 1] if stop else 0  # what comes after a wait was not read before it
        at = begins[max(0, after - BUFFER, min(floor, after))] if reader.blocks else 0.0
        last = max(last, at)
        acknowledged.append(last)
    return Run(acknowledged, heating, end)


def _execute(reader: _Reader) -> tuple[list[float], list[tuple[float, float]], float]:
    """When each block begins (and the last one ends), when it heats, and the end."""
    blocks = reader.blocks
    leave = 0.0
    for block in reversed(blocks):  # it must be able to brake
        block.entry = min(block.entry, leave + 2 * block.acceleration * block.length)
        leave = block.entry
    waits = iter([*reader.waits, (len(blocks) + 1, 0.0, False)])
    wait = next(waits)
    begins, heating, now, speed = [], [], 0.0, 0.0
    for number in range(len(blocks) + 1):
        while wait[0] == number:
            if wait[2]:
                heating.append((now, now + wait[1]))
            now += wait[1]
            speed = 0.0
            wait = next(waits)
        begins.append(now)
        if number < len(blocks):
            block = blocks[number]
            entry = min(speed, block.entry)
            following = blocks[number + 1].entry if number + 1 < len(blocks) else 0.0
            leave = min(following, entry + 2 * block.acceleration * block.length, block.speed**2)
            now += _seconds(block, entry, leave)
            speed = leave
    return begins, heating, now


def _seconds(block: _Block, entry: float, leave: float) -> float:
    """Of a trapezoid, or of a triangle where it does not reach its speed; squares of speeds."""
    twice = 2 * block.acceleration
    top = min(block.speed**2, block.acceleration * block.length + (entry + leave) / 2)
    cruise = block.length - (2 * top - entry - leave) / twice
    peak = math.sqrt(top)
    return (2 * peak - math.sqrt(entry) - math.sqrt(leave)) / block.acceleration + max(0.0, cruise) / peak

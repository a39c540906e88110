"""A model of a Marlin that listens to bytes, and a world in which everything between it and the driver can go wrong.

    python -m benchmarks.serial_model 100000 [SEED]     so many steps at random; exit code 1 at the first divergence

The driver's part is the real thing from the session down (all of it is pure); the model is written from docs/serial.md
§1–13
and shares no code with it. A divergence is a file line that was executed twice, out of its turn, or not at all.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Iterator, Sequence

import structlog

from agent.core.driver import Host, Outcome, PrinterState
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.replies import parse
from drivers.gcode.requests import StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.session.port_identity import PortIdentity
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.session import Session
from drivers.gcode.session.session_parts import SessionContext
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

HOST = 1_000_000_000


class DivergenceError(AssertionError):
    """What was executed is not the file."""


class File:
    """`count` moves that can be told from each other."""

    def __init__(self, count: int) -> None:
        self.codes = [b"G1 X%d Y%d" % (n, n * 7 % 1000) for n in range(1, count + 1)]

    @property
    def total_lines(self) -> int:
        return len(self.codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        return iter(self.codes[start - 1 :])


class Model:
    """The firmware: a receive buffer of 128 bytes, a queue of four, Marlin's rules for numbers. `terse`: it asks for a
    line without saying why, as Smoothieware does, and also when a line comes again."""

    def __init__(self, *, advanced: bool = False, terse: bool = False, caps: Sequence[bytes] = ()) -> None:
        self.out: deque[bytes] = deque()  # lines said and not yet heard
        self.queue: deque[bytes] = deque()
        self.file: list[tuple[int, bytes]] = []  # lines with numbers of the file, in the order of their execution
        self.rogue: list[bytes] = []  # lines that came to it as others than were sent, without a number to tell
        self.most = 0
        self._advanced = advanced
        self._terse = terse
        self._caps = caps
        self._rx = bytearray()
        self._last = 0

    def receive(self, data: bytes) -> None:
        self._rx += data
        self._fill()
        del self._rx[127:]

    def execute(self) -> None:
        """The oldest in the queue."""
        line = self.queue.popleft()
        number, body = _number(line), line
        if number is not None:
            body = line.partition(b" ")[2].rpartition(b"*")[0]
        if b"M110" in line and number is not None:
            self._last = _leading(line.rpartition(b"*")[0].rpartition(b"N")[2])
        elif number is None:
            self.rogue.append(line)
        elif number < HOST - 16 and body != b"M105":  # the host may prove its place with one
            self.file.append((number, body))
        if body == b"M115":
            self.out.append(b"FIRMWARE_NAME:Marlin model")
            self.out += [b"Cap:%b:1" % cap for cap in self._caps]
        if body == b"M105":
            self.out.append(b"ok T:20.00 /0.00 B:20.00 /0.00 @:0")
        elif self._advanced and number is not None:
            self.out.append(b"ok N%d P15 B%d" % (number, 3 - len(self.queue)))
        else:
            self.out.append(b"ok")
        self._fill()

    def _fill(self) -> None:
        while len(self.queue) < 4 and b"\n" in self._rx:
            raw, _, rest = bytes(self._rx).partition(b"\n")
            self._rx[:] = rest
            line = raw.replace(b"\r", b"").partition(b";")[0].strip(b" ")[:95]
            if line:
                self._judge(line)
        self.most = max(self.most, len(self.queue))

    def _judge(self, line: bytes) -> None:
        if line[:1] != b"N":
            self.queue.append(line)
            return
        moves = b"M110" in line
        second = line.find(b"N", 4) if moves else -1
        number = _leading(line[max(second, 0) + 1 :])
        if number != self._last + 1 and not moves:
            if self._last - 1 <= number <= self._last and not self._terse:
                return
            self._complain(b"Line Number is not Last Line Number+1")
            return
        body, star, claimed = line.rpartition(b"*")
        if not star:
            self._complain(b"No Checksum with line number")
            return
        code = 0
        for byte in body:
            code ^= byte
        if _leading(claimed) != code:
            self._complain(b"checksum mismatch")
            return
        self._last = number
        self.queue.append(line)

    def _complain(self, why: bytes) -> None:
        self._rx.clear()
        if self._terse:
            self.out += [b"rs N%d" % (self._last + 1), b"ok"]
            return
        self.out += [b"Error:%b, Last Line: %d" % (why, self._last), b"Resend: %d" % (self._last + 1), b"ok"]


def _leading(text: bytes) -> int:
    text = text.lstrip(b" ")
    sign = -1 if text[:1] == b"-" else 1
    digits = text.lstrip(b"+-")
    return sign * int(digits[: len(digits) - len(digits.lstrip(b"0123456789"))] or b"0")


def _number(line: bytes) -> int | None:
    return _leading(line[1:]) if line[:1] == b"N" else None


class World:
    """A session, the wire, the model; each method is something that may happen next."""

    def __init__(
        self, count: int, *, window: int = 1, advanced: bool = False, terse: bool = False, caps: Sequence[bytes] = ()
    ) -> None:
        self.file = File(count)
        self.model = Model(advanced=advanced, terse=terse, caps=caps)
        self.wire = bytearray()  # from the host, not yet arrived
        self.now = 100.0
        self.spoilt = 0  # lines that two errors in one line made into others with the same checksum
        self._checked = 0
        self._heard = LineSplitter()
        self.slot = Slot()
        settings, host = DriverSettings(window=window), Host(wake=lambda: None)
        self.session = Session(
            SessionContext(
                write=self._write,
                slot=self.slot,
                settings=settings,
                timing=Timing(),
                checkpoints=CheckpointWriter(host.remember, PortIdentity(""), 0, host.log_keys),
                on_answer=lambda: None,
                resets=ResetWatch(),
                unsafe=False,
                log_keys=host.log_keys,
            )
        )
        self.session.open(self.now, self.now)
        self.settle()
        if self.slot.read().state is not PrinterState.IDLE:
            raise DivergenceError("no hello")
        self.session.control.start_print(StartPrint("p", self.file, ()), self.now)
        self.session.step(self.now)

    def _write(self, data: bytes) -> None:
        self.wire += data

    @property
    def ended(self) -> bool:
        return self.session.over != "" or self.session.operation.task_id == ""

    def settle(self, limit: int = 100_000) -> None:
        """Nothing goes wrong any more; until everybody is content."""
        for _ in range(limit):
            if self.wire:
                self.arrive(len(self.wire))
            elif self.model.queue:
                self.execute()
            elif self.model.out:
                self.hear()
            elif self.session.operation.task_id or self.slot.read().state is PrinterState.OFFLINE:
                if self.session.over:
                    return
                self.wait()
            else:
                return
        raise DivergenceError("it never comes to an end")

    def arrive(self, count: int, spoil: dict[int, int] | None = None) -> None:
        """So many bytes reach the firmware; `spoil`: place → what it is xored with."""
        data = bytearray(self.wire[:count])
        del self.wire[:count]
        for place, mask in (spoil or {}).items():
            if place < len(data):
                data[place] ^= mask
        self.model.receive(bytes(data))

    def execute(self) -> None:
        if self.model.queue:
            self.model.execute()
            self._check()

    def hear(self, *, spoil: dict[int, int] | None = None, lose: bool = False, twice: bool = False) -> None:
        """The next line that the firmware said reaches the host."""
        if not self.model.out:
            return
        line = bytearray(self.model.out.popleft() + b"\n")
        for place, mask in (spoil or {}).items():
            if place < len(line):
                line[place] ^= mask
        if twice and line.startswith(b"ok"):
            self.model.out.appendleft(bytes(line[:-1]))
        if not lose:
            self._listen(bytes(line))

    def _listen(self, data: bytes) -> None:
        if data == b"ok\n" and not self._heard.pending and self.session.flow.quick(self.now):
            return
        for line in self._heard.feed(data):
            for event in parse(line):
                if event.kind.name not in ("START", "FATAL", "ACTION"):  # noise: not what is looked for here
                    self.session.heard(event, self.now)
        if self._heard.pending:
            self.session.half_heard(self.now)
        self.session.step(self.now)

    def wait(self, seconds: float | None = None) -> None:
        """Time passes; without `seconds` until the driver wants to do something."""
        due = self.session.due(self.now)
        if seconds is None:
            seconds = max(0.0, min(due - self.now, 1000.0))
        self.now += seconds
        self.session.step(self.now)

    def _check(self) -> None:
        done = self.model.file
        while self._checked < len(done):
            number, body = done[self._checked]
            if number == self._checked and body != self.file.codes[number - 1]:
                self.spoilt += 1  # an M105 that proves the place, beyond what its checksum sees
                del done[self._checked]
                continue
            self._checked += 1
            if number != self._checked:
                raise DivergenceError(f"line {number} was executed as the {self._checked}th")
            if body != self.file.codes[number - 1]:
                self.spoilt += 1

    def verdict(self) -> None:
        """At the end: all of it, or a failure that says so."""
        self._check()
        last = self.slot.read().last
        if last is None:
            raise DivergenceError(f"it neither ended nor failed: {self.session.over}")
        if last.outcome is Outcome.COMPLETED and len(self.model.file) != self.file.total_lines:
            raise DivergenceError(f"completed with {len(self.model.file)} of {self.file.total_lines} lines")


class Chance:
    """A world at the mercy of a random generator."""

    def __init__(self, seed: int, steps: int) -> None:
        self.rng = rng = random.Random(seed)
        self.rate = rng.choice((0.0, 1e-4, 1e-3, 1e-2))
        self.lose, self.twice, self.late = (rng.choice((0.0, 0.0, 0.01, 0.05)) for _ in range(3))
        window = rng.choice((1, 1, 2, 3))
        caps = rng.choice(((), (b"AUTOREPORT_TEMP", b"BUSY_PROTOCOL")))
        kind = rng.choice(("plain", "plain", "advanced", "advanced", "terse"))
        about = f"rate {self.rate} lose {self.lose} twice {self.twice} late {self.late} window {window} {kind}"
        self.about = f"seed {seed}: {about}"
        self.world = World(
            max(20, steps // 8), window=window, advanced=kind == "advanced", terse=kind == "terse", caps=caps
        )

    def _noise(self, count: int) -> dict[int, int]:
        rng = self.rng
        if not self.rate:
            return {}
        return {place: rng.randrange(1, 256) for place in range(count) if rng.random() < self.rate}

    def step(self) -> None:
        """One thing happens."""
        world, rng = self.world, self.rng
        choices = []
        if world.wire:
            choices += ["arrive"] * 3
        if world.model.queue:
            choices += ["execute"] * 3
        if world.model.out:
            choices += ["hear"] * 3
        if not choices or rng.random() < self.late * 0.1:
            world.wait()
            return
        choice = rng.choice(choices)
        if choice == "arrive":
            count = min(len(world.wire), rng.randrange(1, 60))
            world.arrive(count, self._noise(count))
        elif choice == "execute":
            world.execute()
        else:
            world.hear(spoil=self._noise(40), lose=rng.random() < self.lose, twice=rng.random() < self.twice)
        world.now += rng.random() * 0.002


def run(steps: int, seed: int) -> tuple[int, int, int, int, int]:
    """At least so many steps, in prints of 250 lines; steps, prints, file lines executed, of them spoilt, jobs that
    failed."""
    taken = episodes = lines = spoilt = failed = 0
    while taken < steps:
        chance = Chance(seed + episodes, 2000)
        try:
            for _ in range(40_000):
                if chance.world.ended:
                    break
                chance.step()
                taken += 1
            chance.world.settle()
            chance.world.verdict()
        except DivergenceError as error:
            raise DivergenceError(f"{chance.about}: {error}") from error
        episodes += 1
        lines += len(chance.world.model.file)
        spoilt += chance.world.spoilt
        last = chance.world.slot.read().last
        if last is not None and last.outcome is not Outcome.COMPLETED:
            failed += 1
            print(f"failed ({chance.about}): {last.error}")  # noqa: T201
    return taken, episodes, lines, spoilt, failed


def main() -> int:
    """See the module."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    try:
        taken, episodes, lines, spoilt, failed = run(steps, seed)
    except DivergenceError as error:
        print(f"DIVERGENCE {error}")  # noqa: T201
        return 1
    print(f"{taken} steps, {episodes} prints, {lines} lines executed, each once and in order;")  # noqa: T201
    print(f"{spoilt} of them spoilt beyond what a checksum sees; {failed} prints failed and said so")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

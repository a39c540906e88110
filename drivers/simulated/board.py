"""The board from one reset to the next: what it has received, its command queue, and the command being executed.

Four places in the command queue, of which the command being executed has one; an `ok` when a line has been consumed;
`Resend:` with everything buffered thrown away (SERIAL.md §1–13). Time is the business of `firmware.py`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from drivers.simulated import commands, emergency
from drivers.simulated.faults import Event, Faults, Trip
from drivers.simulated.intake import Intake, Verdict
from drivers.simulated.machine import Machine
from drivers.simulated.waits import Wait
from drivers.simulated.words import body_of, parse


class Board:
    """A running board. `wake` is the simulated instant at which the running command wants to go on, `busy_at` that of
    the next `busy` line; infinity when there is none. Tell the machine the time before calling anything."""

    def __init__(self, machine: Machine, faults: Faults, executed: Callable[[bytes], None]) -> None:
        """`executed` is called with each command as its execution begins."""
        self.machine = machine
        self.intake = Intake(machine.options.rx_buffer)
        self.queue: deque[bytes] = deque()
        self.task: Wait | None = None
        self.wake = math.inf
        self.busy_at = math.inf
        self.silent = False
        self.unplug: Event | None = None
        self.storm: int | None = None  # the number of the line that is never accepted
        self._options = machine.options
        self._faults = faults
        self._executed = executed
        self._running = b""
        self._emergency = emergency.Scanner()

    @property
    def stopped(self) -> bool:
        """Killed or fallen silent: only a reset helps."""
        return self.machine.halted or self.silent

    @property
    def idle(self) -> bool:
        """Nothing is being executed and nothing waits: a line that comes now is executed at once."""
        return self.task is None and not self.queue and self.storm is None and self.intake.empty

    def receive(self, data: bytes) -> None:
        """Take bytes, and do what can be done with them at once."""
        if self._options.emergency_parser:
            self._act_early(self._emergency.scan(data))
        self.intake.receive(data)
        self.work()

    def work(self) -> None:
        """Move lines from the receive buffer to the queue and execute them, as far as that goes now."""
        while not self._ended():
            self._fill()
            if self.task is not None or not self.queue or self._ended():
                break
            self._execute(self.queue.popleft())
        self.intake.settle()

    def go_on(self) -> None:
        """Resume the running command; when it has ended, say `ok`."""
        if self.task is None:
            return
        wake = next(self.task, None)
        if wake is not None:
            self.wake = wake
            return
        self.task = None
        self.wake = self.busy_at = math.inf
        machine = self.machine
        if machine.new_line_number is not None:
            self.intake.last_line = machine.new_line_number
            machine.new_line_number = None
        if not self._ended():
            self.acknowledge(self._running)

    def acknowledge(self, line: bytes) -> None:
        """Say `ok` for a consumed line, with what belongs to it (SERIAL.md §3, 6)."""
        machine = self.machine
        text = b"ok" + machine.ok_data
        if self._options.advanced_ok and not machine.ok_data:
            line = line.lstrip(b" ")
            digits = len(line) - len(line[1:].lstrip(b"-0123456789")) if line[:1] == b"N" else 0
            if digits:
                text += b" " + line[:digits]
            free = self._options.queue_size - len(self.queue) - 1
            text += b" P%d B%d" % (machine.motion.free(machine.now), free)
        machine.ok_data = b""
        self._say_ok(text)

    def _ended(self) -> bool:
        return self.stopped or self.machine.restart

    def _fill(self) -> None:
        while not self._ended() and len(self.queue) + (self.task is not None) < self._options.queue_size:
            line = self.intake.next_line()
            if line is None:
                return
            self._enqueue(line)

    def _enqueue(self, line: bytes) -> None:
        verdict, number = self._judge(line)
        if verdict is Verdict.STALE or self._ended():
            return
        if verdict is not Verdict.ACCEPT:
            self._ask_again(verdict)
            return
        if number is not None:
            self.intake.last_line = number
            self.storm = None
        elif not self._options.emergency_parser:
            # Only without a line number, and only when it gets here: while there is room in the queue.
            self._act_early([code for code in (line.lstrip(b" ")[:4],) if code in emergency.CODES])
        self.queue.append(line)

    def _judge(self, line: bytes) -> tuple[Verdict, int | None]:
        """The verdict on a line after the mishaps that are due at its number."""
        verdict, number = self.intake.judge(line)
        if verdict is not Verdict.ACCEPT or number is None or b"M110" in line:
            return verdict, number
        event = self._faults.trips.pop(number, None)
        if event is not None:
            self._trip(number, event)
        return (Verdict.WRONG_CHECKSUM if number == self.storm else verdict), number

    def _trip(self, number: int, event: Event) -> None:
        match event.trip:
            case Trip.STORM:
                self.storm = number
            case Trip.RESET:
                self.machine.restart = True
            case Trip.KILL:
                self.machine.kill(b"Thermal Runaway, system stopped! Heater_ID: 0")
            case Trip.SILENCE:
                self.silent = True
            case Trip.UNPLUG:
                self.silent = True
                self.unplug = event

    def _ask_again(self, verdict: Verdict) -> None:
        last = self.intake.last_line
        self.intake.flush()
        self.machine.say(b"Error:%s%d" % (verdict.value.encode(), last))
        self.machine.say(b"Resend: %d" % (last + 1))
        self._say_ok(b"ok")

    def _execute(self, line: bytes) -> None:
        body = body_of(line)
        self._executed(body)
        words = parse(body)
        handle = commands.handler(words) if words is not None else None
        if words is None or handle is None:
            self.machine.say(b'echo:Unknown command: "' + body + b'"')
            self.acknowledge(line)
        elif self._options.emergency_parser and body[:4] in emergency.CODES:
            # It has acted while it was being received.
            if self._options.emergency_ok:
                self.acknowledge(line)
        else:
            self._running = line
            self.task = handle(self.machine, words) or iter(())
            self.busy_at = self.machine.now + self.machine.keepalive
            self.go_on()

    def _act_early(self, codes: list[bytes]) -> None:
        """M108, M112 and M410 act before their turn in the queue (SERIAL.md §6a, 23)."""
        for code in codes:
            if code == b"M112":
                self.machine.kill()
                return
            if code == b"M410":
                self.machine.quick_stop()
            else:
                self.machine.end_waits()
            self.go_on()

    def _say_ok(self, text: bytes) -> None:
        for _ in range(self._faults.oks()):
            self.machine.say(text)

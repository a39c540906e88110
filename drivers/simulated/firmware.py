"""Simulated firmware: bytes in, bytes out, on a virtual clock. No threads, no files, no clock of its own.

Every call is told what time it is in simulated seconds; everything that was due until then happens in order, so that
what the firmware sends does not depend on how often it is called. With `leap=True` it never waits for time: when a
command would block, its own time leaps to the end of the wait. (What waits for a person still does.)"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import xor

import msgspec

from agent.errors import DataError
from drivers.simulated.controller import Controller
from drivers.simulated.faults import Faults, ScheduledFault
from drivers.simulated.machine import Machine
from drivers.simulated.options import Options

_BUDGET = 2000
"""Events at most per call: a wait of a simulated year must not keep the caller from anything else."""

_FAST = (b"G1 ", b"G0 ")
_LINE_MAX = 95


class VirtualFirmware:
    """The firmware of one virtual board, switched on at the simulated instant `now`.

    `executed` counts the command lines executed since then, over all resets; `on_line` is called with each (without
    number, checksum and comment). `resets` counts the resets."""

    def __init__(
        self,
        options: Options,
        faults: Faults,
        *,
        now: float = 0.0,
        leap: bool = False,
        on_line: Callable[[bytes], None] | None = None,
    ) -> None:
        """Raises DataError for a fault that the dialect cannot have."""
        self._options = options
        self._faults = faults
        self._leap = leap
        self._on_line = on_line
        self._ahead = 0.0  # how far the firmware's time has leapt ahead of its caller's
        self.executed = 0
        self.resets = 0
        self.machine = Machine(options, now)
        for fault in faults.heaters:
            (self.machine.bed if fault.heater == "bed" else self.machine.nozzle).fault = fault
        dialect = self.machine.dialect
        if dialect.starting is None and faults.of_klipper:
            raise DataError(f"fault {faults.of_klipper!r} is one of Klipper's; the dialect is {dialect.name}")
        self._ok = b"ok" + dialect.line_end
        self._crlf = dialect.line_end == b"\r\n"
        # Is an `ok` nothing but that, whenever a line is done? And is it all that ever happens on the link?
        self._plain_ok = not (self._faults.alters_oks or options.advanced_ok)
        starts = faults.starting > 0
        self._link_rests = self._plain_ok and dialect.nag is None and dialect.idle_wait is None and not starts
        self._checks_moves = bool(dialect.unhomed)
        self._quick = self._link_rests and not dialect.ok_on_receipt and dialect.stop_byte == b""
        self._start(now)

    def reset(self, now: float) -> None:
        """Reboot: everything is lost but the heat, and `start` is sent (docs/serial.md §20)."""
        old = self.machine
        old.now = max(old.now, now + self._ahead)
        old.heaters_off()
        self.machine = Machine(self._options, old.now, old)
        self.machine.out = old.out
        self.resets += 1
        self._start(now)

    def rename(self, name: str) -> None:
        """Be a firmware of this name from the next reset on."""
        self._options = msgspec.structs.replace(self._options, firmware_name=name)

    def _start(self, now: float) -> None:
        self.machine.leaps = self._leap
        self._controller = Controller(self.machine, self._faults, self._executed, now)
        self._execution = self._controller.execution
        garbage = self._faults.boot_garbage()
        if garbage:
            self.machine.out.append(garbage)
        self._controller.start()

    @property
    def stopped(self) -> bool:
        """Whether it was killed or is silent for good, so that only a reset helps."""
        return self._controller.stopped

    @property
    def opening_helps(self) -> bool:
        """Whether it is stopped in such a way that opening its port, as DTR does, brings it back."""
        return self.stopped and (self.machine.dialect.opening_resets or not self.machine.halted)

    @property
    def unplug(self) -> ScheduledFault | None:
        """The fault that pulls the cable, once it has happened; whoever serves the port acts on it, and resets."""
        return self._controller.unplug

    @property
    def lost_bytes(self) -> int:
        """Bytes lost since the reset because the receive buffer was full."""
        return self._controller.receiver.lost

    def wake_at(self) -> float:
        """The instant, in the caller's time, at which `advance` is due; infinity when only bytes matter."""
        controller, execution = self._controller, self._execution
        if controller.stopped or execution.unresponsive:
            return controller.link_due
        if self._link_rests and execution.task is None and not self.machine.out:
            return self.machine.reports.next_report - self._ahead
        if self.machine.out or (self._leap and execution.wake < math.inf):
            return self.machine.now - self._ahead
        return min(self._due() - self._ahead, controller.link_due)

    def receive(self, data: bytes, now: float) -> bytes:
        """Take bytes from the host at `now`; everything the firmware sends up to then."""
        data = self._faults.to_printer(data)
        controller, execution = self._controller, self._execution
        rests = self._link_rests and controller.timers.silent_until == -math.inf
        if not rests or execution.task is not None or now + self._ahead >= self.machine.reports.next_report:
            self._pass_time(now)
        machine, controller, execution = self.machine, self._controller, self._execution
        machine.now = max(machine.now, now + self._ahead)
        controller.timers.now = max(controller.timers.now, now)
        if execution.unresponsive:
            return self._take_output()
        while self._quick and controller.idle and not machine.refuses:
            line = data[: data.find(b"\n") + 1]
            if not self._fast(line):
                break
            last = len(line) == len(data)
            if last and self._plain_ok and not machine.out:
                return self._ok
            execution.acknowledge(line)
            if last:
                return self._take_output()
            data = data[len(line) :]
        controller.receive(data)
        self._pass_time(now)
        return self._take_output()

    def advance(self, now: float) -> bytes:
        """Let the time pass until `now`; everything the firmware sends meanwhile."""
        self._pass_time(now)
        return self._take_output()

    def _due(self) -> float:
        """The simulated instant of the next thing that happens by itself."""
        return min(self._execution.wake, self._execution.busy_at, self.machine.reports.next_report)

    def _pass_time(self, now: float) -> None:
        """Do everything that is due until `now`, in order; with `leap`, until nothing blocks any more."""
        for _ in range(_BUDGET):
            if self.machine.restart:
                self.reset(now)
            machine, controller, execution = self.machine, self._controller, self._execution
            until = now + self._ahead
            still = controller.stopped or execution.unresponsive
            due = math.inf if still else self._due()
            if controller.link_due <= min(now, due - self._ahead):
                controller.timers.now = max(controller.timers.now, controller.link_due)
                machine.now = max(machine.now, controller.timers.now + self._ahead)
                controller.link_work()
                continue
            if due > until:
                if not self._leap or execution.wake == math.inf or still:
                    machine.now = max(machine.now, until)
                    controller.timers.now = max(controller.timers.now, now)
                    return
                self._ahead += due - until
            machine.now = max(machine.now, due)
            controller.timers.now = max(controller.timers.now, due - self._ahead)
            if machine.reports.next_report <= due:
                machine.say(machine.temperatures())
                machine.reports.next_report += machine.reports.report_every
            if execution.busy_at <= due:
                machine.say(b"echo:busy: " + machine.reports.busy_with)
                execution.busy_at += machine.reports.keepalive
            if execution.wake <= due:
                execution.resume()
                controller.work()

    def _executed(self, body: bytes) -> None:
        self.executed += 1
        if self._on_line is not None:
            self._on_line(body)

    def _take_output(self) -> bytes:
        text = b"".join(self.machine.out)
        self.machine.out.clear()
        if self._crlf:
            text = text.replace(b"\n", b"\r\n")
        return self._faults.to_host(text)

    def _fast(self, line: bytes) -> bool:
        """Execute, on the hot path, one whole numbered G0 or G1 line that finds the board idle. False, with nothing
        executed, for anything else: the long way then does it from the start."""
        star = line.rfind(b"*")
        space = line.find(b" ")
        if line[space + 1 : space + 4] not in _FAST or line[:1] != b"N" or len(line) > _LINE_MAX:
            return False
        receiver, machine = self._controller.receiver, self.machine
        try:
            number = int(line[1:space])
            if number != receiver.last_line + 1 or number in self._faults.scheduled:
                return False
            if int(line[star + 1 :]) != reduce(xor, line[:star]) or not self._room():
                return False
            body = line[space + 1 : star]
            if self._checks_moves and (len(machine.motion.homed) < 3 or (b"E" in body and machine.cold())):
                return False
            held = machine.motion.move_words(machine.now, body[3:].split(), cold=machine.cold())
        except ValueError:
            return False
        receiver.last_line = number
        self.executed += 1
        if self._on_line is not None:
            self._on_line(body)
        if held:
            machine.hold_filament()
        return True

    def _room(self) -> bool:
        """Whether there is a free planner block, now or after a leap over which nothing else happens."""
        machine = self.machine
        if machine.motion.free(machine.now) > 0:
            return True
        opening = machine.motion.next_free()
        if not self._leap or opening >= min(machine.reports.next_report, machine.now + machine.reports.keepalive):
            return False
        self._ahead += opening - machine.now
        machine.now = opening
        return machine.motion.free(opening) > 0

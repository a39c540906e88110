"""Controller board from one reset to the next: start, command queue, resend requests, faults, emergencies.

A few places in the command queue, of which the command being executed has one; an `ok` when a line has been consumed;
a request with everything buffered thrown away (docs/serial.md §1–13). Time is the business of `firmware.py`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from drivers.simulated import emergency
from drivers.simulated.acks import AckQueue
from drivers.simulated.command_execution import CommandExecution
from drivers.simulated.dialect import LineVerdict
from drivers.simulated.faults import HALTING, Faults, LineFault, ScheduledFault
from drivers.simulated.line_receiver import LineReceiver
from drivers.simulated.link_timers import LinkTimers
from drivers.simulated.machine import Machine


class Controller:
    """A running board. Tell the machine the time before calling anything, and `timers` that of the host, by which goes
    what belongs to the link."""

    def __init__(self, machine: Machine, faults: Faults, executed: Callable[[bytes], None], host_now: float) -> None:
        """`executed` is called with each command as its execution begins."""
        self.machine = machine
        self.receiver = LineReceiver(machine.dialect)
        self.acks = AckQueue(machine, faults)
        self.queue: deque[bytes] = deque()
        self.timers = LinkTimers(machine.dialect, machine.options.real_second, host_now)
        self.execution = CommandExecution(
            machine,
            acks=self.acks,
            receiver=self.receiver,
            timers=self.timers,
            queue=self.queue,
            executed=executed,
        )
        self.unplug: ScheduledFault | None = None
        self.refused_number: int | None = None  # the number of the line that is never accepted
        self._dialect = machine.dialect
        self._faults = faults
        self._emergency = emergency.EmergencyParser(machine.dialect)
        self._skips = 0  # so many lines with a wrong number are passed over; more than 0 after a request

    @property
    def stopped(self) -> bool:
        """Whether it was killed or is silent for good, so that only a reset helps."""
        return self.machine.halted or self.timers.silent_until == math.inf

    @property
    def idle(self) -> bool:
        """Whether nothing is being executed and nothing waits: a line that comes now is executed at once."""
        return self.execution.task is None and not self.queue and self.refused_number is None and self.receiver.empty

    @property
    def link_due(self) -> float:
        """The instant, in the host's time, at which the link has something to do without new bytes."""
        if self.execution.unresponsive:
            return self.timers.silent_until if self.timers.silent else math.inf
        due = self.timers.due(
            waiting=self._waits_for_more() and self._has_room(), idle=self.execution.task is None and not self.queue
        )
        return min(due, self.acks.due, self.timers.ready_at)

    def start(self) -> None:
        """Begin: say the banner, where it is ready at once."""
        dialect = self._dialect
        if dialect.starting is None:
            self.machine.out.append(dialect.banner.encode())
            return
        self.machine.not_ready = dialect.starting
        self._faults.count_start()
        if self._faults.starting:
            self.timers.start(self._faults.starting)
        else:
            self.finish_start()

    def finish_start(self) -> None:
        """End the start: it is ready, unless its configuration cannot be used."""
        if self._faults.config_error:
            self.machine.not_ready = self._dialect.config_error
        elif not self.machine.halted:
            self.machine.not_ready = None
            self.machine.out.append(self._dialect.banner.encode())

    def link_work(self) -> None:
        """Do what is due on the link now."""
        timers = self.timers
        if self.acks.due <= timers.now:
            self.acks.release(timers.now)
        if timers.person_at <= timers.now:
            timers.expect_person(None)
            self.machine.attend()
            self.execution.resume()
            self.work()
        if timers.ready_at <= timers.now:
            timers.ready_at = math.inf
            self.finish_start()
        if timers.silent_until > -math.inf and not self.execution.unresponsive:
            timers.silent_until = -math.inf
            timers.restart()
            self.machine.reports.next_report = max(self.machine.reports.next_report, self.machine.now)
            self.work()
        elif self.link_due <= timers.now:
            timers.restart()
            if self._dialect.nag is not None and self._waits_for_more():
                self._ask_again()
            else:
                self.machine.say(b"wait")

    def receive(self, data: bytes) -> None:
        """Take bytes, and do what can be done with them at once."""
        self.timers.restart()
        stop = self._dialect.stop_byte
        if stop and stop in data:
            data = data.replace(stop, b"")
            self.machine.kill()
        if self._dialect.parser:
            self.execution.execute_early(self._emergency.scan(data))
        self.receiver.receive(data)
        self.work()

    def work(self) -> None:
        """Move lines from the receive buffer to the queue and execute them, as far as that goes now."""
        while not self.execution.has_ended():
            if self.machine.halted:
                self.queue.clear()
                self.execution.abandon()
            self._fill()
            if self.execution.task is not None or not self.queue or self.execution.has_ended():
                break
            self.execution.execute(self.queue.popleft())
        self.receiver.drop_overflow()

    def _waits_for_more(self) -> bool:
        """Whether it waits for a line that it has asked for, or for the end of one that has begun."""
        return self._skips > 0 or not self.receiver.empty

    def _has_room(self) -> bool:
        return len(self.queue) + (self.execution.task is not None) < self._dialect.queue_size

    def _fill(self) -> None:
        while not self.execution.has_ended() and (self.machine.refuses or self._has_room()):
            line = self.receiver.next_line()
            if line is None:
                return
            if self.machine.refuses:
                self.execution.refuse(line)
            else:
                self._enqueue(line)

    def _enqueue(self, line: bytes) -> None:
        verdict, number = self._check(line)
        if self.machine.halted and not self.execution.has_ended():
            self.execution.refuse(line)
        if verdict is LineVerdict.STALE or self.execution.has_ended() or self.machine.halted:
            return
        if verdict is LineVerdict.WRONG_NUMBER and self._skips:
            self._skips -= 1
            self.machine.say(b"skip %d" % (number or 0))
            self.acks.send(b"ok", self.timers.now)
            return
        if verdict is not LineVerdict.ACCEPT:
            self._ask_again(verdict, number or 0)
            return
        self._skips = 0
        if number is not None:
            self.receiver.last_line = number
            self.refused_number = None
        if not self._dialect.parser:  # while there is room in the queue
            self.execution.execute_early(emergency.codes_in(line, self._dialect))
        if self.execution.has_ended() or self.machine.halted:
            return
        self.queue.append(line)
        if self._dialect.ok_on_receipt:
            self.execution.acknowledge(line)

    def _check(self, line: bytes) -> tuple[LineVerdict, int | None]:
        """Check a line after the faults that are due at its number."""
        verdict, number = self.receiver.check(line)
        if verdict is not LineVerdict.ACCEPT or number is None or b"M110" in line:
            return verdict, number
        event = self._faults.take(number)
        if event is not None:
            self._apply_fault(number, line, event)
        return (LineVerdict.WRONG_CHECKSUM if number == self.refused_number else verdict), number

    def _apply_fault(self, number: int, line: bytes, event: ScheduledFault) -> None:
        if event.fault in HALTING:
            self.machine.kill(LineFault.RUNAWAY.value if event.fault is LineFault.KILL else event.fault.value)
            return
        match event.fault:
            case LineFault.STORM:
                self.refused_number = number
            case LineFault.RESET:
                self.execution.restart()
            case LineFault.STOP if self._dialect.stop_button:
                self.machine.say(self._dialect.stop_button)
            case LineFault.RUNOUT if self._dialect.runout:
                self.machine.say(self._dialect.runout)
            case LineFault.PERSON | LineFault.RUNOUT:
                self.execution.pause_before(line, event)
            case LineFault.SILENCE:
                self.timers.fall_silent(event.seconds)
                self.receiver.flush()
            case LineFault.UNPLUG:
                self.timers.fall_silent(None)
                self.unplug = event

    def _ask_again(self, verdict: LineVerdict | None = None, number: int = 0) -> None:
        """Drop what is buffered and ask for the next line; without a verdict no reason is given."""
        dialect, last = self._dialect, self.receiver.last_line
        self.receiver.flush()
        if dialect.resend is None:
            return
        self._skips = dialect.skips
        if verdict is not None and verdict in dialect.errors:
            names = {b"last": last, b"next": last + 1, b"number": number}
            self.machine.say(dialect.errors[verdict] % names)
        for wanted in self._faults.requested_lines(last + 1):
            self.machine.say(dialect.resend % {b"next": wanted})
        if dialect.resend_ok and self._faults.resend_ok():
            self.acks.send(b"ok", self.timers.now)

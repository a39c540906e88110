"""Controller board from one reset to the next: command queue, the command being executed, resend requests, emergencies.

A few places in the command queue, of which the command being executed has one; an `ok` when a line has been consumed;
a request with everything buffered thrown away (docs/serial.md §1–13). Time is the business of `firmware.py`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from drivers.simulated import command_table, emergency, waits
from drivers.simulated.acks import AckQueue
from drivers.simulated.command_line import body_of, number_of, parse_command
from drivers.simulated.dialect import LineVerdict
from drivers.simulated.faults import HALTING, Faults, LineFault, ScheduledFault
from drivers.simulated.line_receiver import LineReceiver
from drivers.simulated.link_timers import LinkTimers
from drivers.simulated.machine import Machine
from drivers.simulated.waits import Wait


class Controller:
    """A running board. `wake` is the simulated instant at which the running command wants to go on, `busy_at` that of
    the next `busy` line; infinity when there is none. Tell the machine the time before calling anything, and `timers`
    that of the host: what belongs to the link goes by that."""

    def __init__(self, machine: Machine, faults: Faults, executed: Callable[[bytes], None], host_now: float) -> None:
        """`executed` is called with each command as its execution begins."""
        self.machine = machine
        self.receiver = LineReceiver(machine.dialect)
        self.acks = AckQueue(machine, faults)
        self.queue: deque[bytes] = deque()
        self.task: Wait | None = None
        self.wake = math.inf
        self.busy_at = math.inf
        self.timers = LinkTimers(machine.dialect, machine.options.real_second, host_now)
        self.unplug: ScheduledFault | None = None
        self.refused_number: int | None = None  # the number of the line that is never accepted
        self._dialect = machine.dialect
        self._faults = faults
        self._executed = executed
        self._running = b""
        self._paused: tuple[bytes, ScheduledFault] | None = None  # before this line, a person is waited for
        self._emergency = emergency.EmergencyParser(machine.dialect)
        self._skips = 0  # so many lines with a wrong number are passed over; more than 0 after a request

    @property
    def stopped(self) -> bool:
        """Whether it was killed or is silent for good, so that only a reset helps."""
        return self.machine.halted or self.timers.silent_until == math.inf

    @property
    def unresponsive(self) -> bool:
        """Whether it neither takes nor sends anything."""
        return self.timers.silent or (self.machine.halted and self._dialect.refusal is None)

    @property
    def idle(self) -> bool:
        """Whether nothing is being executed and nothing waits: a line that comes now is executed at once."""
        return self.task is None and not self.queue and self.refused_number is None and self.receiver.empty

    @property
    def link_due(self) -> float:
        """The instant, in the host's time, at which the link has something to do without new bytes."""
        if self.unresponsive:
            return self.timers.silent_until if self.timers.silent else math.inf
        due = self.timers.due(
            waiting=self._waits_for_more() and self._has_room(), idle=self.task is None and not self.queue
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
            self.resume_command()
            self.work()
        if timers.ready_at <= timers.now:
            timers.ready_at = math.inf
            self.finish_start()
        if timers.silent_until > -math.inf and not self.unresponsive:
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
            self._execute_early(self._emergency.scan(data))
        self.receiver.receive(data)
        self.work()

    def work(self) -> None:
        """Move lines from the receive buffer to the queue and execute them, as far as that goes now."""
        while not self._ended():
            if self.machine.halted:
                self.queue.clear()
                self.task = None
                self.wake = self.busy_at = math.inf
            self._fill()
            if self.task is not None or not self.queue or self._ended():
                break
            self._execute(self.queue.popleft())
        self.receiver.drop_overflow()

    def resume_command(self) -> None:
        """Resume the running command; when it has ended, say `ok`."""
        if self.task is None:
            return
        wake = next(self.task, None)
        if wake is not None:
            self.wake = wake
            return
        self.task = None
        self.wake = self.busy_at = math.inf
        self.timers.restart()
        machine = self.machine
        if machine.new_line_number is not None:
            if not (self._dialect.m110_outer and self._running.lstrip(b" ")[:1] == b"N"):
                self.receiver.last_line = machine.new_line_number
            machine.new_line_number = None
        if not self._ended() and not self._dialect.ok_on_receipt:
            self.acknowledge(self._running)

    def acknowledge(self, line: bytes) -> None:
        """Say `ok` for a consumed line, with what belongs to it (docs/serial.md §3, 6)."""
        machine = self.machine
        text = b"ok" + machine.ok_data
        if self._dialect.ok_number and not body_of(line).startswith(b"M110"):
            text += b" %d" % self.receiver.last_line
        elif machine.options.advanced_ok and not machine.ok_data:
            free = self._dialect.queue_size - len(self.queue) - 1
            text += number_of(line) + b" P%d B%d" % (machine.motion.free(machine.now), free)
        machine.ok_data = b""
        self.acks.send(text, self.timers.now)

    def _ended(self) -> bool:
        return self.unresponsive or self.machine.restart

    def _waits_for_more(self) -> bool:
        """Whether it waits for a line that it has asked for, or for the end of one that has begun."""
        return self._skips > 0 or not self.receiver.empty

    def _has_room(self) -> bool:
        return len(self.queue) + (self.task is not None) < self._dialect.queue_size

    def _fill(self) -> None:
        while not self._ended() and (self.machine.refuses or self._has_room()):
            line = self.receiver.next_line()
            if line is None:
                return
            if self.machine.refuses:
                self._refuse(line)
            else:
                self._enqueue(line)

    def _enqueue(self, line: bytes) -> None:
        verdict, number = self._check(line)
        if self.machine.halted and not self._ended():
            self._refuse(line)
        if verdict is LineVerdict.STALE or self._ended() or self.machine.halted:
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
            self._execute_early(emergency.codes_in(line, self._dialect))
        if self._ended() or self.machine.halted:
            return
        self.queue.append(line)
        if self._dialect.ok_on_receipt:
            self.acknowledge(line)

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
                self._restart()
            case LineFault.PERSON | LineFault.RUNOUT:
                self._paused = (line, event)
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

    def _refuse(self, line: bytes) -> None:
        """Answer a line after a halt, or before it is ready: refuse it, unless it restarts the board."""
        dialect, body = self._dialect, body_of(line)
        command = parse_command(body.upper() if dialect.any_case else body)
        if _word(body) in dialect.restart:
            self._restart(line)
        elif command is not None and command.code in dialect.still:
            self._execute(line)
        else:
            refusal = self.machine.refusal()
            if refusal:
                self.machine.say(refusal)
            if dialect.refusal_ok:
                self.acks.send(b"ok", self.timers.now)

    def _execute(self, line: bytes) -> None:
        body, dialect = body_of(line), self._dialect
        if not body and dialect.blank_ok:
            self.acknowledge(line)
            return
        command = parse_command(body.upper() if dialect.any_case else body)
        refusal = command_table.refusal(self.machine, command) if command is not None else b""
        if refusal:
            self.machine.say(refusal)
            self.acknowledge(line)
            return
        self._executed(body)
        if _word(body) in dialect.restart:
            self._restart(line)
            return
        handle = command_table.handler(command, dialect) if command is not None else None
        if command is None or handle is None:
            code = command.code.encode() if command else _word(body) if dialect.any_case else body
            if code == dialect.all_off != b"":
                self.machine.heaters_off()
            elif answer := dialect.words.get(code) or dialect.unknown % {b"line": body, b"code": code}:
                self.machine.say(answer)
            if not dialect.ok_on_receipt:
                self.acknowledge(line)
        elif dialect.parser and body[:4] in emergency.codes_of_parser(dialect):
            # It has acted while it was being received.
            if self.machine.options.emergency_ok or self.machine.halted:
                self.acknowledge(line)
        else:
            self._running = line
            if self._paused is not None and self._paused[0] is line:
                self.task = self._after_person(lambda: handle(self.machine, command), self._paused[1])
                self._paused = None
            else:
                self.task = handle(self.machine, command) or iter(())
            self.busy_at = self.machine.now + self.machine.reports.keepalive
            self.resume_command()

    def _restart(self, line: bytes | None = None) -> None:
        """Restart, as `line` has it where there is one."""
        if line is not None and self._dialect.restart_ok:
            self.acknowledge(line)
        if self._dialect.leaving:
            self.machine.say(self._dialect.leaving)
        self.machine.restart = True

    def _after_person(self, command: Callable[[], Wait | None], event: ScheduledFault) -> Iterator[float]:
        self.timers.expect_person(event.seconds)
        self.machine.person.attended = False
        if event.fault is LineFault.RUNOUT:
            yield from waits.change_filament(self.machine, None)
        else:
            yield from waits.paused(self.machine)
        yield from command() or ()

    def _execute_early(self, codes: list[bytes]) -> None:
        """Execute M108, M112, M410 and M876 before their turn in the queue (docs/serial.md §6a, 23)."""
        for code in codes:
            if code == b"M112":
                self.machine.kill()
                return
            if code == b"M410":
                self.machine.quick_stop()
            elif code[:4] == b"M876":
                self.machine.respond(int(code[-1:]))
            else:
                self.machine.end_waits()
            self.resume_command()


def _word(body: bytes) -> bytes:
    """The first word of a command, in capitals."""
    return body.split(b" ", 1)[0].upper()

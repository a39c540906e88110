"""The board from one reset to the next: what it has received, its command queue, and the command being executed.

A few places in the command queue, of which the command being executed has one; an `ok` when a line has been consumed;
a request with everything buffered thrown away (docs/serial.md §1–13). Time is the business of `firmware.py`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from drivers.simulated import command_table, emergency, waits
from drivers.simulated.acks import Acks
from drivers.simulated.dialect import Verdict
from drivers.simulated.faults import HEATERS, Event, Faults, Trip
from drivers.simulated.intake import Intake
from drivers.simulated.link_timers import Quiet
from drivers.simulated.machine import Machine
from drivers.simulated.waits import Wait
from drivers.simulated.words import body_of, number_of, parse


class Board:
    """A running board. `wake` is the simulated instant at which the running command wants to go on, `busy_at` that of
    the next `busy` line; infinity when there is none. Tell the machine the time before calling anything, and `quiet`
    that of the host: what belongs to the link goes by that."""

    def __init__(self, machine: Machine, faults: Faults, executed: Callable[[bytes], None], host_now: float) -> None:
        """`executed` is called with each command as its execution begins."""
        self.machine = machine
        self.intake = Intake(machine.family)
        self.acks = Acks(machine, faults)
        self.queue: deque[bytes] = deque()
        self.task: Wait | None = None
        self.wake = math.inf
        self.busy_at = math.inf
        self.quiet = Quiet(machine.family, machine.options.real_second, host_now)
        self.unplug: Event | None = None
        self.storm: int | None = None  # the number of the line that is never accepted
        self._family = machine.family
        self._faults = faults
        self._executed = executed
        self._running = b""
        self._paused: tuple[bytes, Event] | None = None  # before this line, a person is waited for
        self._emergency = emergency.Scanner(machine.family.early)
        self._skips = 0  # so many lines with a wrong number are passed over; more than 0 after a request

    @property
    def stopped(self) -> bool:
        """Killed or fallen silent for good: only a reset helps."""
        return self.machine.halted or self.quiet.silent_until == math.inf

    @property
    def deaf(self) -> bool:
        """Does it neither hear nor say anything?"""
        return self.quiet.silent or (self.machine.halted and self._family.refusal is None)

    @property
    def idle(self) -> bool:
        """Nothing is being executed and nothing waits: a line that comes now is executed at once."""
        return self.task is None and not self.queue and self.storm is None and self.intake.empty

    @property
    def link_due(self) -> float:
        """The instant, in the host's time, at which the link has something to do without being spoken to."""
        if self.deaf:
            return self.quiet.silent_until if self.quiet.silent else math.inf
        due = self.quiet.due(
            waiting=self._waits_for_more() and self._has_room(), idle=self.task is None and not self.queue
        )
        return min(due, self.acks.due)

    def link_work(self) -> None:
        """Do what is due on the link now."""
        quiet = self.quiet
        if self.acks.due <= quiet.now:
            self.acks.release(quiet.now)
        if quiet.person_at <= quiet.now:
            quiet.expect_person(None)
            self.machine.end_waits()
            self.go_on()
            self.work()
        if quiet.silent_until > -math.inf and not self.deaf:
            quiet.silent_until = -math.inf
            quiet.begin()
            self.machine.next_report = max(self.machine.next_report, self.machine.now)
            self.work()
        elif self.link_due <= quiet.now:
            quiet.begin()
            if self._family.nag is not None and self._waits_for_more():
                self._ask_again()
            else:
                self.machine.say(b"wait")

    def receive(self, data: bytes) -> None:
        """Take bytes, and do what can be done with them at once."""
        self.quiet.begin()
        stop = self._family.stop_byte
        if stop and stop in data:
            data = data.replace(stop, b"")
            self.machine.kill()
        if self._family.parser:
            self._act_early(self._emergency.scan(data))
        self.intake.receive(data)
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
        self.quiet.begin()
        machine = self.machine
        if machine.new_line_number is not None:
            if not (self._family.m110_outer and self._running.lstrip(b" ")[:1] == b"N"):
                self.intake.last_line = machine.new_line_number
            machine.new_line_number = None
        if not self._ended() and not self._family.ok_on_receipt:
            self.acknowledge(self._running)

    def acknowledge(self, line: bytes) -> None:
        """Say `ok` for a consumed line, with what belongs to it (docs/serial.md §3, 6)."""
        machine = self.machine
        text = b"ok" + machine.ok_data
        if self._family.ok_number and not body_of(line).startswith(b"M110"):
            text += b" %d" % self.intake.last_line
        elif machine.options.advanced_ok and not machine.ok_data:
            free = self._family.queue_size - len(self.queue) - 1
            text += number_of(line) + b" P%d B%d" % (machine.motion.free(machine.now), free)
        machine.ok_data = b""
        self.acks.send(text, self.quiet.now)

    def _ended(self) -> bool:
        return self.deaf or self.machine.restart

    def _waits_for_more(self) -> bool:
        """For a line that it has asked for, or the end of one that has begun."""
        return self._skips > 0 or not self.intake.empty

    def _has_room(self) -> bool:
        return len(self.queue) + (self.task is not None) < self._family.queue_size

    def _fill(self) -> None:
        while not self._ended() and (self.machine.halted or self._has_room()):
            line = self.intake.next_line()
            if line is None:
                return
            if self.machine.halted:
                self._refuse(line)
            else:
                self._enqueue(line)

    def _enqueue(self, line: bytes) -> None:
        verdict, number = self._judge(line)
        if self.machine.halted and not self._ended():
            self._refuse(line)
        if verdict is Verdict.STALE or self._ended() or self.machine.halted:
            return
        if verdict is Verdict.WRONG_NUMBER and self._skips:
            self._skips -= 1
            self.machine.say(b"skip %d" % (number or 0))
            self.acks.send(b"ok", self.quiet.now)
            return
        if verdict is not Verdict.ACCEPT:
            self._ask_again(verdict, number or 0)
            return
        self._skips = 0
        if number is not None:
            self.intake.last_line = number
            self.storm = None
        if not self._family.parser:  # while there is room in the queue
            self._act_early(emergency.codes_in(line, self._family))
        if self._ended() or self.machine.halted:
            return
        self.queue.append(line)
        if self._family.ok_on_receipt:
            self.acknowledge(line)

    def _judge(self, line: bytes) -> tuple[Verdict, int | None]:
        """The verdict on a line after the mishaps that are due at its number."""
        verdict, number = self.intake.judge(line)
        if verdict is not Verdict.ACCEPT or number is None or b"M110" in line:
            return verdict, number
        event = self._faults.trip(number)
        if event is not None:
            self._trip(number, line, event)
        return (Verdict.WRONG_CHECKSUM if number == self.storm else verdict), number

    def _trip(self, number: int, line: bytes, event: Event) -> None:
        if event.trip in HEATERS:
            self.machine.kill(Trip.RUNAWAY.value if event.trip is Trip.KILL else event.trip.value)
            return
        match event.trip:
            case Trip.STORM:
                self.storm = number
            case Trip.RESET:
                self.machine.restart = True
            case Trip.PERSON:
                self._paused = (line, event)
            case Trip.SILENCE:
                self.quiet.fall_silent(event.seconds)
                self.intake.flush()
            case Trip.UNPLUG:
                self.quiet.fall_silent(None)
                self.unplug = event

    def _ask_again(self, verdict: Verdict | None = None, number: int = 0) -> None:
        """Throw away what is buffered and ask for the next line; without a verdict nothing is said of the reason."""
        family, last = self._family, self.intake.last_line
        self.intake.flush()
        if family.resend is None:
            return
        self._skips = family.skips
        if verdict is not None and verdict in family.errors:
            names = {b"last": last, b"next": last + 1, b"number": number}
            self.machine.say(family.errors[verdict] % names)
        for wanted in self._faults.resends(last + 1):
            self.machine.say(family.resend % {b"next": wanted})
        if family.resend_ok and self._faults.resend_ok():
            self.acks.send(b"ok", self.quiet.now)

    def _refuse(self, line: bytes) -> None:
        """It has been stopped, and says so to whatever comes but what starts it again."""
        family, body = self._family, body_of(line)
        words = parse(body)
        if body.split(b" ")[0].upper() == family.restart:
            self.machine.restart = True
        elif words is not None and words.code in family.still:
            self._execute(line)
        else:
            if family.refusal:
                self.machine.say(family.refusal % {b"reason": self.machine.why})
            if family.refusal_ok:
                self.acks.send(b"ok", self.quiet.now)

    def _execute(self, line: bytes) -> None:
        body, family = body_of(line), self._family
        if not body and family.blank_ok:
            self.acknowledge(line)
            return
        self._executed(body)
        if body.split(b" ", 1)[0].upper() == family.restart:
            self.machine.restart = True
            return
        words = parse(body.upper() if family.any_case else body)
        handle = command_table.handler(words, family) if words is not None else None
        if words is None or handle is None:
            if family.unknown:
                self.machine.say(family.unknown % {b"line": body, b"code": words.code.encode() if words else body})
            if not family.ok_on_receipt:
                self.acknowledge(line)
        elif family.parser and body[:4] in family.early:
            # It has acted while it was being received.
            if self.machine.options.emergency_ok:
                self.acknowledge(line)
        else:
            self._running = line
            if self._paused is not None and self._paused[0] is line:
                self.task = self._after_person(lambda: handle(self.machine, words), self._paused[1])
                self._paused = None
            else:
                self.task = handle(self.machine, words) or iter(())
            self.busy_at = self.machine.now + self.machine.keepalive
            self.go_on()

    def _after_person(self, command: Callable[[], Wait | None], event: Event) -> Iterator[float]:
        self.quiet.expect_person(event.seconds)
        yield from waits.paused(self.machine)
        yield from command() or ()

    def _act_early(self, codes: list[bytes]) -> None:
        """M108, M112 and M410 act before their turn in the queue (docs/serial.md §6a, 23)."""
        for code in codes:
            if code == b"M112":
                self.machine.kill()
                return
            if code == b"M410":
                self.machine.quick_stop()
            else:
                self.machine.end_waits()
            self.go_on()

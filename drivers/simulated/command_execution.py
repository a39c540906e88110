"""Execution of commands, one at a time: the one that runs, when it wants to go on, and its `ok`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from drivers.simulated import command_table, emergency, waits
from drivers.simulated.acks import AckQueue
from drivers.simulated.command_line import ParsedCommand, body_of, number_of, parse_command
from drivers.simulated.faults import LineFault, ScheduledFault
from drivers.simulated.line_receiver import LineReceiver
from drivers.simulated.link_timers import LinkTimers
from drivers.simulated.machine import Machine
from drivers.simulated.waits import Wait


class CommandExecution:
    """The running command of a board. `wake` is the simulated instant at which it wants to go on, `busy_at` that of the
    next `busy` line; infinity when there is none. `queue` are the lines behind it."""

    def __init__(
        self,
        machine: Machine,
        *,
        acks: AckQueue,
        receiver: LineReceiver,
        timers: LinkTimers,
        queue: deque[bytes],
        executed: Callable[[bytes], None],
    ) -> None:
        """`executed` is called with each command as its execution begins."""
        self.task: Wait | None = None
        self.wake = math.inf
        self.busy_at = math.inf
        self._machine = machine
        self._dialect = machine.dialect
        self._acks = acks
        self._receiver = receiver
        self._timers = timers
        self._queue = queue
        self._executed = executed
        self._running = b""
        self._paused: tuple[bytes, ScheduledFault] | None = None  # before this line, a person is waited for

    @property
    def unresponsive(self) -> bool:
        """Whether the board neither takes nor sends anything."""
        return self._timers.silent or (self._machine.halted and self._dialect.refusal is None)

    def has_ended(self) -> bool:
        """Whether nothing more is executed before a reset, or the end of a silence."""
        return self.unresponsive or self._machine.restart

    def pause_before(self, line: bytes, event: ScheduledFault) -> None:
        """Have the printer wait for a person before it executes `line`."""
        self._paused = line, event

    def abandon(self) -> None:
        """Forget the running command, as a halt does."""
        self.task = None
        self.wake = self.busy_at = math.inf

    def execute(self, line: bytes) -> None:
        """Begin to execute a line; what takes time goes on in `resume`."""
        body, dialect = body_of(line), self._dialect
        if not body and dialect.blank_ok:
            self.acknowledge(line)
            return
        command = parse_command(body.upper() if dialect.any_case else body)
        refusal = command_table.refusal(self._machine, command) if command is not None else b""
        if refusal:
            self._machine.say(refusal)
            self.acknowledge(line)
            return
        self._executed(body)
        if _word(body) in dialect.restart:
            self.restart(line)
            return
        handle = command_table.handler(command, dialect) if command is not None else None
        if command is None and dialect.probe_points and _word(body).decode("latin-1") in dialect.probing:
            self._begin(line, lambda: waits.probe_bed(self._machine, None))
        elif command is None or handle is None:
            self._execute_named(body, command)
            if not dialect.ok_on_receipt:
                self.acknowledge(line)
        elif dialect.parser and body[:4] in emergency.codes_of_parser(dialect):
            # It has acted while it was being received.
            if self._machine.options.emergency_ok or self._machine.halted:
                self.acknowledge(line)
        else:
            self._begin(line, lambda: handle(self._machine, command))

    def _begin(self, line: bytes, command: Callable[[], Wait | None]) -> None:
        """Begin a command that takes time, after the person where a pause is due before its line."""
        self._running = line
        if self._paused is not None and self._paused[0] is line:
            self.task = self._after_person(command, self._paused[1])
            self._paused = None
        else:
            self.task = command() or iter(())
        self.busy_at = self._machine.now + self._machine.reports.keepalive
        self.resume()

    def _execute_named(self, body: bytes, command: ParsedCommand | None) -> None:
        """Execute a command that is a word, or say that it is not known."""
        dialect, machine = self._dialect, self._machine
        code = command.code.encode() if command else _word(body) if dialect.any_case else body
        told = machine.settings.named(body) if command is None else None
        if code == dialect.all_off != b"":
            machine.heaters_off()
        elif told is not None:
            if told:
                machine.say(told)
        elif answer := dialect.words.get(code) or dialect.unknown % {b"line": body, b"code": code}:
            machine.say(answer)

    def resume(self) -> None:
        """Resume the running command; when it has ended, say `ok`."""
        if self.task is None:
            return
        wake = next(self.task, None)
        if wake is not None:
            self.wake = wake
            return
        self.task = None
        self.wake = self.busy_at = math.inf
        self._timers.restart()
        machine = self._machine
        if machine.new_line_number is not None:
            if not (self._dialect.m110_outer and self._running.lstrip(b" ")[:1] == b"N"):
                self._receiver.last_line = machine.new_line_number
            machine.new_line_number = None
        if not self.has_ended() and not self._dialect.ok_on_receipt:
            self.acknowledge(self._running)

    def acknowledge(self, line: bytes) -> None:
        """Say `ok` for a consumed line, with what belongs to it (docs/serial.md §3, 6)."""
        machine = self._machine
        text = b"ok" + machine.ok_data
        if self._dialect.ok_number and not body_of(line).startswith(b"M110"):
            text += b" %d" % self._receiver.last_line
        elif machine.options.advanced_ok and not machine.ok_data:
            free = self._dialect.queue_size - len(self._queue) - 1
            text += number_of(line) + b" P%d B%d" % (machine.motion.free(machine.now), free)
        machine.ok_data = b""
        self._acks.send(text, self._timers.now)

    def refuse(self, line: bytes) -> None:
        """Answer a line after a halt, or before it is ready: refuse it, unless it restarts the board."""
        dialect, body = self._dialect, body_of(line)
        command = parse_command(body.upper() if dialect.any_case else body)
        if _word(body) in dialect.restart:
            self.restart(line)
        elif command is not None and command.code in dialect.still:
            self.execute(line)
        else:
            refusal = self._machine.refusal()
            if refusal:
                self._machine.say(refusal)
            if dialect.refusal_ok:
                self._acks.send(b"ok", self._timers.now)

    def restart(self, line: bytes | None = None) -> None:
        """Restart, as `line` has it where there is one."""
        if line is not None and self._dialect.restart_ok:
            self.acknowledge(line)
        if self._dialect.leaving:
            self._machine.say(self._dialect.leaving)
        self._machine.restart = True

    def execute_early(self, codes: list[bytes]) -> None:
        """Execute M108, M112, M410 and M876 before their turn in the queue (docs/serial.md §6a, 23)."""
        for code in codes:
            if code == b"M112":
                self._machine.kill()
                return
            if code == b"M410":
                self._machine.quick_stop()
            elif code[:4] == b"M292":
                self._machine.person.box = False
            elif code[:4] == b"M876":
                self._machine.respond(int(code[-1:]))
            else:
                self._machine.end_waits()
            self.resume()

    def _after_person(self, command: Callable[[], Wait | None], event: ScheduledFault) -> Iterator[float]:
        self._timers.expect_person(event.seconds)
        self._machine.person.attended = False
        if event.fault is LineFault.RUNOUT:
            yield from waits.change_filament(self._machine, None)
        else:
            yield from waits.paused(self._machine)
        yield from command() or ()


def _word(body: bytes) -> bytes:
    """The first word of a command, in capitals."""
    return body.split(b" ", 1)[0].upper()

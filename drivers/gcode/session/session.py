"""Session: one open connection to a printer, composed of its parts.

    OperationState     the printer's state and the operation that runs
    OperationControl   starts, pauses, resumes, cancels
    ReplyHandler       what the printer says → the part that it concerns (HostActions: what somebody does at it)
    ProtocolStack      protocol and pump, made anew when the printer begins anew
    Routines, Heaters, PrinterIdentity, OutOfBandWriter
    FastPath           the fast path of a file line
    Standstill         in place of the protocol, after a reset, and until a shutdown is explained
    Takeover           in place of all that, until a print of an agent before this one is recovered or failed

The session itself says hello (OFFLINE → IDLE), keeps the time, and knows when the connection is of no use any more:
`over` says why, and the link opens the port anew. A halted printer is in ERROR until it restarts or is reset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from agent.core.driver import PrinterState
from agent.errors import DataError
from drivers.gcode.printing.dialects import Firmware, by_name, with_checksums
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.printing.procedures import is_starting, old_lines_s
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.fast_path import FastPath
from drivers.gcode.protocol.replies import Event, ReplyKind
from drivers.gcode.protocol.steps import End, OutgoingLine
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, DriverCheckpoint
from drivers.gcode.session.host_actions import HostActions
from drivers.gcode.session.idle_guard import IdleGuard
from drivers.gcode.session.operation_control import OperationControl
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.out_of_band import OutOfBandWriter
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.position_query import PositionQuery
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.session.reply_handler import ReplyHandler
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.standstill import RESET, Standstill
from drivers.gcode.session.takeover import PendingTakeover, Takeover
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

_S = PrinterState
_BEGINNINGS = (ReplyKind.START, ReplyKind.READY)


class HelloAnswers:
    """Whether a hello was ever answered on this connection; `on_answer` is called each time."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self.seen = False

    def note(self) -> None:
        """The printer has answered, or was recovered."""
        self.seen = True
        self._on_answer()


@dataclass(slots=True)
class Expected:
    """What a session expects of the board, and until when."""

    begin_at: float = inf  # the board may still be starting until then
    partial_line_until: float = inf  # should the line's end not come, it was garbled
    restarting: bool = False  # the board restarts by our emergency stop
    refusal: str = ""  # why a printer that answers the hello is not ready


class Session:
    """Used by the link's thread alone. `write` is the port's; `on_answer` is called when the printer has answered a
    hello or was recovered; `resets` outlives it; `unsafe`: heaters may be on that an operation before it has switched
    on."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        slot: Slot,
        settings: DriverSettings,
        timing: Timing,
        checkpoints: CheckpointWriter,
        on_answer: Callable[[], None],
        resets: ResetWatch,
        unsafe: bool,
    ) -> None:
        dialect = by_name(settings.dialect)
        self._write = with_checksums(write) if dialect and dialect.checksums else write
        self._slot = slot
        self._timing = timing
        self._checkpoints = checkpoints
        self.hello_answers = HelloAnswers(on_answer)
        self._resets = resets
        self._identity = PrinterIdentity(dialect)
        self.heaters = Heaters(timing)
        self.operation = OperationState(slot=slot, checkpoints=checkpoints, counters=slot.new_counters(), unsafe=unsafe)
        self.stack = ProtocolStack(
            write=self._write, counters=self.operation.counters, timing=timing, window=settings.window
        )
        self._routines = Routines(
            settings=settings,
            timing=timing,
            scripts=lambda: slot.scripts or settings.scripts,
            heaters=self.heaters,
            identity=self._identity,
            unsafe=unsafe,
        )
        self._guard = IdleGuard(
            operation=self.operation, heaters=self.heaters, routines=self._routines, stack=self.stack
        )
        self._person = PersonWait(
            operation=self.operation,
            identity=self._identity,
            stack=self.stack,
            timing=timing,
        )
        self.control = OperationControl(
            operation=self.operation,
            stack=self.stack,
            routines=self._routines,
            identity=self._identity,
            checkpoints=checkpoints,
            person=self._person,
            timing=timing,
        )
        self.out_of_band = OutOfBandWriter(write, self._identity)
        self.flow = FastPath(self.stack, self.operation, timing.patience, self.control.fail_unreadable)
        self._replies = ReplyHandler(
            stack=self.stack,
            operation=self.operation,
            heaters=self.heaters,
            identity=self._identity,
            slot=slot,
            actions=HostActions(control=self.control, events=self, person=self._person, slot=slot),
            person=self._person,
            events=self,
        )
        self.over = ""
        self._takeover: Takeover | None = None
        self._expected = Expected()
        self._standstill = Standstill(self, timing)

    # --- from the link's loop

    def open(self, now: float, begin_at: float) -> None:
        """Begin on a port that is open; the board may still be starting until `begin_at`."""
        self._expected.begin_at = begin_at
        self.operation.enter(_S.OFFLINE, "waiting for the printer's answer")
        self.step(now)

    def take_over(self, pending: PendingTakeover, now: float) -> None:
        """Begin on a port that is open with the takeover of a print, in place of `open`."""
        self.operation.enter(_S.RECOVERING, "finding out where the printer is")
        self._takeover = Takeover(
            pending,
            owner=self,
            query=PositionQuery(self._write, self._timing, now),
            operation=self.operation,
            control=self.control,
            routines=self._routines,
            heaters=self.heaters,
            slot=self._slot,
        )
        self.step(now)

    def due(self, now: float) -> float:
        """When `step` has something to do, if nothing is heard before; `inf`: never."""
        if self._takeover is not None:
            return self._takeover.due()
        if self.operation.state is _S.ERROR:
            return inf
        if self._standstill.active:
            return self._standstill.due
        return min(
            self._expected.begin_at, self._expected.partial_line_until, self._person.due(), self.stack.pump.due(now)
        )

    def begin(self, now: float) -> None:
        """Say hello, with a protocol that knows nothing."""
        self._expected.begin_at = inf
        self.control.drop()
        self.stack.renew()
        self._identity.clear_capabilities()
        self.operation.enter(_S.OFFLINE, "waiting for the printer's answer")
        self.stack.pump.run(self._routines.hello(self._learn, self._not_ready, unsafe=self.operation.unsafe))
        self.step(now)

    def heard(self, event: Event, now: float) -> None:
        """Deal with what the printer said. A halted printer is believed nothing but its restart."""
        self._expected.partial_line_until = inf
        if self._takeover is not None:
            self._takeover.heard(event, now)
        elif self._standstill.active:
            self._standstill.heard(event, now)
        elif event.kind is ReplyKind.START and self._expected.restarting:
            self._expected.restarting = False
        elif self.operation.state is not _S.ERROR or event.kind in _BEGINNINGS:
            try:
                self._replies.heard(event, now)
            except DataError as error:
                self.control.fail_unreadable(error)

    def half_heard(self, now: float) -> None:
        """Note that a line has begun and not ended. Should its end not come, it was garbled."""
        self._expected.partial_line_until = now + self._timing.garbled

    def step(self, now: float) -> None:
        """Send what may be sent, and act on what has ended. Raises PortError."""
        if self._takeover is not None and not self._takeover.step(now):
            return
        self._standstill.step(now)
        if self._standstill.active or self.operation.state is _S.ERROR:
            return
        if now >= self._expected.begin_at:
            self.begin(now)
        self._person.step(now)
        protocol, pump = self.stack.protocol, self.stack.pump
        if now >= self._expected.partial_line_until:
            self._expected.partial_line_until = inf
            protocol.damaged(now)
        try:
            if now >= protocol.deadline:
                command = protocol.tick(now)
                if command is not None:
                    pump.acknowledged(command, now, gave_up=command.gives_up)
            pump.step(now)
        except DataError as error:
            self.control.fail_unreadable(error)
        while self.stack.pump.changed:
            self._act_on_pump(now)
        if self._guard.step(now):
            self.stack.pump.step(now)
        failure = self.stack.protocol.failure
        if failure and not self.over:
            self.lost(failure)

    @property
    def can_be_handed_over(self) -> bool:
        """Whether there is a print that the next agent can take over as it is."""
        return self._takeover is not None or self.operation.prints

    def halt(self) -> None:
        """Emergency stop: an error until a reset, also where the board restarts by it."""
        self.out_of_band.halt(self.stack.protocol.last)
        self._expected.restarting = self._identity.firmware.dialect.restarts_when_halted
        self.halted("emergency stop")

    def reset(self, now: float, *, reset_line: bool) -> None:
        """Ask the firmware to reboot, where it has a command for that; what runs has failed. The board is waited for to
        begin anew (`ResetWatch`), for a while on this connection. `reset_line`: the caller moves DTR."""
        firmware = self._identity.firmware
        name, command = firmware.name or "the firmware", firmware.dialect.reboot.strip().decode()
        line = "the board did not restart when DTR was moved" if reset_line else "the port has no reset line"
        other = f"{name} did not restart at {command}" if command else f"{name} has no command for it"
        self._resets.begin(f"nothing was reset: {line}, and {other}")
        if self._takeover is not None:
            self.lost(RESET)
        else:
            in_flight, answered = len(self.stack.protocol.in_flight), firmware.dialect.reboot_answered
            self._standstill.await_restart(now, in_flight=in_flight, answered=answered)
            self._expected.restarting = False
            self.control.drop()
            self.operation.unsafe = True  # whatever is on goes off, also where the board cannot be reset
            self.operation.fail(RESET, _S.OFFLINE)
        self.out_of_band.reboot()

    def cool(self, now: float) -> bool:
        """On the way out: switch off what an operation may have left on; whether that still takes its time."""
        cooling = self._guard.leave()
        self.step(now)
        return cooling and not self.over

    def switch_off(self) -> None:
        """Before the agent stops: heaters and fan off where an operation may have left them on, as a last word that is
        not waited for; the connection is over then."""
        if self.operation.unsafe:
            self.out_of_band.switch_off(self.heaters.known)
            self.lost("the agent has stopped")

    def lost(self, why: str) -> None:
        """End the connection; what ran has failed. A print that is being taken over waits for the next connection."""
        self.over = why
        self.stack.pump.drop()
        self.operation.fail(why, _S.OFFLINE if self._takeover is None else _S.RECOVERING)

    # --- from the parts, see `interfaces`

    def halted(self, text: str) -> None:
        """See `PrinterEvents.halted`."""
        if self._takeover is not None:
            self._takeover.decide()
            self._takeover = None
        self.control.drop()
        self._standstill.end()
        self.operation.unsafe = True
        self.operation.fail(text, _S.ERROR)

    def refused(self, command: OutgoingLine, reason: str) -> None:
        """See `PrinterEvents.refused`."""
        self.control.fail_refused(command, reason)

    def unknown(self, command: OutgoingLine) -> None:
        """See `PrinterEvents.unknown`."""
        self.control.note_unknown(command)

    def shut_down(self, text: str, now: float) -> None:
        """See `PrinterEvents.shut_down`. Nothing more is sent but the line whose refusal says why; the hello asks by
        itself."""
        if self.operation.state is not _S.OFFLINE:
            self.control.drop()
            self._standstill.explain(text, now)
            self.out_of_band.ask_why()

    def ready(self, now: float) -> None:
        """See `PrinterEvents.ready`: a restart, if the printer had halted before."""
        if self.operation.state is _S.ERROR:
            self.restarted(now)
        else:
            self._resets.restarted()

    def restarted(self, now: float) -> None:
        """See `PrinterEvents.restarted`."""
        operation = self.operation
        self._resets.restarted()
        self._standstill.end()
        if operation.task_id:
            at = f" after line {operation.counters.line}" if operation.state is not _S.BUSY else ""
            operation.fail(f"the printer restarted{at}: its position is lost", _S.OFFLINE)
        self.begin(now)

    def adopt(self, task_id: str, checkpoint: DriverCheckpoint, last: int, now: float) -> None:
        """See `TakeoverOwner.adopt`."""
        self._takeover = None
        self.stack.renew()
        firmware = checkpoint.identity()
        self._identity.recover(firmware)
        self._apply(firmware)
        self.stack.protocol.take_over(
            last, ok_carries_temps=checkpoint.ok_carries_temps, patience_s=old_lines_s(firmware)
        )
        self._checkpoints.recover(task_id, checkpoint)
        self.hello_answers.note()
        self.operation.begin(task_id, _S.PRINTING)
        self.control.set_polling(now)

    def abandon(self, error: str, now: float) -> None:
        """See `TakeoverOwner.abandon`."""
        self._takeover = None
        self.operation.fail(error, _S.OFFLINE)
        self.begin(now)

    # --- inside

    def _act_on_pump(self, now: float) -> None:
        """Act on what the pump says: the file asks for a pause, a procedure has ended, something is waited for."""
        pump = self.stack.pump
        pump.changed = False
        if pump.stop:
            reason, pump.stop = pump.stop, ""
            self.control.pause(reason, in_file=True)
        elif pump.ended is not None:
            ended, pump.ended = pump.ended, None
            self._procedure_ended(ended, now)
        elif not self.operation.person_needed:
            self._slot.update(waiting=pump.waiting)
        try:
            pump.step(now)
        except DataError as error:
            self.control.fail_unreadable(error)

    def _procedure_ended(self, end: End, now: float) -> None:
        if self.operation.state is not _S.OFFLINE:
            self.control.end_procedure()
            if self.control.refused_at_end:
                self.control.refused_at_end = False
                self.begin(now)
                return
        elif end is End.REFUSED:
            self._resets.conclude()
            self.operation.fail(self._expected.refusal, _S.ERROR)
            return
        elif end is End.NO_ANSWER:
            self.over = "no answer"
            return
        else:
            self.hello_answers.note()
            if self._resets.pending:
                self._slot.update(reset_error=self._resets.conclude())
            self.operation.enter(_S.IDLE)
        self.control.set_polling(now)

    def _not_ready(self, refusal: str) -> None:
        """The printer answers the hello, and refuses all else."""
        self._expected.refusal = refusal
        if not self.hello_answers.seen:
            self.hello_answers.note()
        if is_starting(refusal):
            self._slot.update(reason=f"{self._identity.firmware.name} is starting")

    def _learn(self, texts: list[str]) -> Firmware:
        firmware = self._identity.identify(texts)
        self._apply(firmware)
        return firmware

    def _apply(self, firmware: Firmware) -> None:
        """Adapt the protocol to `firmware`, and publish it."""
        self.stack.protocol.window.parses_emergencies(firmware.emergency)
        self._slot.update(firmware=firmware.name, machine=firmware.machine)
        if firmware.dialect.checksums:
            self.stack.add_checksums()

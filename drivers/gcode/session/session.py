"""Session: one open connection to a printer, composed of its parts.

    Hello              from a port that is open to a printer that is ready (OFFLINE → IDLE)
    OperationState     the printer's state and the operation that runs
    IdleGuard          what an operation left on, and the firmware's own watch, while the printer is idle
    OperationControl   starts, pauses, resumes, cancels
    ReplyHandler       what the printer says → the part that it concerns (HostActions: what somebody does at it)
    ProtocolStack      protocol and pump, made anew when the printer begins anew
    Routines, Heaters, PrinterIdentity, OutOfBandWriter
    FastPath           the fast path of a file line
    Standstill         in place of the protocol, after a reset, and until a shutdown is explained
    Takeover           in place of all that, until a print of an agent before this one is recovered or failed

The session itself keeps the time, and knows when the connection is of no use any more: `over` says why, and the link
opens the port anew. `build_parts` joins the parts. A halted printer is in ERROR until it restarts or is reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from agent.core.driver import PrinterState
from agent.errors import DataError
from drivers.gcode.protocol.replies import Event, ReplyKind
from drivers.gcode.protocol.steps import End
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint
from drivers.gcode.session.position_query import PositionQuery
from drivers.gcode.session.session_parts import SessionContext, build_parts
from drivers.gcode.session.standstill import RESET, Standstill
from drivers.gcode.session.takeover import PendingTakeover, Takeover

_S = PrinterState
_BEGINNINGS = (ReplyKind.START, ReplyKind.READY)


@dataclass(slots=True)
class Expected:
    """What a session expects of the board, and until when."""

    begin_at: float = inf  # the board may still be starting until then
    partial_line_until: float = inf  # should the line's end not come, it was garbled
    restarting: bool = False  # the board restarts by our emergency stop


class Session:
    """Used by the link's thread alone."""

    def __init__(self, context: SessionContext) -> None:
        parts = build_parts(context, self)
        self.operation = parts.operation
        self.stack = parts.stack
        self.control = parts.control
        self.heaters = parts.heaters
        self.hello = parts.hello
        self.out_of_band = parts.out_of_band
        self.flow = parts.flow
        self._parts = parts
        self._context = context
        self.over = ""
        self._takeover: Takeover | None = None
        self._expected = Expected()
        self._standstill = Standstill(self, context.timing)

    # --- from the link's loop

    def open(self, now: float, begin_at: float) -> None:
        """Begin on a port that is open; the board may still be starting until `begin_at`."""
        self._expected.begin_at = begin_at
        self.operation.enter(_S.OFFLINE, "waiting for the printer's answer")
        self.step(now)

    def take_over(self, pending: PendingTakeover, now: float) -> None:
        """Begin on a port that is open with the takeover of a print, in place of `open`."""
        self.operation.enter(_S.RECOVERING, "finding out where the printer is")
        self._parts.identity.recover(pending.checkpoint.identity())
        self._parts.prompts.restore(pending.checkpoint.prompt)
        self._takeover = Takeover(
            pending,
            owner=self,
            query=PositionQuery(self._parts.write, self._context.timing, now),
            operation=self.operation,
            control=self.control,
            routines=self._parts.routines,
            heaters=self.heaters,
            heat_guard=self._parts.heat_guard,
            slot=self._context.slot,
        )
        self.step(now)

    def due(self, now: float) -> float:
        """When `step` has something to do, if nothing is heard before; `inf`: never."""
        if self._takeover is not None:
            return min(self._takeover.due(), self._parts.heat_guard.due())
        if self.operation.state is _S.ERROR:
            return inf
        if self._standstill.active:
            return self._standstill.due
        expected, parts = self._expected, self._parts
        answers_at = min(parts.person.due(), parts.prompts.due())
        watch_at = min(expected.partial_line_until, parts.heat_guard.due())
        return min(expected.begin_at, watch_at, answers_at, self.stack.pump.due(now))

    def begin(self, now: float) -> None:
        """Say hello, with a protocol that knows nothing."""
        self._expected.begin_at = inf
        self._parts.heat_guard.restart()
        self.control.drop()
        self._parts.prompts.close()
        self.hello.begin()
        self.step(now)

    def heard(self, event: Event, now: float) -> None:
        """Deal with what the printer said. A halted printer is believed nothing but its restart."""
        self._expected.partial_line_until = inf
        if self._takeover is not None:
            self._parts.replies.hear_dialog(event, now)
            self._takeover.heard(event, now)
        elif self._standstill.active:
            self._standstill.heard(event, now)
        elif event.kind is ReplyKind.START and self._expected.restarting:
            self._expected.restarting = False
        elif self.operation.state is not _S.ERROR or event.kind in _BEGINNINGS:
            try:
                self._parts.replies.heard(event, now)
            except DataError as error:
                self.control.fail_unreadable(error)

    def half_heard(self, now: float) -> None:
        """Note that a line has begun and not ended. Should its end not come, it was garbled."""
        self._expected.partial_line_until = now + self._context.timing.garbled

    def step(self, now: float) -> None:
        """Send what may be sent, and act on what has ended. Raises PortError."""
        if self.operation.state is not _S.ERROR and not self._standstill.active:
            self._parts.heat_guard.step(now)
        if self._takeover is not None and not self._takeover.step(now):
            return
        self._standstill.step(now)
        if self._standstill.active or self.operation.state is _S.ERROR:
            return
        if now >= self._expected.begin_at:
            self.begin(now)
        self._parts.person.step(now)
        self._parts.prompts.step(now)
        if now >= self._expected.partial_line_until:
            self._expected.partial_line_until = inf
            self.stack.protocol.damaged(now)
        try:
            self.stack.step(now)
        except DataError as error:
            self.control.fail_unreadable(error)
        while self.stack.pump.changed:
            self._act_on_pump(now)
        if self._parts.guard.step(now):
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
        self._emergency_stop()
        self.halted("emergency stop")

    def heaters_off(self) -> None:
        """See `HeatOwner.heaters_off`."""
        if self._takeover is not None:
            self.out_of_band.switch_off(self.heaters.known)
        else:
            self.control.heaters_off()

    def overheated(self, reason: str, *, stop: bool) -> None:
        """See `HeatOwner.overheated`."""
        if stop:
            self._emergency_stop()
        self.halted(reason)

    def reset(self, now: float, *, reset_line: bool) -> None:
        """Ask the firmware to reboot, where it has a command for that; what runs has failed. The board is waited for to
        begin anew (`ResetWatch`), for a while on this connection. `reset_line`: the caller moves DTR."""
        firmware = self._parts.identity.firmware
        self._context.resets.begin(firmware, reset_line=reset_line)
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
        """Before the agent stops: switch off what an operation may have left on; whether that still takes its time."""
        cooling = self._parts.guard.leave()
        self.step(now)
        return cooling and not self.over

    def switch_off(self) -> None:
        """Before the agent stops: heaters and fan off where an operation may have left them on, as a last word that is
        not waited for; the connection is over then."""
        if self.operation.unsafe:
            self.out_of_band.switch_off(self.heaters.known)
            self.lost("the agent has stopped")

    def leave(self, why: str) -> None:
        """End the connection while no operation runs: heaters off, as a last word that is not waited for."""
        if self.operation.unsafe or self.heaters.active_targets():
            self.out_of_band.switch_off(self.heaters.known)
        self.lost(why)

    def lost(self, why: str) -> None:
        """End the connection; what ran has failed. A print that is being taken over waits for the next connection."""
        self.over = why
        self.stack.pump.drop()
        if self._takeover is None:
            self._parts.prompts.close()
        self.operation.fail(why, _S.OFFLINE if self._takeover is None else _S.RECOVERING)

    # --- from the parts, see `interfaces`

    def halted(self, text: str) -> None:
        """See `PrinterEvents.halted`."""
        if self._takeover is not None:
            self._takeover.decide()
            self._takeover = None
        self.control.drop()
        self._parts.prompts.close()
        self._standstill.end()
        self.operation.unsafe = True
        self.operation.fail(text, _S.ERROR)

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
            self._context.resets.restarted()

    def restarted(self, now: float) -> None:
        """See `PrinterEvents.restarted`."""
        operation = self.operation
        self._context.resets.restarted()
        self._standstill.end()
        if operation.task_id:
            at = f" after line {operation.counters.line}" if operation.state is not _S.BUSY else ""
            operation.fail(f"the printer restarted{at}: its position is lost", _S.OFFLINE)
        self.begin(now)

    def adopt(self, task_id: str, checkpoint: DriverCheckpoint, last: int, now: float) -> None:
        """See `TakeoverOwner.adopt`."""
        self._takeover = None
        self.hello.recover(checkpoint, last)
        self._context.checkpoints.recover(task_id, checkpoint)
        self.hello.note_answer()
        self.operation.begin(task_id, _S.PRINTING)
        self._parts.prompts.store()
        self.control.set_polling(now)

    def abandon(self, error: str, now: float) -> None:
        """See `TakeoverOwner.abandon`."""
        self._takeover = None
        self.operation.fail(error, _S.OFFLINE)
        self.begin(now)

    # --- inside

    def _emergency_stop(self) -> None:
        self.out_of_band.halt(self.stack.protocol.last)
        self._expected.restarting = self._parts.identity.firmware.dialect.restarts_when_halted

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
            self._context.slot.update(waiting=pump.waiting)
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
        elif end is End.NO_ANSWER:
            self.over = "no answer"
            return
        elif not self.hello.end(end):
            return
        self.control.set_polling(now)

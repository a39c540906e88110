"""Replies of the printer, each passed on to the part that it concerns: protocol, pump, heaters, state, host actions."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.core.driver import NOT_KNOWN, PrinterState
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.protocol.replies import Event, ReplyKind
from drivers.gcode.protocol.steps import REFUSAL
from drivers.gcode.session.heat_guard import HeatGuard
from drivers.gcode.session.host_actions import HostActions
from drivers.gcode.session.interfaces import PrinterEvents
from drivers.gcode.session.operation_control import OperationControl
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.printer_prompts import PrinterPrompts
from drivers.gcode.session.prompts import Heard
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.session.script_watch import ScriptWatch
from drivers.gcode.slot import Slot

_log = structlog.get_logger(part="gcode")


class ReplyHandler:
    """A table from the kind of a reply to what is done about it."""

    def __init__(
        self,
        *,
        stack: ProtocolStack,
        operation: OperationState,
        heaters: Heaters,
        heat_guard: HeatGuard,
        identity: PrinterIdentity,
        slot: Slot,
        control: OperationControl,
        actions: HostActions,
        person: PersonWait,
        prompts: PrinterPrompts,
        script: ScriptWatch,
        events: PrinterEvents,
    ) -> None:
        self._stack = stack
        self._operation = operation
        self._heaters = heaters
        self._heat_guard = heat_guard
        self._identity = identity
        self._slot = slot
        self._control = control
        self._actions = actions
        self._person = person
        self._prompts = prompts
        self._script = script
        self._events = events
        self._warned = False
        self._handlers: dict[ReplyKind, Callable[[Event, float], None]] = {
            ReplyKind.OK: self._ok,
            ReplyKind.RESEND: self._resend,
            ReplyKind.ERROR: self._error,
            ReplyKind.DAMAGED: self._damaged,
            ReplyKind.TEMPERATURES: self._temperatures,
            ReplyKind.BUSY: self._busy,
            ReplyKind.BUSY_USER: self._busy,
            ReplyKind.FATAL: self._fatal,
            ReplyKind.REFUSED: self._refused,
            ReplyKind.SHUTDOWN: self._shutdown,
            ReplyKind.READY: self._ready,
            ReplyKind.START: self._start,
            ReplyKind.WAIT: self._wait,
            ReplyKind.SAVED: self._saved,
            ReplyKind.ACTION: self._action,
            ReplyKind.CAPABILITY: self._capability,
            ReplyKind.UNKNOWN: self._unknown,
        }

    def heard(self, event: Event, now: float) -> None:
        """Deal with one event. Raises DataError from a file that cannot be read any more."""
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, now)
        else:
            self._stack.protocol.other(now)
            self._stack.pump.note(event.text)
            self._prompts.hear_text(event.text, now)
            self._script.hear(event.text)

    def hear_dialog(self, event: Event, now: float) -> None:
        """Of what is heard while a print is taken over, what belongs to a prompt."""
        if event.kind is ReplyKind.ACTION:
            self._actions.hear_dialog(event.text, now)
        elif event.kind in (ReplyKind.BUSY, ReplyKind.BUSY_USER):
            self._hear_busy(event, now)

    def refuse(self, reason: str) -> None:
        """The oldest line in flight was not executed, because of `reason`: what runs fails, unless the line may."""
        command = self._stack.pump.refused()
        if command is not None:
            self._control.fail_refused(command, reason)

    def _error(self, event: Event, now: float) -> None:
        if "missing checksum" in event.text.lower():
            self._stack.add_checksums()
        self._stack.protocol.error(event.text, now)
        self._stack.pump.note(event.text)

    def _damaged(self, event: Event, now: float) -> None:
        self._stack.protocol.damaged(now)
        self._stack.pump.note(event.text)

    def _temperatures(self, event: Event, now: float) -> None:
        self._stack.protocol.temperatures(now)
        self._slot.update(heaters=self._heaters.learn(event.readings), reports=self._heaters.readings)
        self._heat_guard.heard(event.readings, now)

    def _busy(self, event: Event, now: float) -> None:
        user = event.kind is ReplyKind.BUSY_USER
        self._stack.protocol.busy(now, user=user)
        self._identity.note_busy()
        self._heat_guard.note_busy(now)
        self._person.busy(for_person=user)
        self._hear_busy(event, now)

    def _hear_busy(self, event: Event, now: float) -> None:
        self._prompts.hear(Heard.WAITING if event.kind is ReplyKind.BUSY_USER else Heard.WORKING, "", now)

    def _fatal(self, event: Event, _now: float) -> None:
        self._events.halted(event.text)

    def _refused(self, event: Event, now: float) -> None:
        self._stack.protocol.error(event.text, now)
        self._stack.pump.note(REFUSAL + event.text)
        self.refuse(event.text)

    def _shutdown(self, event: Event, now: float) -> None:
        self._stack.protocol.other(now)
        self._events.shut_down(event.text, now)

    def _ready(self, _event: Event, now: float) -> None:
        self._stack.protocol.other(now)
        self._events.ready(now)

    def _start(self, _event: Event, now: float) -> None:
        self._events.restarted(now)

    def _wait(self, _event: Event, now: float) -> None:
        self._stack.protocol.wait(now)

    def _saved(self, _event: Event, now: float) -> None:
        command = self._stack.protocol.saved(now)
        if command is not None:
            self._stack.pump.acknowledged(command, now)

    def _capability(self, event: Event, now: float) -> None:
        self._stack.protocol.other(now)
        if event.number:
            self._identity.add_capability(event.text)

    def _unknown(self, event: Event, now: float) -> None:
        self._stack.protocol.other(now)
        self._stack.pump.note(NOT_KNOWN + event.text)
        command = self._stack.pump.unknown(event.text)
        if command is not None:
            self._control.note_unknown(command)

    def _ok(self, event: Event, now: float) -> None:
        pump, operation = self._stack.pump, self._operation
        if event.text:
            pump.note(event.text)
            printing = operation.state is PrinterState.PRINTING
            operation.counters.quality.planner(event.text, printing=printing)
        command = self._stack.protocol.ok(event.text, now)
        if command is not None:
            pump.acknowledged(command, now)
        self._person.acknowledged()
        self._prompts.acknowledged(command, now)

    def _resend(self, event: Event, now: float) -> None:
        command = self._stack.protocol.resend(event.number, now)
        if command is not None:
            self._stack.pump.acknowledged(command, now)
        operation = self._operation
        counters = operation.counters
        if not self._warned and counters.resent > 10 and counters.resent * 10 > counters.sent:
            self._warned = True  # more than one line in ten: the cable
            _log.warning("resend rate high", **operation.task_keys(), **operation.link_counts())

    def _action(self, event: Event, now: float) -> None:
        """A host action (docs/serial.md §30). The line before which the printer has paused may take as long as a person
        does (§15)."""
        protocol, name = self._stack.protocol, event.text.partition(" ")[0].lower()
        protocol.other(now)
        if name in ("paused", "resumed"):
            protocol.busy(now, user=name == "paused")
        self._actions.act(event.text, now)

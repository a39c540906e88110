"""Parts of a session, made and joined: which part knows which, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.gcode.printing.dialects import by_name, with_checksums
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.fast_path import FastPath
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.session.heat_guard import HeatGuard
from drivers.gcode.session.hello import Hello
from drivers.gcode.session.host_actions import HostActions
from drivers.gcode.session.idle_guard import IdleGuard
from drivers.gcode.session.interfaces import HeatOwner, PrinterEvents
from drivers.gcode.session.operation_control import OperationControl
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.out_of_band import OutOfBandWriter
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.printer_prompts import PrinterPrompts
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.session.reply_handler import ReplyHandler
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.script_watch import ScriptWatch
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """What a session is given.

    `write` is the port's; `on_answer` is called when the printer has answered a hello or was recovered; `resets`
    outlives the session; `unsafe`: heaters may be on that an operation before it has switched on; `log_keys` is
    `Host.log_keys`."""

    write: Callable[[bytes], object]
    slot: Slot
    settings: DriverSettings
    timing: Timing
    checkpoints: CheckpointWriter
    on_answer: Callable[[], None]
    resets: ResetWatch
    unsafe: bool
    log_keys: Callable[[str], dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What a session is composed of. `write` is the port's, with checksums where the configured dialect wants them."""

    write: Callable[[bytes], object]
    identity: PrinterIdentity
    heaters: Heaters
    operation: OperationState
    stack: ProtocolStack
    routines: Routines
    guard: IdleGuard
    person: PersonWait
    prompts: PrinterPrompts
    control: OperationControl
    heat_guard: HeatGuard
    hello: Hello
    out_of_band: OutOfBandWriter
    flow: FastPath
    replies: ReplyHandler


class SessionOwner(PrinterEvents, HeatOwner, Protocol):
    """What the parts need of the session itself."""


def build_parts(context: SessionContext, events: SessionOwner) -> SessionParts:
    """Make the parts of a session; `events` is the session itself."""
    slot, settings, timing, checkpoints = context.slot, context.settings, context.timing, context.checkpoints
    dialect = by_name(settings.dialect)
    checked_write = with_checksums(context.write) if dialect and dialect.checksums else context.write
    identity = PrinterIdentity(dialect)
    heaters = Heaters(timing)
    operation = OperationState(
        slot=slot,
        checkpoints=checkpoints,
        counters=slot.new_counters(),
        unsafe=context.unsafe,
        log_keys=context.log_keys,
    )
    stack = ProtocolStack(write=checked_write, counters=operation.counters, timing=timing, window=settings.window)
    routines = Routines(
        settings=settings,
        timing=timing,
        scripts=lambda: slot.scripts or settings.scripts,
        heaters=heaters,
        identity=identity,
        unsafe=context.unsafe,
    )
    person = PersonWait(operation=operation, identity=identity, stack=stack, timing=timing)
    prompts = PrinterPrompts(slot=slot, checkpoints=checkpoints, stack=stack, identity=identity, person=person)
    script = ScriptWatch(slot)
    control = OperationControl(
        operation=operation,
        stack=stack,
        routines=routines,
        identity=identity,
        checkpoints=checkpoints,
        person=person,
        prompts=prompts,
        script=script,
        timing=timing,
    )
    heat_guard = HeatGuard(
        settings=settings.watch,
        heaters=heaters,
        stack=stack,
        control=control,
        operation=operation,
        slot=slot,
        owner=events,
    )
    hello = Hello(
        stack=stack,
        operation=operation,
        routines=routines,
        identity=identity,
        resets=context.resets,
        slot=slot,
        on_answer=context.on_answer,
    )
    replies = ReplyHandler(
        stack=stack,
        operation=operation,
        heaters=heaters,
        heat_guard=heat_guard,
        identity=identity,
        slot=slot,
        control=control,
        actions=HostActions(control=control, events=events, person=person, prompts=prompts, slot=slot),
        person=person,
        prompts=prompts,
        script=script,
        events=events,
    )
    return SessionParts(
        write=checked_write,
        identity=identity,
        heaters=heaters,
        operation=operation,
        stack=stack,
        routines=routines,
        guard=IdleGuard(operation=operation, heaters=heaters, routines=routines, stack=stack),
        person=person,
        prompts=prompts,
        control=control,
        heat_guard=heat_guard,
        hello=hello,
        out_of_band=OutOfBandWriter(context.write, identity),
        flow=FastPath(stack, operation, timing.patience, control.fail_unreadable),
        replies=replies,
    )

"""Operations on one connection: start, pause, resume, cancel; each change is written into the checkpoint.

state       procedure    its end →
BUSY        script       IDLE, completed
PRINTING    feed         IDLE, completed         a Stop in the file → PAUSING
PAUSING     pause        PAUSED
RESUMING    resume       PRINTING, the feed continues with the very next line
CANCELLING  cancel       IDLE, cancelled (failed: the file could not be read, or the printer refused a line)
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import structlog

from agent.core.driver import Outcome, PrinterState, QueryAnswer
from agent.errors import DataError
from agent.gcode.words import command_word
from drivers.gcode.printing import procedures
from drivers.gcode.printing.pause_state import PauseState
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.printing.procedures import QUICK_STOP
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.numbering import line_name
from drivers.gcode.protocol.patience import LONG_S, patience
from drivers.gcode.protocol.running import Running
from drivers.gcode.protocol.steps import OutgoingLine, Procedure, Unknown
from drivers.gcode.requests import Query, Respond, RunScript, StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, Stage
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.printer_prompts import PrinterPrompts
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.session.script_watch import ScriptWatch
from drivers.gcode.timing import Timing

_S = PrinterState
_log = structlog.get_logger(part="gcode")


class OperationControl:
    """Used by the link's thread alone."""

    def __init__(
        self,
        *,
        operation: OperationState,
        stack: ProtocolStack,
        routines: Routines,
        identity: PrinterIdentity,
        checkpoints: CheckpointWriter,
        person: PersonWait,
        prompts: PrinterPrompts,
        script: ScriptWatch,
        timing: Timing,
    ) -> None:
        self._operation = operation
        self._stack = stack
        self._routines = routines
        self._identity = identity
        self._checkpoints = checkpoints
        self._person = person
        self._prompts = prompts
        self._script = script
        self._timing = timing
        self._parked: Running | None = None  # the print, while its pause runs
        self._in_file = False  # whether the pause is one that the file asks for
        self.refused_at_end = False  # whether a line of the way out was refused: the printer may not be ready any more
        self._failure = ""  # why a print that is being ended has failed; empty when somebody asked for its end

    # --- requests, from the mailbox

    def start_print(self, request: StartPrint, now: float) -> None:
        """Start a print that was accepted while IDLE; it fails if the printer is not idle any more."""
        if self._operation.refuse(request.task_id):
            return
        self._operation.begin(request.task_id, _S.PRINTING)
        self.set_polling(now)
        self._stack.pump.run(self._routines.feed(request, self._write_first_checkpoint))

    def run_script(self, request: RunScript, now: float) -> None:
        """Start a script, as `start_print`."""
        if self._operation.refuse(request.task_id):
            return
        self._operation.begin(request.task_id, _S.BUSY)
        self.set_polling(now)
        self._script.begin(len(request.lines))
        self._stack.pump.run(self._routines.script(request, self._script.begin_line))

    def pause(self, reason: str, *, in_file: bool = False) -> None:
        """Pause the print; ignored in any state but PRINTING."""
        if _can_pause(self._operation, self._stack):
            self._parked = self._stack.pump.park()
            self._checkpoints.change(Stage.PAUSING, pause=PauseState(in_file=in_file, reason=reason))
            self.run_pause(self._routines.pause(self.write_parking), reason, in_file=in_file)

    def resume(self) -> None:
        """Resume the print; ignored in any state but PAUSED."""
        if self._operation.state is _S.PAUSED and not self._prompts.give_way(cancelled=False):
            self._checkpoints.change(Stage.RESUMING)
            self._operation.enter(_S.RESUMING)
            self._stack.pump.run(self._routines.resume())
            if self._operation.person_needed:
                self._person.answer()

    def cancel(self) -> None:
        """Cancel whatever runs, heaters off. What the printer is at is ended where it hears that at once."""
        operation = self._operation
        if operation.running and operation.state is not _S.CANCELLING:
            self._end_safely("", interrupts=self._identity.firmware.emergency)
            self._prompts.give_way(cancelled=True)
            if operation.person_needed:
                self._person.answer()

    def cool(self) -> None:
        """Switch the heaters of an idle printer off; what has begun since it was asked for goes on."""
        if self._operation.state is _S.IDLE:
            self._stack.pump.run(self._routines.cool())

    def query(self, request: Query) -> None:
        """Ask an idle printer something; not where something is being sent to it."""

        def answered(texts: tuple[tuple[str, ...], ...], complete: bool) -> None:
            self._operation.answer(QueryAnswer(request.query_id, texts, complete))

        if self._operation.state is _S.IDLE and self._stack.pump.running is None:
            self._stack.pump.run(procedures.query(request.lines, answered))
        else:
            answered((), False)

    def respond(self, request: Respond, now: float) -> None:
        """Answer what the printer, or the host itself, asks; ignored when that is not asked any more."""
        if self._prompts.answer(request.prompt_id, request.choice, now):
            self.resume()

    def pause_by_printer(self, reason: str) -> None:
        """Note that the printer has paused by itself, and knows the way back."""
        if _can_pause(self._operation, self._stack):
            self._parked = self._stack.pump.park()
            self._routines.forget_pause()
            self._checkpoints.change(Stage.PAUSED, pause=PauseState(reason=reason))
            self._operation.enter(_S.PAUSED, reason)
            self._operation.need_person(True)

    def resume_by_printer(self) -> None:
        """Note that the printer has resumed a pause by itself."""
        self._person.end()
        self._prompts.close()
        if self._operation.state is _S.PAUSED:
            parked, self._parked = self._parked, None
            _continue_print(self._operation, self._stack, self._checkpoints, parked)

    # --- from the session

    def heaters_off(self) -> None:
        """Switch the heaters off before everything else, and end a wait for heat that the printer is at."""
        protocol = self._stack.protocol
        for code in self._routines.lines_off():
            protocol.urgent(code)
        if any(command.patience >= LONG_S for command in protocol.in_flight):
            protocol.urgent(b"M108")

    def drop(self) -> None:
        """End the procedure that runs where it is, and forget a print that is paused."""
        self._script.end()
        self._stack.pump.drop()
        self._parked = None

    def end_procedure(self) -> None:
        """Act on the end of the procedure that ran: the state after it."""
        operation, state = self._operation, self._operation.state
        if state in (_S.PRINTING, _S.BUSY):
            self._script.end()
            self._prompts.close()
            operation.finish(Outcome.COMPLETED, "")
        elif state is _S.CANCELLING:
            self._prompts.close()
            operation.finish(Outcome.FAILED if self._failure else Outcome.CANCELLED, self._failure)
        elif state is _S.PAUSING:
            self._checkpoints.change(Stage.PAUSED)
            operation.enter(_S.PAUSED, None)
            if operation.reason:
                self._prompts.ask_to_resume(operation.reason)
        elif state is _S.RESUMING:
            parked, self._parked = self._parked, None
            _continue_print(self._operation, self._stack, self._checkpoints, parked)

    def note_unknown(self, command: OutgoingLine) -> None:
        """The firmware does not know `command`, a line of a script (docs/serial.md §25, §k4): what runs fails, heaters
        off, unless that line may be unknown. The way out of a print goes on without it."""
        name, operation = line_name(command), self._operation
        if command.unknown is Unknown.FAILS and operation.running and operation.state is not _S.CANCELLING:
            self._end_safely(f"{name}: the printer does not know this command")
        else:
            _log.warning("script command not known", **operation.task_keys(), code=name)

    def fail_refused(self, command: OutgoingLine, reason: str) -> None:
        """The printer does not execute `command` (docs/serial.md §k1): the print or script fails, heaters off. The way
        out of a print that is being ended goes on without it."""
        if command_word(command.code) == b"G28":
            self._routines.forget_home()
        name = line_name(command)
        if self._operation.running and self._operation.state not in (_S.CANCELLING, _S.PAUSED):
            self._end_safely(f"{name}: the printer refused it: {reason}")
        else:
            self.refused_at_end = self._operation.state is _S.CANCELLING
            _log.warning("line refused", **self._operation.task_keys(), code=name, error=reason)

    def fail_unreadable(self, error: DataError) -> None:
        """Fail the print because its file cannot be sent any more, heaters off."""
        self._end_safely(str(error))

    def set_polling(self, now: float) -> None:
        """Poll temperatures every 2 s; with auto-report only when idle, to see whether anybody is there
        (docs/serial.md §14)."""
        quiet = inf if self._operation.state is not _S.IDLE else self._timing.idle_poll
        every = quiet if self._identity.firmware.autoreport else self._timing.poll
        self._stack.pump.poll_every(every, now)

    # --- from a takeover, which begins in the middle

    def park(self, running: Running) -> None:
        """Keep `running` to be continued when the pause is over."""
        self._parked = running

    def run_print(self, procedure: Procedure) -> None:
        """Enter PRINTING with `procedure`."""
        self._operation.enter(_S.PRINTING)
        self._stack.pump.run(procedure)

    def run_pause(self, procedure: Procedure, reason: str, *, in_file: bool) -> None:
        """Enter PAUSING with `procedure`."""
        self._in_file = in_file
        self._operation.enter(_S.PAUSING, reason)
        self._stack.pump.run(procedure)

    def stay_paused(self, procedure: Procedure, reason: str) -> None:
        """Enter PAUSED; `procedure` runs meanwhile."""
        self._operation.enter(_S.PAUSED, reason)
        self._stack.pump.run(procedure)

    def run_cancel(self, procedure: Procedure, error: str) -> None:
        """Enter CANCELLING with `procedure`; `error` says why the print has failed, if it has."""
        self._failure = error
        self._script.end()
        self.refused_at_end = False
        self._operation.enter(_S.CANCELLING)
        self._stack.pump.run(procedure)

    def write_parking(self) -> None:
        """Write the checkpoint of a pause whose position is known, before the head moves away."""
        pause = self._routines.pause_state(self._operation.reason, in_file=self._in_file)
        self._checkpoints.change(Stage.PARKING, pause=pause)

    # --- inside

    def _end_safely(self, error: str, *, interrupts: bool = False) -> None:
        self._parked = None
        self._checkpoints.change(Stage.CANCELLING, pause=self._routines.pause_state(""), error=error)
        stopped = interrupts and _interrupt(self._operation, self._stack, self.heaters_off)
        self.run_cancel(self._routines.cancel(stopped=stopped), error)

    def _write_first_checkpoint(self) -> None:
        """From now on the printer counts this print's lines."""
        self._checkpoints.begin(
            self._operation.task_id,
            self._identity.firmware,
            ok_carries_temps=self._stack.protocol.ok_carries_temps,
            homed=self._routines.homed,
        )


def _homes(code: bytes) -> bool:
    """Whether `code` may home or probe: a long one that is no wait."""
    return patience(code) >= LONG_S and command_word(code)[:1] != b"M"


def _can_pause(operation: OperationState, stack: ProtocolStack) -> bool:
    """Whether the print still runs; an end that nobody has acted on yet is one."""
    return operation.state is _S.PRINTING and stack.pump.ended is None


def _interrupt(operation: OperationState, stack: ProtocolStack, heaters_off: Callable[[], None]) -> bool:
    """Heaters off before anything else, then end what the printer is at: a wait, or moves (docs/serial.md §25d).
    Whether moves were stopped, after which the head is not quite where the firmware believes it to be."""
    if operation.state is _S.PAUSED:
        return False
    heaters_off()
    # A stop in the middle of homing or probing is a failed homing, for which Marlin halts.
    if operation.person_needed or any(_homes(command.code) for command in stack.protocol.in_flight):
        return False
    stack.protocol.urgent(QUICK_STOP)
    return True


def _continue_print(
    operation: OperationState, stack: ProtocolStack, checkpoints: CheckpointWriter, parked: Running | None
) -> None:
    """Continue with the very next line of the file, by `parked` where something is."""
    checkpoints.change(Stage.PRINTING, pause=PauseState())
    operation.enter(_S.PRINTING)
    if parked:
        stack.pump.unpark(parked)

"""Takeover of a print that an agent before this one left unfinished: find out where the printer is, then recover the
print, or fail it.

stage in the checkpoint    state
PRINTING                   PRINTING, with the very next line
PAUSING                    PAUSING, from the beginning
PARKING, RESUMING          PAUSING, out of the way once more; PAUSED at once when the printer paused by itself
PAUSED                     PAUSED
CANCELLING                 CANCELLING, from the beginning
"""

from __future__ import annotations

import structlog

from agent.core.driver import Unfinished
from agent.errors import DataError
from agent.gcode.words import host_line
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.numbering import file_line
from drivers.gcode.protocol.replies import Event, ReplyKind
from drivers.gcode.protocol.running import prepared
from drivers.gcode.protocol.window import MOST
from drivers.gcode.requests import StartPrint
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint, Stage
from drivers.gcode.session.heat_guard import HeatGuard
from drivers.gcode.session.interfaces import TakeoverOwner
from drivers.gcode.session.operation_control import OperationControl
from drivers.gcode.session.operation_state import OperationState
from drivers.gcode.session.position_query import PositionQuery
from drivers.gcode.slot import Slot

_log = structlog.get_logger(part="gcode")


class PendingTakeover:
    """A print whose fate is not known yet, over as many connections as it takes. Until `deadline` the printer's port
    must have been found; `patience_s` later than anything heard of it. `decided`: recovered or failed."""

    def __init__(self, unfinished: Unfinished, checkpoint: DriverCheckpoint, *, now: float, patience_s: float) -> None:
        self.unfinished = unfinished
        self.checkpoint = checkpoint
        self.deadline = now + patience_s
        self.decided = False
        self._patience_s = patience_s

    def extend(self, now: float) -> None:
        """The printer is there."""
        self.deadline = now + self._patience_s


class Takeover:
    """Listens and writes in place of the protocol until the print's fate is decided. `query` asks the printer where it
    is; `owner` is the connection."""

    def __init__(
        self,
        pending: PendingTakeover,
        *,
        owner: TakeoverOwner,
        query: PositionQuery,
        operation: OperationState,
        control: OperationControl,
        routines: Routines,
        heaters: Heaters,
        heat_guard: HeatGuard,
        slot: Slot,
    ) -> None:
        self._pending = pending
        self._owner = owner
        self._query = query
        self._operation = operation
        self._control = control
        self._routines = routines
        self._heaters = heaters
        self._heat_guard = heat_guard
        self._slot = slot
        if not pending.checkpoint.identity().dialect.locates:
            query.failure = "the printer's firmware does not say where it is"

    def due(self) -> float:
        """When `step` has something to do, if nothing is heard before."""
        return self._query.due()

    def heard(self, event: Event, now: float) -> None:
        """Deal with one event."""
        self._pending.extend(now)
        if event.kind in (ReplyKind.FATAL, ReplyKind.SHUTDOWN):
            self._owner.halted(event.text)
            return
        if event.readings:
            self._slot.update(heaters=self._heaters.learn(event.readings))
            self._heat_guard.heard(event.readings, now)
        self._query.heard(event, now)

    def step(self, now: float) -> bool:
        """Ask where the printer is, and decide when that is known; whether it is decided. Raises PortError."""
        self._query.step(now)
        if not self._query.done:
            return False
        failure = self._query.failure
        try:
            if not failure:
                self._recover(self._query.last, now)
        except (DataError, OSError) as error:
            failure = str(error)
        if failure:
            self.decide()
            self._owner.abandon(failure, now)
        return True

    def decide(self) -> None:
        """Make the print this connection's, to recover or to fail."""
        self._pending.decided = True
        self._operation.own(self._pending.unfinished.task_id)

    def _recover(self, last: int, now: float) -> None:
        """Raises DataError when the print cannot be recovered, OSError when its file cannot be read."""
        unfinished, checkpoint = self._pending.unfinished, self._pending.checkpoint
        line, total = file_line(last), unfinished.source.total_lines
        # What is acknowledged may be ahead by what was in flight: an `ok` too many is found out a little later.
        if not max(min(unfinished.line, 1), unfinished.line - MOST) <= line <= total:
            raise DataError(
                f"the printer is at line {line}, the print was at line {unfinished.line} of {total}: "
                "it has begun something else"
            )
        request = StartPrint(unfinished.task_id, unfinished.source, tuple(map(host_line, unfinished.preamble)))
        self.decide()
        self._owner.adopt(unfinished.task_id, checkpoint, last, now)
        self._operation.counters.line = line
        before = unfinished.settings_before(line + 1)
        self._routines.recover(homed=checkpoint.homed, pause=checkpoint.pause, before=before)
        stage = checkpoint.stage.value
        _log.info("position confirmed", **self._operation.task_keys(), line=line, stage=stage)
        self._resume_stage(request, line + 1)

    def _resume_stage(self, request: StartPrint, first: int) -> None:
        checkpoint, routines, control = self._pending.checkpoint, self._routines, self._control
        stage, pause = checkpoint.stage, checkpoint.pause
        if stage is Stage.CANCELLING:
            stopped = checkpoint.identity().emergency  # nobody knows whether it was
            way = routines.cancel(stopped=stopped)
            control.run_cancel(routines.caught_up(way, arm=False), checkpoint.error)
            return
        rest = routines.rest(request, first, stopped=pause.in_file and stage is not Stage.PRINTING)
        if stage is Stage.PRINTING:
            control.run_print(routines.caught_up(rest, arm=True))
            return
        control.park(prepared(rest))
        if stage is Stage.PAUSING:
            way = routines.pause(control.write_parking)
            control.run_pause(routines.caught_up(way, arm=False), pause.reason, in_file=pause.in_file)
        elif stage is Stage.PAUSED or not pause.ours:
            control.stay_paused(routines.caught_up(None, arm=False), pause.reason)
        else:
            way = routines.pause_again()
            control.run_pause(routines.caught_up(way, arm=False), pause.reason, in_file=pause.in_file)

"""A print that an agent before this one left unfinished: found in the printer, and gone on with, or failed.

stage that was remembered    state
PRINTING                     PRINTING, with the very next line
PAUSING                      PAUSING, from the beginning
PARKING, RESUMING            PAUSING, out of the way once more; PAUSED at once when the printer paused by itself
PAUSED                       PAUSED
CANCELLING                   CANCELLING, from the beginning
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from agent.core.driver import PrinterState, Unfinished
from agent.errors import DataError
from agent.gcode.words import host_line
from drivers.gcode.protocol.numbering import file_line
from drivers.gcode.protocol.replies import Event, Kind
from drivers.gcode.protocol.running import prepared
from drivers.gcode.protocol.window import MOST
from drivers.gcode.requests import StartPrint
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint, Stage
from drivers.gcode.session.position_query import PositionQuery
from drivers.gcode.timing import Timing

if TYPE_CHECKING:
    from drivers.gcode.session.session import Session

_S = PrinterState
_log = structlog.get_logger(part="gcode")


class PendingTakeover:
    """A print whose fate is not known yet, over as many connections as it takes. `deadline`: until then the printer's
    port must have been found."""

    def __init__(self, unfinished: Unfinished, memory: DriverCheckpoint, deadline: float) -> None:
        self.unfinished = unfinished
        self.memory = memory
        self.deadline = deadline
        self.decided = False


class TakeOver:
    """Speaks for a session until the print's fate is decided."""

    def __init__(
        self,
        session: Session,
        undecided: PendingTakeover,
        write: Callable[[bytes], object],
        timing: Timing,
        now: float,
    ) -> None:
        self._session = session
        self._undecided = undecided
        self._timing = timing
        self._where = PositionQuery(write, timing, now)
        if not undecided.memory.identity().dialect.locates:
            self._where.failure = "the printer's firmware does not say where it is"

    def due(self) -> float:
        """When `step` has something to do, if nothing is heard before."""
        return self._where.due()

    def heard(self, event: Event, now: float) -> None:
        """The printer said something."""
        session = self._session
        self._undecided.deadline = now + self._timing.take_over
        if event.kind is Kind.FATAL:
            session.fatal(event.text)
            return
        if event.readings:
            session.slot.change(heaters=session.routines.heat.learn(event.readings))
        self._where.heard(event, now)

    def step(self, now: float) -> bool:
        """Ask where it is, and decide when that is known; whether it is decided. Raises PortError."""
        self._where.step(now)
        if not self._where.done:
            return False
        failure = self._where.failure
        try:
            if not failure:
                self._take_over(self._where.last, now)
        except (DataError, OSError) as error:
            failure = str(error)
        if failure:
            self.decided()
            self._session.fail(failure, _S.OFFLINE)
            self._session.begin(now)
        return True

    def decided(self) -> None:
        """The print is the session's now, to go on with or to fail."""
        session, undecided = self._session, self._undecided
        undecided.decided = True
        session.taking = None
        session.key, session.unsafe = undecided.unfinished.key, True

    def _take_over(self, last: int, now: float) -> None:
        """Raises DataError when the print cannot go on, OSError when its file cannot be read."""
        session, unfinished, memory = self._session, self._undecided.unfinished, self._undecided.memory
        line, total = file_line(last), unfinished.source.total_lines
        # What is acknowledged may be ahead by what was in flight: an `ok` too many is found out a little later.
        if not max(min(unfinished.line, 1), unfinished.line - MOST) <= line <= total:
            raise DataError(
                f"the printer is at line {line}, the print was at line {unfinished.line} of {total}: "
                "it has begun something else"
            )
        request = StartPrint(unfinished.key, unfinished.source, tuple(map(host_line, unfinished.preamble)))
        self.decided()
        session.taken_over(unfinished.key, memory, last, now)
        session.counters.line = line
        session.routines.take_over(memory, unfinished.settings_before(line + 1))
        _log.info("taken over", key=unfinished.key, line=line, stage=memory.stage.value)
        self._go_on(request, line + 1)

    def _go_on(self, request: StartPrint, first: int) -> None:
        session, memory = self._session, self._undecided.memory
        stage, pause, routines = memory.stage, memory.pause, session.routines
        if stage is Stage.CANCELLING:
            session.end_it(memory.error, routines.caught_up(routines.cancel(), arm=False))
            return
        rest = routines.rest(request, first, stopped=pause.in_file and stage is not Stage.PRINTING)
        if stage is Stage.PRINTING:
            session.enter(_S.PRINTING)
            session.pump.run(routines.caught_up(rest, arm=True))
            return
        session.set_aside(prepared(rest))
        if stage is Stage.PAUSING:
            way = routines.pause(session.parking)
            session.go_away(pause.reason, routines.caught_up(way, arm=False), in_file=pause.in_file)
        elif stage is Stage.PAUSED or not pause.ours:
            session.enter(_S.PAUSED, pause.reason)
            session.pump.run(routines.caught_up(None, arm=False))
        else:
            way = routines.pause_again()
            session.go_away(pause.reason, routines.caught_up(way, arm=False), in_file=pause.in_file)

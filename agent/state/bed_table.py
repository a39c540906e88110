"""The print bed in the database: whether it is clear of the last print's part, through kills, power cuts and replays.

One row. A print takes the bed in the transaction that writes its checkpoint, which is before its first line; its end is
in the transaction of the task's end.
"""

from __future__ import annotations

from agent.core.bed import Bed, BedEvent, BedPolicy, BedState, Start, advance, refusal
from agent.errors import RefusedError
from agent.state.database import Database
from agent.state.service_time import ServiceTime

_WRITE = """INSERT OR REPLACE INTO bed (id, state, task_id, job_id, was_clear, boot, mono, updated_at)
    VALUES (0, ?, ?, ?, ?, ?, ?, ?)"""


class BedTable:
    """The table `bed`. Any thread."""

    def __init__(self, database: Database, time: ServiceTime) -> None:
        """After a damaged database was replaced nobody knows what is on the bed. Raises UnavailableError."""
        self._database = database
        self._time = time
        if database.damaged is not None:
            with database.transaction():
                self._write(Bed(BedState.NOT_CONFIRMED))

    def read(self) -> Bed:
        """The bed now. Raises UnavailableError."""
        row = self._database.row("SELECT state, task_id, job_id, was_clear, boot, mono FROM bed")
        if row is None:
            return Bed()
        state, task_id, job_id, was_clear, boot, monotonic = row
        age = self._time.least_age(boot, monotonic)
        return Bed(BedState(state), task_id, job_id, bool(was_clear), age)

    def confirm(self) -> Bed:
        """The bed is clear, says the person at the printer: the bed as it was before. Raises RefusedError while a print
        is on it, UnavailableError."""
        with self._database.transaction():
            bed = self.read()
            if objection := bed.objection():
                raise RefusedError(409, objection)
            self._change(bed, BedEvent.CONFIRM)
        return bed

    # --- inside the transaction of a print or a task

    def begin(self, task_id: str, job_id: str, policy: BedPolicy) -> None:
        """Take the bed for a print that is about to begin. Raises RefusedError for one that must be confirmed first."""
        bed = self.read()
        if bed.state is BedState.PRINTING and bed.task_id == task_id:
            return
        if bed.start(policy) is not Start.BEGIN:
            raise RefusedError(409, refusal("print_data", bed))
        was_clear = bed.state is BedState.CLEAR
        self._write(Bed(advance(bed.state, BedEvent.BEGIN), task_id, job_id, was_clear))

    def end_task(self, task_id: str, event: BedEvent) -> None:
        """What a task's end does to the bed: CONFIRM of a command that was checked (`Bed.objection`), END of a print,
        or ABANDON of one whose first line was not sent. The END of a task that did not take the bed changes nothing."""
        bed = self.read()
        if event is BedEvent.CONFIRM:
            if bed.state is BedState.NOT_CONFIRMED:
                self._change(bed, event)
        elif bed.task_id == task_id and bed.state is BedState.PRINTING:
            self._change(bed, bed.abandoned() if event is BedEvent.ABANDON else event)

    # --- inside

    def _change(self, bed: Bed, event: BedEvent) -> None:
        self._write(Bed(advance(bed.state, event), bed.task_id, bed.job_id, bed.was_clear))

    def _write(self, bed: Bed) -> None:
        stamps = (self._time.boot, self._time.monotonic(), self._time.wall())
        self._database.execute(_WRITE, (bed.state, bed.task_id, bed.job_id, bed.was_clear, *stamps))

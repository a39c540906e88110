"""States of a print job: the table of transitions, and a snapshot of a job.

    accepted ── file_here ──▶ received ── start ──▶ printing ⇄ paused
                                                        └──▶ completed
    any that has not ended ── cancel ──▶ canceled,  ── fail ──▶ failed

`accepted` has no job_status at the cloud: `received` is reported only when the file is completely here, because the
server may delete it then (docs/protocol.md, «Reports on a command»).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.core.driver import PrinterState
from agent.core.time_left import Pace


class JobState(StrEnum):
    """State of a job; all but ACCEPTED are the cloud's `job_status`."""

    ACCEPTED = "accepted"
    RECEIVED = "received"
    PRINTING = "printing"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self in _ENDED


class JobEvent(StrEnum):
    """Events of the transition table."""

    FILE_HERE = "file_here"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    CANCEL = "cancel"
    FAIL = "fail"


_ENDED = frozenset({JobState.COMPLETED, JobState.CANCELED, JobState.FAILED})
_ALIVE = (JobState.ACCEPTED, JobState.RECEIVED, JobState.PRINTING, JobState.PAUSED)

TRANSITIONS: dict[tuple[JobState, JobEvent], JobState] = {
    (JobState.ACCEPTED, JobEvent.FILE_HERE): JobState.RECEIVED,
    (JobState.RECEIVED, JobEvent.START): JobState.PRINTING,
    (JobState.PRINTING, JobEvent.PAUSE): JobState.PAUSED,
    (JobState.PAUSED, JobEvent.RESUME): JobState.PRINTING,
    (JobState.PRINTING, JobEvent.COMPLETE): JobState.COMPLETED,
    **{(state, JobEvent.CANCEL): JobState.CANCELED for state in _ALIVE},
    **{(state, JobEvent.FAIL): JobState.FAILED for state in _ALIVE},
}


def advance(state: JobState, event: JobEvent) -> JobState:
    """Look up the next state. Raises ValueError for a step that the table does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a job that is {state} cannot {event}") from None


class JobView(msgspec.Struct, frozen=True):
    """Immutable snapshot of a job. `progress` is 0 to 1; `seconds_left` None when not known, and `seconds_left_from` is
    a TimeSource then; `pace` is what the print has shown of its speed. `transfer` says how far its file is, for a
    person; empty as soon as it is here."""

    job_id: str
    task_id: str
    state: JobState
    name: str = ""
    progress: float = 0.0
    line: int = 0
    total_lines: int = 0
    layer: int = 0
    total_layers: int = 0
    seconds_left: int | None = None
    error: str = ""
    transfer: str = ""
    seconds_left_from: str = ""
    pace: Pace = Pace()

    @property
    def status(self) -> str | None:
        """The cloud's `job_status`; None while the file is not here yet."""
        return None if self.state is JobState.ACCEPTED else str(self.state)


PAUSED_LIKE = frozenset({PrinterState.PAUSED, PrinterState.RESUMING})
PRINTING_LIKE = frozenset({PrinterState.PRINTING, PrinterState.PAUSING})


def follow(state: JobState, printer: PrinterState) -> JobEvent | None:
    """The event by which a running job follows the driver's state; None for no change."""
    if state is JobState.PRINTING and printer in PAUSED_LIKE:
        return JobEvent.PAUSE
    if state is JobState.PAUSED and printer in PRINTING_LIKE:
        return JobEvent.RESUME
    return None

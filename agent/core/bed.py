"""The rule of the print bed: no print begins on a bed that nobody has confirmed to be clear of the last one's part.

    clear ── begin ──▶ printing ── end ──▶ not_confirmed ── confirm ──▶ clear
                           └── abandon (not one line was sent) ──▶ clear

A print takes the bed before its first line is sent, whatever becomes of it then. Only a person's word makes it clear.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

BedPolicy = Literal["ask", "refuse", "free"]
"""`[job] bed`: what a start does on a bed that is not confirmed clear."""

SENT_PRECISION = 1.0  # seconds: an HTTP `Date`, by which the age of a message is counted, has whole seconds


class BedState(StrEnum):
    """State of the bed."""

    CLEAR = "clear"
    PRINTING = "printing"
    NOT_CONFIRMED = "not_confirmed"


class BedEvent(StrEnum):
    """Events of the transition table."""

    BEGIN = "begin"
    ABANDON = "abandon"
    END = "end"
    CONFIRM = "confirm"


TRANSITIONS: dict[tuple[BedState, BedEvent], BedState] = {
    (BedState.CLEAR, BedEvent.BEGIN): BedState.PRINTING,
    (BedState.NOT_CONFIRMED, BedEvent.BEGIN): BedState.PRINTING,  # where nobody is asked
    (BedState.PRINTING, BedEvent.BEGIN): BedState.PRINTING,  # the same print again, or one whose end is not written yet
    (BedState.PRINTING, BedEvent.ABANDON): BedState.CLEAR,
    (BedState.PRINTING, BedEvent.END): BedState.NOT_CONFIRMED,
    (BedState.CLEAR, BedEvent.CONFIRM): BedState.CLEAR,
    (BedState.NOT_CONFIRMED, BedEvent.CONFIRM): BedState.CLEAR,
}


def advance(state: BedState, event: BedEvent) -> BedState:
    """Look up the next state. Raises ValueError for a step that the table does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a bed that is {state} cannot {event}") from None


class Start(StrEnum):
    """What a start does now."""

    BEGIN = "begin"
    WAIT = "wait"
    REFUSE = "refuse"


STARTS: dict[tuple[BedState, BedPolicy], Start] = {
    (BedState.CLEAR, "ask"): Start.BEGIN,
    (BedState.CLEAR, "refuse"): Start.BEGIN,
    (BedState.CLEAR, "free"): Start.BEGIN,
    (BedState.PRINTING, "ask"): Start.WAIT,
    (BedState.PRINTING, "refuse"): Start.REFUSE,
    (BedState.PRINTING, "free"): Start.BEGIN,
    (BedState.NOT_CONFIRMED, "ask"): Start.WAIT,
    (BedState.NOT_CONFIRMED, "refuse"): Start.REFUSE,
    (BedState.NOT_CONFIRMED, "free"): Start.BEGIN,
}


class Bed(msgspec.Struct, frozen=True):
    """The bed, with the print that took it last: `task_id` and `job_id` are empty where nobody knows. `was_clear`:
    before that print. `age` is in seconds since the state changed, at least that."""

    state: BedState = BedState.CLEAR
    task_id: str = ""
    job_id: str = ""
    was_clear: bool = True
    age: float = 0.0

    @property
    def reported_state(self) -> str:
        """`data.bed` of reports and heartbeat: `clear` or `not_confirmed` (docs/protocol.md «Extensions»)."""
        return str(BedState.CLEAR if self.state is BedState.CLEAR else BedState.NOT_CONFIRMED)

    def start(self, policy: BedPolicy) -> Start:
        """What a start does on this bed."""
        return STARTS[self.state, policy]

    def abandoned(self) -> BedEvent:
        """The event of a print that ended before its first line was sent: a bed that was not clear before it is not
        clear after it."""
        return BedEvent.ABANDON if self.was_clear else BedEvent.END

    def objection(self, job_id: str = "", *, age: float = 0.0, sent: bool = False) -> str:
        """Why a confirmation does not count; empty when it does. `job_id` is the job that it names, empty for none;
        `age` is in seconds since it was given, to SENT_PRECISION when that is by the time that the server `sent` it."""
        if self.state is BedState.PRINTING:
            return f"a print is on the bed{_named(self.job_id)}; confirm that it is clear when the part is off it"
        if self.state is BedState.CLEAR:
            return ""
        if job_id and job_id != self.job_id:
            return f"job {job_id} is not the one that was printed last{_named(self.job_id)}"
        if age + (SENT_PRECISION if sent else 0.0) > self.age:
            return f"it was sent before the last print had ended{_named(self.job_id)}"
        return ""


NOT_CLEAR = "nobody has confirmed that the bed is clear"
HINT = "`printer-agent ready` at the printer, or the command dismiss, when the part is off it"


def refusal(command: str, bed: Bed) -> str:
    """Text of the refusal of a start on this bed."""
    return f"{command}: {NOT_CLEAR} after the last print{_named(bed.job_id)}: {HINT}"


def _named(job_id: str) -> str:
    return f" (job {job_id})" if job_id else ""

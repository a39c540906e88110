"""States of a task (a command in the ledger): the table of transitions.

    received ── start ──▶ running ── complete ──▶ completed
        │                    └────── fail ──────▶ failed
        └──── complete / fail (done or refused without running) ──▶ completed / failed

`received` is committed before anything happens; `completed` and `failed` are committed together with the terminal
report that tells them.
"""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """State of a task."""

    RECEIVED = "received"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class TaskEvent(StrEnum):
    """Events of the transition table."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"


TRANSITIONS: dict[tuple[TaskState, TaskEvent], TaskState] = {
    (TaskState.RECEIVED, TaskEvent.START): TaskState.RUNNING,
    (TaskState.RECEIVED, TaskEvent.COMPLETE): TaskState.COMPLETED,
    (TaskState.RECEIVED, TaskEvent.FAIL): TaskState.FAILED,
    (TaskState.RUNNING, TaskEvent.COMPLETE): TaskState.COMPLETED,
    (TaskState.RUNNING, TaskEvent.FAIL): TaskState.FAILED,
}


def advance(state: TaskState, event: TaskEvent) -> TaskState:
    """Look up the next state. Raises ValueError for a step that the table does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a task that is {state} cannot {event}") from None

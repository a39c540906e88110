"""A task's life: the states of a command in the ledger, as a table.

    received ── start ──▶ running ── complete ──▶ completed
        │                    └────── fail ──────▶ failed
        └──── complete / fail (done or refused without running) ──▶ completed / failed

`received` is committed before anything happens; `completed` and `failed` are committed together with the terminal
report that tells them.
"""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is."""

    RECEIVED = "received"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Nothing more happens to the task."""
        return self in (TaskState.COMPLETED, TaskState.FAILED)


class TaskEvent(StrEnum):
    """What moves a task on."""

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
    """The next state. Raises ValueError for a step that the table does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a task that is {state} cannot {event}") from None

"""cancel of a script or a firmware upgrade: requested at once, completed when that has stopped."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import structlog

from agent.core.driver import Telemetry
from agent.core.report_bodies import Result
from agent.runner.activity import Context, Deadline, task_keys
from agent.state.store import Task

STOP_MAY_TAKE = 600.0  # seconds until what is canceled has stopped: a homing is not interrupted

log = structlog.get_logger(part="runner")


@runtime_checkable
class Cancellable(Protocol):
    """A running command that can be canceled and is no print."""

    @property
    def task(self) -> Task:
        """The ledger's row."""

    @property
    def ended(self) -> bool:
        """Whether the task has its end."""

    @property
    def canceled(self) -> bool:
        """Whether that end came of a cancel."""

    def cancel(self) -> None:
        """Request the end; again is harmless. Raises NotReadyError from the driver, RefusedError while it must not be
        interrupted."""


def as_cancellable(activity: object) -> Cancellable | None:
    """The activity, if it can be canceled so."""
    return activity if isinstance(activity, Cancellable) else None


class CancelActivity:
    """One cancel. Raises NotReadyError and RefusedError as `Cancellable.cancel`."""

    exclusive = False
    busy = ""
    outlives = False

    def __init__(self, context: Context, task: Task, running: Cancellable) -> None:
        self._context = context
        self._running = running
        self._deadline = Deadline(context.clock, STOP_MAY_TAKE)
        self.task = task
        self.ended = False
        running.cancel()
        log.info("cancel requested", canceled=running.task.command.raw_name, **task_keys(task))

    def step(self, telemetry: Telemetry) -> None:  # noqa: ARG002 the other activity looks at the printer
        """Complete when the other has stopped by it; fail when it had ended before."""
        name = self._running.task.command.raw_name
        if self._running.ended and self._running.canceled:
            self._context.complete(self.task, result=Result(message=f"{name}: canceled"))
            self.ended = True
        elif self._running.ended:
            self._fail(f"{name} had already ended")
        elif self._deadline.expired():
            self._fail(f"{name} has not stopped in time")

    def supersede(self) -> None:
        """Fail: too many newer ones wait beside it. What it requested stays requested."""
        self._fail("newer commands took its place")

    def stop(self, reason: str) -> None:
        """Fail: the agent goes down."""
        self._fail(reason)

    def hand_over(self) -> None:
        """Never called: what it waits for ends with this agent."""

    def _fail(self, message: str) -> None:
        self._context.fail(self.task, 409, f"{self.task.command.raw_name}: {message}")
        self.ended = True

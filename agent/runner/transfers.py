"""Transfer on a thread of its own, with its progress."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.driver import Telemetry
from agent.core.report_bodies import Result
from agent.errors import AgentError, CancelledError, RefusedError
from agent.runner.activity import Context
from agent.runner.task_progress import TaskProgress
from agent.runner.worker import Worker
from agent.state.store import Task


class Stage:
    """How far a transfer is, as its thread says it and the runner's reads it: a latest-value slot."""

    def __init__(self) -> None:
        self._now = (0.0, "")

    def set(self, share: float, text: str) -> None:
        """Say how much of it is done, 0 to 1, and what, for a person."""
        self._now = (share, text)

    def read(self) -> tuple[float, str]:
        """What was said last."""
        return self._now


class TransferActivity:
    """Blocking work on a thread: its result joins `data` of the terminal report."""

    outlives = False

    def __init__(
        self,
        context: Context,
        task: Task,
        work: Callable[[Callable[[], bool]], Result],
        *,
        exclusive: bool,
        stage: Stage,
    ) -> None:
        self._context = context
        self.task = task
        self.exclusive = exclusive
        self.busy = task.command.raw_name if exclusive else ""
        self.ended = self.canceled = False
        self._stage = stage
        self._progress = TaskProgress(context, task)
        self._worker: Worker[Result] = Worker(task.command.raw_name[:15], work, context.wake, task.command.task_id)

    def step(self, telemetry: Telemetry) -> None:
        """End when the work has ended; until then report how far it is."""
        if not self._worker.done:
            self._progress.update(telemetry, *self._stage.read())
            return
        try:
            result = self._worker.result()
        except RefusedError as refusal:
            self._context.fail(self.task, refusal.code, f"{self.task.command.raw_name}: {refusal}")
        except CancelledError as error:
            self.canceled = True
            self._context.fail(self.task, 409, f"{self.task.command.raw_name}: canceled ({error})")
        except AgentError as error:
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {error}")
        else:
            self._context.complete(self.task, result=result)
        self.ended = True

    def cancel(self) -> None:
        """Request the end of the work: it ends where it looks next."""
        self._worker.cancel()

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Cancel the work and fail: the agent goes down."""
        self._worker.end(timeout=2.0)
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True

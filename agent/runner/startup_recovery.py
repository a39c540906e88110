"""What an agent before this one left unfinished in the ledger, and what becomes of it.

a print that had begun                 is taken over: the next line is the very next one
a print whose file was still to come   begins anew, nothing has moved; what is here of the file is used
pause, resume, cancel of such a print  are asked for again
anything else                          has ended with its agent, and gets an honest end
"""

from __future__ import annotations

from agent.core.command import Name
from agent.core.task import TaskState
from agent.errors import NotReadyError, RefusedError
from agent.files.job_file import JobFile
from agent.runner.activity import Activity, Context
from agent.runner.job_control import StepActivity
from agent.runner.print_activity import PrintActivity
from agent.server.inbox import too_old
from agent.state.store import Checkpoint, Task

_STEPS = (Name.PAUSE, Name.RESUME, Name.CANCEL)


class StartupRecovery:
    """Read once, at the start. Raises UnavailableError when the ledger cannot be read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        store = context.store
        self._running = store.tasks.in_state(TaskState.RUNNING)
        self._waiting = {task.command.task_id for task in store.tasks.in_state(TaskState.RECEIVED)}
        prints = [task for task in self._running if task.command.name is Name.PRINT_DATA]
        begun = [(task, found) for task in prints if (found := store.checkpoints.get(task.command.task_id)) is not None]
        self._begun: tuple[Task, Checkpoint] | None = begun[-1] if begun else None
        self._print = self._begun[0] if self._begun else next(reversed(prints), None)  # there is one at a time

    @property
    def has_print(self) -> bool:
        """Whether there is a print to take over; its activity opens the driver."""
        return self._begun is not None

    def files(self) -> set[str]:
        """The tasks whose files are still needed."""
        return self._waiting | ({self._print.command.task_id} if self._print is not None else set())

    def activities(self) -> list[Activity]:
        """What goes on, the print first; all else has its end now."""
        running = self._go_on()
        found: list[Activity] = [running] if running is not None else []
        for task in self._running:
            if task is self._print:
                continue
            step = self._ask_again(task, running)
            if step is not None:
                found.append(step)
            else:
                self._context.fail(task, 500, f"{task.command.said}: the agent ended while it ran")
        return found

    def _go_on(self) -> PrintActivity | None:
        """The print; None for one that has its end instead."""
        if self._begun is not None:
            return PrintActivity(self._context, *self._begun)
        task = self._print
        if task is None:
            return None
        try:
            if task.age > self._context.config.job.max_age_s:
                raise RefusedError(410, too_old(task.command, task.age))
            return PrintActivity(self._context, task)
        except RefusedError as refusal:
            self._context.fail(task, refusal.code, str(refusal))
            JobFile(self._context.jobs, task.command.task_id).remove()
            return None

    def _ask_again(self, task: Task, running: PrintActivity | None) -> StepActivity | None:
        """A step of the print that goes on; None for what is none."""
        if running is None or task.command.name not in _STEPS:
            return None
        try:
            return StepActivity(self._context, task, running)
        except (RefusedError, NotReadyError):
            return None

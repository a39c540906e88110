"""Recovery at the start: what an agent before this one left unfinished in the ledger, and what becomes of it.

a print that had begun                 is recovered: the next line is the very next one
a print whose file was still to come   begins anew, nothing has moved; what is here of the file is used
pause, resume, cancel of such a print  are requested again
an installation of firmware            the printer is identified, and it fails with what is known
anything else                          has ended with its agent, and gets an honest end
heaters that one of these left on      go off as soon as the printer answers (HeatControl)
"""

from __future__ import annotations

from agent.core.command import Name
from agent.errors import NotReadyError, RefusedError
from agent.files.job_file import JobFile
from agent.runner.activity import Activity, Context
from agent.runner.firmware_upgrade import FirmwareUpgrade
from agent.runner.job_control import JobControlActivity
from agent.runner.print_activity import PrintActivity
from agent.runner.start_gate import start_limits
from agent.state.store import Checkpoint, Task

_SCRIPTS = (Name.HOME, Name.PARK, Name.CALIBRATE)
_JOB_CONTROL = (Name.PAUSE, Name.RESUME, Name.CANCEL)


class StartupRecovery:
    """Resumes or ends the tasks that are still running in the ledger at the start.

    Raises UnavailableError when the ledger cannot be read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running = context.store.running_tasks()
        self._received = {task.command.task_id for task in context.store.received_tasks()}
        prints = [task for task in self._running if task.command.name is Name.PRINT_DATA]
        begun = [(task, checkpoint) for task in prints if (checkpoint := context.store.checkpoint(task)) is not None]
        self._begun: tuple[Task, Checkpoint] | None = begun[-1] if begun else None
        self._print = self._begun[0] if self._begun else next(reversed(prints), None)  # there is one at a time

    @property
    def has_print(self) -> bool:
        """Whether there is a print to recover; its activity opens the driver."""
        return self._begun is not None

    @property
    def has_script(self) -> bool:
        """Whether a script was running, which may have left heaters on."""
        return any(task.command.name in _SCRIPTS for task in self._running)

    def needed_files(self) -> set[str]:
        """The ids of the tasks whose files are still needed."""
        return self._received | ({self._print.command.task_id} if self._print is not None else set())

    def activities(self) -> list[Activity]:
        """Resume what can be resumed, the print first; end all else now."""
        running = self._resume_print()
        resumed: list[Activity] = [running] if running is not None else []
        for task in self._running:
            if task is self._print:
                continue
            control = self._resume_job_control(task, running) or self._resume_upgrade(task)
            if control is not None:
                resumed.append(control)
            else:
                self._context.fail(task, 500, f"{task.command.raw_name}: the agent ended while it ran")
        return resumed

    def _resume_print(self) -> PrintActivity | None:
        """The print's activity; None for one that has its end instead."""
        if self._begun is not None:
            return PrintActivity(self._context, *self._begun)
        task = self._print
        if task is None:
            return None
        try:
            late = start_limits(self._context).objection(task.command, task.age, rebooted=task.rebooted)
            if late:
                raise RefusedError(410, late)
            return PrintActivity(self._context, task)
        except RefusedError as refusal:
            self._context.fail(task, refusal.code, str(refusal))
            JobFile(self._context.jobs, task.command.task_id).remove()
            return None

    def _resume_upgrade(self, task: Task) -> FirmwareUpgrade | None:
        """A firmware_upgrade that had begun to install, to be ended with what is known; None for what is none."""
        if task.command.name is not Name.FIRMWARE_UPGRADE:
            return None
        interrupted = self._context.store.installation(task)
        return FirmwareUpgrade(self._context, task, interrupted) if interrupted is not None else None

    def _resume_job_control(self, task: Task, running: PrintActivity | None) -> JobControlActivity | None:
        """A pause, resume or cancel of the print that is resumed; None for what is none."""
        if running is None or task.command.name not in _JOB_CONTROL:
            return None
        try:
            return JobControlActivity(self._context, task, running)
        except (RefusedError, NotReadyError):
            return None

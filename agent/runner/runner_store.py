"""The runner's one door to the store: the tasks that it begins, their reports and checkpoints, the settings, the
installed firmware, heat that may be on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.bed import Bed, BedPolicy
from agent.core.job import JobView
from agent.core.task import TaskState
from agent.runner.report_writer import ReportWriter
from agent.state.firmware_table import Installation
from agent.state.store import Checkpoint, FileMark, Store, Task
from agent.state.task_table import LedgerRow


class RunnerStore:
    """What the runner and its activities read and write; nothing else in this room knows the Store. Methods raise
    UnavailableError when the disk does not take a write or give a row; `reports` has rules of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reports = ReportWriter(store.tasks)

    def next_received_tasks(self, limit: int) -> list[Task]:
        """At most `limit` tasks that nobody has begun, what stops the printer first."""
        return self._store.tasks.next_received(limit)

    def received_tasks(self) -> list[Task]:
        """The tasks that nobody has begun, in the order in which they came."""
        return self._store.tasks.in_state(TaskState.RECEIVED)

    def running_tasks(self) -> list[Task]:
        """The tasks that were begun and have no end."""
        return self._store.tasks.in_state(TaskState.RUNNING)

    def recent_tasks(self, limit: int) -> list[LedgerRow]:
        """The newest `limit` tasks, oldest first."""
        return self._store.tasks.recent(limit)

    def secrets(self) -> list[str]:
        """What must be in no text that leaves the printer: tokens, and codes that register it."""
        return self._store.identities.secrets()

    def start_task(self, task: Task) -> None:
        """Set a received task running."""
        self._store.tasks.start(task.command.task_id)

    def checkpoint(self, task: Task) -> Checkpoint | None:
        """The checkpoint of a print that has begun and has no end."""
        return self._store.checkpoints.get(task.command.task_id)

    def begin_print(self, job: JobView, file: FileMark, preamble: Sequence[str], policy: BedPolicy) -> None:
        """Write the checkpoint of a print that is about to begin, which takes the bed. Raises RefusedError for one that
        must be confirmed clear first."""
        self._store.checkpoints.begin(job, file, preamble, policy)

    def bed(self) -> Bed:
        """The bed now."""
        return self._store.bed.read()

    def begin_heat(self, task_id: str) -> None:
        """Record that an operation begins, which may switch heaters on."""
        self._store.heat.begin(task_id)

    def heat_left_by(self) -> str:
        """The task whose operation may have left heaters on; empty for none."""
        return self._store.heat.task_id()

    def clear_heat(self) -> None:
        """Delete that record."""
        self._store.heat.clear()

    def settings(self) -> dict[str, Any]:
        """The printer's stored settings."""
        return self._store.settings.read()

    def update_settings(self, settings: dict[str, Any]) -> None:
        """Store these over the printer's stored settings."""
        self._store.settings.update(settings)

    def overridden_settings(self) -> dict[str, Any]:
        """The settings that a job has changed, with what they were before."""
        return self._store.settings.overridden()

    def replace_overridden_settings(self, before: Mapping[str, Any]) -> None:
        """Store these, and no others, as settings that a job has changed."""
        self._store.settings.replace_overridden(before)

    def installed_firmware(self, model: str) -> str:
        """The firmware version that was installed last; empty for none."""
        return self._store.firmware.installed(model)

    def installation(self, task: Task) -> Installation | None:
        """The installation that the task has begun; None for none."""
        return self._store.firmware.installation(task.command.task_id)

    def begin_installation(self, installation: Installation) -> None:
        """Record that an installation begins; its version counts as installed from now on."""
        self._store.firmware.begin(installation)

    def end_installation(self, installation: Installation) -> None:
        """Record how an installation ended."""
        self._store.firmware.end(installation)

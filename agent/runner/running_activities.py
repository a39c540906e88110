"""Running activities, and the rule of which command may run beside which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agent.core.command import STOPS, Name
from agent.errors import RefusedError
from agent.runner.activity import Activity
from agent.runner.cancel_activity import CancelActivity
from agent.runner.firmware_upgrade import FirmwareUpgrade
from agent.runner.job_control import JobControlActivity
from agent.runner.print_activity import PrintActivity
from agent.state.store import Task

AT_ONCE = 32  # activities beside each other; what stops the printer is not counted
WAITING_STOPS = 8  # pauses, resumes and cancels that wait for the printer, beside each other

UPLOADS = (Name.LOG, Name.LOGS)


class RunningActivities:
    """The list of running activities, in the order in which they began."""

    def __init__(self) -> None:
        self._all: list[Activity] = []
        self._last_job_id = ""

    def __iter__(self) -> Iterator[Activity]:
        return iter(self._all)

    def add(self, activities: Iterable[Activity]) -> None:
        """Append activities."""
        self._all.extend(activities)

    def remove_ended(self) -> None:
        """Drop the activities whose task has its end."""
        ended = self.last_print()
        if ended is not None:
            self._last_job_id = ended.view.job_id
        self._all = [activity for activity in self._all if not activity.ended]

    def exclusive(self) -> Activity | None:
        """Find the activity that has the printer for itself."""
        return next((a for a in self._all if a.exclusive and not a.ended), None)

    def print(self) -> PrintActivity | None:
        """Find the running print."""
        return next((a for a in self._all if isinstance(a, PrintActivity) and not a.ended), None)

    def last_print(self) -> PrintActivity | None:
        """Find the print, also in the step in which it has ended."""
        return next((a for a in self._all if isinstance(a, PrintActivity)), None)

    def is_last_job(self, task: Task) -> bool:
        """Whether a command means the job that ran last, or names none."""
        return task.command.job_id in ("", self._last_job_id)

    def sort_by_urgency(self, tasks: Sequence[Task]) -> list[Task]:
        """Sort received tasks: what ends the running print, what pauses or resumes it, what would stop another, the
        rest; each in its order. While nothing runs there is nothing to stop but what came before, so that all keep
        their order: a cancel does not overtake what it is meant for."""
        running, idle = self.print(), self.exclusive() is None
        job_id = running.view.job_id if running is not None else ""

        def rank(task: Task) -> int:
            if idle or task.command.name not in STOPS:
                return 3
            if job_id and task.command.job_id not in ("", job_id):
                return 2
            return int(task.command.name not in (Name.CANCEL, Name.RESET))

        return sorted(tasks, key=lambda task: (rank(task), task.number))

    def make_room_for_control(self) -> None:
        """End the oldest pauses, resumes and cancels beyond WAITING_STOPS: the newest is never refused for load."""
        waiting = [a for a in self._all if isinstance(a, JobControlActivity | CancelActivity) and not a.ended]
        for activity in waiting[: max(len(waiting) - WAITING_STOPS + 1, 0)]:
            activity.supersede()

    def require_no_upload(self, task: Task) -> None:
        """Raise RefusedError while logs are uploaded."""
        if any(a.task.command.name in UPLOADS and not a.ended for a in self._all):
            raise RefusedError(409, f"{task.command.raw_name}: an upload is running already")

    def require_room(self, task: Task) -> None:
        """Raise RefusedError when AT_ONCE commands are running; never for what stops the printer."""
        if task.command.name in STOPS:
            return
        if sum(a.task.command.name not in STOPS for a in self._all) >= AT_ONCE:
            raise RefusedError(503, f"{task.command.raw_name}: {AT_ONCE} commands are running already")

    def require_no_installation(self, task: Task) -> None:
        """Raise RefusedError while a firmware is being installed, which nothing may interrupt."""
        running = self.exclusive()
        if isinstance(running, FirmwareUpgrade) and running.installing:
            raise RefusedError(409, f"{task.command.raw_name}: the firmware is being installed")

    def require_no_exclusive(self, task: Task) -> None:
        """Raise RefusedError when another command has the printer for itself."""
        running = self.exclusive()
        if running is not None:
            raise RefusedError(
                409, f"{task.command.raw_name}: the printer is busy with {running.task.command.raw_name}"
            )

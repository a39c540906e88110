"""The runner's thread: new tasks from the ledger, each activity looked at, the board kept true. It never waits for the
printer, a file or the network, so a cancel is acted on as soon as it is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from agent.core.command import Name
from agent.core.driver import PrinterState
from agent.core.job import JobView
from agent.core.task import TaskState
from agent.errors import NotReadyError, RefusedError, UnavailableError
from agent.files.job_file import sweep
from agent.runner.activity import Activity, Context
from agent.runner.job_control import StepActivity
from agent.runner.print_activity import PrintActivity
from agent.runner.script_activity import (
    ResetActivity,
    ScriptActivity,
    check_dismiss,
    keep_settings,
    request_settings,
)
from agent.runner.startup_recovery import StartupRecovery
from agent.runner.transfers import upgrade, upload_logs
from agent.server.inbox import too_old
from agent.service.config import Config
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Task

log = structlog.get_logger(part="runner")

TICK = 1.0  # seconds between two looks when nothing wakes the loop
AT_ONCE = 32  # activities beside each other


class Runner:
    """The loop. `wake` is the event that `context.wake` sets. `hand_over`: whether a print that runs when the loop is
    to stop is left to the next agent; after a defect it always is."""

    def __init__(
        self,
        context: Context,
        board: AgentSnapshot,
        wake: threading.Event,
        pulse: Pulse,
        hand_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context = context
        self._board = board
        self._wake = wake
        self._pulse = pulse
        self._hand_over = hand_over
        self._activities: list[Activity] = []
        self._job: JobView | None = None
        self._told: tuple[object, ...] | None = None
        self._cleared = False
        self._config = context.config
        self._makers: dict[Name, Callable[[Task], Activity | None]] = {
            Name.PRINT_DATA: self._begin_print,
            Name.PAUSE: self._begin_step,
            Name.RESUME: self._begin_step,
            Name.CANCEL: self._begin_cancel,
            Name.HOME: self._begin_script,
            Name.PARK: self._begin_script,
            Name.CALIBRATE: self._begin_script,
            Name.RESET: self._begin_reset,
            Name.LOG: self._begin_logs,
            Name.LOGS: self._begin_logs,
            Name.FIRMWARE_UPGRADE: self._begin_upgrade,
            Name.SETTINGS: self._settings,
            Name.REQUEST_SETTINGS: self._request_settings,
            Name.DISMISS: self._dismiss,
        }

    def configure(self, config: Config) -> None:
        """Begin commands with this from the next look on; any thread."""
        self._config = config

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; what runs then gets an honest end, or is left to the next agent."""
        hand_over = True
        try:
            while not stop.is_set():
                self._pulse.beat()
                self._wake.clear()
                self._safely()
                self._wake.wait(TICK)
            hand_over = self._hand_over()
        finally:
            self._stop(hand_over=hand_over)

    def step(self) -> None:
        """One look at everything."""
        if self._config is not self._context.config:
            self._context = msgspec.structs.replace(self._context, config=self._config)
        self._context.ledger.flush()
        self._clear_up()
        self._begin_new()
        telemetry = self._context.driver.telemetry()
        for activity in self._activities:
            activity.step(telemetry)
        self._look()
        self._activities = [activity for activity in self._activities if not activity.ended]
        self._post()

    def _safely(self) -> None:
        try:
            self.step()
        except UnavailableError as error:  # the disk does not take a write: what was not written is done again
            log.warning("not written down; trying again", reason=str(error))

    def _clear_up(self) -> None:
        """Once, before anything else: what the agent before this one left."""
        if self._cleared:
            return
        legacy = StartupRecovery(self._context)
        sweep(self._context.jobs, legacy.files())
        if not legacy.has_print:
            self._context.driver.open(self._context.host)  # else the driver is opened with the print
        self._activities += legacy.activities()
        self._cleared = True

    def _begin_new(self) -> None:
        """Begin what has come. A disk that does not take that must not keep a print from being looked at."""
        try:
            for task in self._context.store.tasks(TaskState.RECEIVED):
                self._begin(task)
        except UnavailableError as error:
            log.warning("new commands wait for the disk", reason=str(error))

    def _begin(self, task: Task) -> None:
        self._context.store.start(task.command.task_id)
        try:
            if task.age > self._context.config.job.max_age_s:
                raise RefusedError(410, too_old(task.command, task.age))
            activity = self._make(task)
        except RefusedError as refusal:
            self._context.fail(task, refusal.code, str(refusal))
        except NotReadyError as error:
            self._context.fail(task, 409, f"{task.command.said}: {error}")
        except UnavailableError as error:  # begun in the ledger, so it needs an end
            self._context.fail(task, 503, f"{task.command.said}: {error}")
        else:
            if activity is not None:
                self._activities.append(activity)

    def _make(self, task: Task) -> Activity | None:
        """The activity for a command; None for one that was done at once. Raises RefusedError, NotReadyError."""
        if len(self._activities) >= AT_ONCE:
            raise RefusedError(503, f"{task.command.said}: {AT_ONCE} commands are running already")
        name = task.command.name
        if name is None:  # the inbox writes such a one down with its end
            raise RefusedError(404, "unknown command")
        return self._makers[name](task)

    def _begin_print(self, task: Task) -> Activity:
        self._need_idle(task)
        telemetry = self._context.driver.telemetry()
        if telemetry.state not in (PrinterState.IDLE, PrinterState.OFFLINE, PrinterState.RECOVERING):
            raise RefusedError(503, f"print_data: the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
        return PrintActivity(self._context, task)

    def _begin_cancel(self, task: Task) -> Activity | None:
        running = self._exclusive()
        if isinstance(running, ScriptActivity) and not task.command.job_id:
            running.cancel()
            self._context.complete(task)
            return None
        return self._begin_step(task)

    def _begin_step(self, task: Task) -> Activity:
        return StepActivity(self._context, task, self._print())

    def _begin_script(self, task: Task) -> Activity:
        self._need_idle(task)
        return ScriptActivity(self._context, task)

    def _begin_reset(self, task: Task) -> Activity:
        if isinstance(self._exclusive(), ResetActivity):
            raise RefusedError(409, "reset: one is going on")
        return ResetActivity(self._context, task)

    def _begin_logs(self, task: Task) -> Activity:
        return upload_logs(self._context, task)

    def _begin_upgrade(self, task: Task) -> Activity:
        self._need_idle(task)
        return upgrade(self._context, task)

    def _settings(self, task: Task) -> None:
        keep_settings(self._context, task)

    def _request_settings(self, task: Task) -> None:
        request_settings(self._context, task)

    def _exclusive(self) -> Activity | None:
        return next((a for a in self._activities if a.exclusive and not a.ended), None)

    def _print(self) -> PrintActivity | None:
        return next((a for a in self._activities if isinstance(a, PrintActivity) and not a.ended), None)

    def _need_idle(self, task: Task) -> None:
        running = self._exclusive()
        if running is not None:
            raise RefusedError(409, f"{task.command.said}: the printer is busy with {running.task.command.said}")

    def _dismiss(self, task: Task) -> None:
        check_dismiss(self._context.driver.telemetry())
        if self._print() is not None:
            raise RefusedError(409, "dismiss: a job is running")
        self._job = None
        self._context.complete(task)

    def _look(self) -> None:
        running = next((a for a in self._activities if isinstance(a, PrintActivity)), None)
        if running is not None:
            self._job = running.view

    def _post(self) -> None:
        running = self._exclusive()
        self._board.post(self._job, running.busy if running is not None else "")
        key = self._board.read().key()
        if key != self._told:
            self._told = key
            self._context.tell()

    def _stop(self, *, hand_over: bool = False) -> None:
        for activity in self._activities:
            if activity.ended:
                continue
            if hand_over and activity.outlives:
                activity.hand_over()
            else:
                activity.stop("the agent was stopped")
        self._context.driver.close(hand_over=hand_over)
        self._look()
        self._board.post(self._job, "")

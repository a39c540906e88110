"""Dispatch of commands: a table from a command's name to the activity that it begins, if the printer allows it."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.core.bed import BedEvent, Start, refusal
from agent.core.command import Name
from agent.core.driver import PrinterState
from agent.errors import RefusedError
from agent.runner.activity import Activity, Context, require_running_job, task_keys
from agent.runner.cancel_activity import CancelActivity, as_cancellable
from agent.runner.cool_activity import CoolActivity, is_idle_and_hot
from agent.runner.firmware_upgrade import FirmwareUpgrade
from agent.runner.job_control import JobControlActivity
from agent.runner.print_activity import PrintActivity
from agent.runner.respond_activity import RespondActivity
from agent.runner.running_activities import RunningActivities
from agent.runner.script_activity import (
    ResetActivity,
    ScriptActivity,
    check_dismiss,
)
from agent.runner.settings_activity import request_settings, set_settings
from agent.state.store import Task

log = structlog.get_logger(part="runner")


def begin(context: Context, running: RunningActivities, task: Task) -> Activity | None:
    """Begin a command beside what is `running`; None for one that was done at once.

    Raises RefusedError, NotReadyError, UnavailableError."""
    running.require_room(task)
    if task.command.name is None:  # the inbox writes such a one down with its end
        raise RefusedError(404, "unknown command")
    return _BEGIN[task.command.name](context, running, task)


def _begin_print(context: Context, running: RunningActivities, task: Task) -> Activity:
    running.require_no_exclusive(task)
    telemetry = context.driver.telemetry()
    if telemetry.state is not PrinterState.IDLE and not telemetry.state.absent:
        raise RefusedError(503, f"print_data: the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
    bed = context.store.bed()
    if bed.start(context.config.job.bed) is Start.REFUSE:
        raise RefusedError(409, refusal("print_data", bed))
    return PrintActivity(context, task)


def _begin_job_control(context: Context, running: RunningActivities, task: Task) -> Activity:
    activity = JobControlActivity(context, task, running.print())
    running.make_room_for_control()
    return activity


def _begin_cancel(context: Context, running: RunningActivities, task: Task) -> Activity:
    exclusive = running.exclusive()
    canceled = as_cancellable(exclusive)
    if canceled is not None and not task.command.job_id:
        activity = CancelActivity(context, task, canceled)
        running.make_room_for_control()
        return activity
    if exclusive is None and running.is_last_job(task) and is_idle_and_hot(context.driver.telemetry()):
        return CoolActivity(context, task)
    return _begin_job_control(context, running, task)


def _begin_cool(context: Context, running: RunningActivities, task: Task) -> Activity:  # noqa: ARG001 beside a download
    return CoolActivity(context, task)


def _begin_respond(context: Context, running: RunningActivities, task: Task) -> Activity:
    if task.command.job_id:
        activity = running.print()
        require_running_job(task.command, activity.view if activity is not None else None)
    return RespondActivity(context, task)


def _begin_script(context: Context, running: RunningActivities, task: Task) -> Activity:
    running.require_no_exclusive(task)
    return ScriptActivity(context, task)


def _begin_reset(context: Context, running: RunningActivities, task: Task) -> Activity:
    running.require_no_installation(task)
    if isinstance(running.exclusive(), ResetActivity):
        raise RefusedError(409, "reset: one is going on")
    return ResetActivity(context, task)


def _begin_logs(context: Context, running: RunningActivities, task: Task) -> Activity:
    from agent.runner.log_upload import LogUploadActivity  # noqa: PLC0415 late: tarfile costs memory, and logs are rare

    running.require_no_upload(task)
    return LogUploadActivity(context, task)


def _begin_upgrade(context: Context, running: RunningActivities, task: Task) -> Activity:
    running.require_no_exclusive(task)
    return FirmwareUpgrade(context, task)


def _dismiss(context: Context, running: RunningActivities, task: Task) -> None:
    check_dismiss(context.driver.telemetry())
    running_print = running.print()
    if running_print is not None and running_print.begun:
        raise RefusedError(409, "dismiss: a job is running")
    command = task.command
    objection = context.store.bed().objection(command.job_id, age=task.age, sent=command.sent_at is not None)
    if objection:
        raise RefusedError(409, f"dismiss: {objection}")
    context.complete(task, bed=BedEvent.CONFIRM)
    log.info("bed confirmed by the cloud", **task_keys(task))


_BEGIN: dict[Name, Callable[[Context, RunningActivities, Task], Activity | None]] = {
    Name.PRINT_DATA: _begin_print,
    Name.PAUSE: _begin_job_control,
    Name.RESUME: _begin_job_control,
    Name.CANCEL: _begin_cancel,
    Name.COOL: _begin_cool,
    Name.RESPOND: _begin_respond,
    Name.HOME: _begin_script,
    Name.PARK: _begin_script,
    Name.CALIBRATE: _begin_script,
    Name.RESET: _begin_reset,
    Name.LOG: _begin_logs,
    Name.LOGS: _begin_logs,
    Name.FIRMWARE_UPGRADE: _begin_upgrade,
    Name.SETTINGS: set_settings,
    Name.REQUEST_SETTINGS: request_settings,
    Name.DISMISS: _dismiss,
}

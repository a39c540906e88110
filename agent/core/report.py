"""Building the reports of a task, and the heartbeat, from what is known (agent/core/report_bodies.py).

Progress never goes backwards within a task: `advance` is the only way to a new value.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from agent.core import script_progress
from agent.core.command import Command, Name
from agent.core.driver import HeatCurve, Telemetry
from agent.core.job import JobView
from agent.core.printer_status import BUSY_TEXT, link, printer_state, prompt, temperatures
from agent.core.report_bodies import FirmwareChange, Heartbeat, Receipt, Result, SituationData, TaskData, TaskReport
from agent.core.report_change import with_change

BEFORE_THE_END = 0.9999  # a report that is not terminal never says 1
ERROR_TEXT = 500  # characters of a message for a person


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """The job's fields in a body; as those of TaskReport."""

    job_id: str | UnsetType = UNSET
    job_status: str | UnsetType = UNSET
    job_progress: float | UnsetType = UNSET


class _Position(msgspec.Struct, frozen=True, kw_only=True):
    """The job's fields in `data`; as those of TaskData."""

    job_id: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    layer: int | UnsetType = UNSET
    total_layers: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    seconds_left: int | UnsetType = UNSET
    seconds_left_from: str | UnsetType = UNSET


def advance(previous: float, value: float, *, end: bool = False) -> float:
    """Compute the progress to report: never below `previous`, within 0 to 1, and 1 only at the end. NaN is no news."""
    if end:
        return 1.0
    if math.isnan(value):
        return previous
    return min(max(previous, round(value, 4)), BEFORE_THE_END)


def receipt(command: Command, printer_status: str) -> Receipt:
    """Build the report at once on receipt. `printer_status`, here and below, is the printer's word now
    (`core.printer_status.printer_state`)."""
    job_id = command.job_id or UNSET
    return Receipt(
        printer_status=printer_status,
        data=TaskData(state="received", command=command.raw_name, is_error=False, job_id=job_id),
        job_id=job_id,
    )


def progress(
    command: Command,
    value: float,
    job: JobView | None,
    telemetry: Telemetry,
    message: str = "",
    *,
    busy: str = "",
    bed: str = "",
    before: SituationData | None = None,
) -> TaskReport:
    """Build a report on the way. `value` comes from `advance`; `message` is for a person, who is told the sub-state
    without one; `busy` and `bed` are as in `heartbeat`; `before` is the `data` of the report that the server had
    last."""
    first, readings = temperatures(telemetry.heaters)
    sub_state = _sub_state(job, telemetry, busy)
    data = SituationData(
        command=command.raw_name,
        state=(job.status or "received") if job is not None else str(telemetry.state),
        ui_sub_state=sub_state,
        **_fields(_position(job)),
        temperature=first,
        temperatures=readings,
        bed=bed or UNSET,
        is_error=False,
        message=(message or sub_state)[:ERROR_TEXT],
        prompt=prompt(telemetry),
    )
    return TaskReport(
        progress=value,
        printer_status=printer_state(job, telemetry, busy),
        **_fields(_job(job, value)),
        data=with_change(data, before),
    )


def completed(command: Command, job: JobView | None, result: Result, printer_status: str) -> TaskReport:
    """Build the terminal report of a task that did what it was asked."""
    data = TaskData(
        state="completed",
        command=command.raw_name,
        is_error=False,
        **_fields(_position(job)),
        **_fields(result),
    )
    return TaskReport(progress=1.0, printer_status=printer_status, **_fields(_ended_job(command, job)), data=data)


def failed(
    command: Command,
    code: int,
    message: str,
    job: JobView | None = None,
    *,
    printer_status: str,
    heat_curve: HeatCurve | None = None,
    firmware: FirmwareChange | None = None,
) -> TaskReport:
    """Build the terminal report of a task that was refused or failed; `heat_curve`: for which it was a heat alarm;
    `firmware`: what an upgrade that failed has changed."""
    message = message[:ERROR_TEXT]
    data = TaskData(
        state="failed",
        command=command.raw_name,
        is_error=True,
        error_code=code,
        error=code,
        error_message=message,
        **_fields(_position(job)),
        heat_curve=heat_curve or UNSET,
        message=message,
        firmware=firmware or UNSET,
    )
    about = _ended_job(command, job)
    if job is None and command.raw_name == Name.PRINT_DATA:  # else a server shows the job as sent for ever
        about = msgspec.structs.replace(about, job_status="failed", job_progress=0.0)
    ended = _fields(about)
    return TaskReport(
        progress=1.0, printer_status=printer_status, error_code=code, error_message=message, **ended, data=data
    )


def heartbeat(
    job: JobView | None,
    telemetry: Telemetry,
    busy: str = "",
    trouble: str = "",
    *,
    bed: str = "",
    before: SituationData | None = None,
) -> Heartbeat:
    """Build the heartbeat. `busy` says what the agent itself is doing (a download, an upgrade); empty for nothing.
    `trouble` is the one thing that is wrong, for a person: `data.message`, whether or not it keeps the printer from
    working. `bed` is `clear` or `not_confirmed`; empty where nobody is asked. `before` is the `data` of the heartbeat
    that the server had last."""
    printer_status = printer_state(job, telemetry, busy)
    is_error = printer_status == "error"
    code: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    if is_error:
        code = 503 if telemetry.state.absent else 500
        reason = telemetry.reason[:ERROR_TEXT] or str(telemetry.state)
    first, readings = temperatures(telemetry.heaters)
    data = SituationData(
        state=printer_status,
        ui_sub_state=_sub_state(job, telemetry, busy),
        **_fields(_position(job)),
        temperature=first,
        temperatures=readings,
        bed=bed or UNSET,
        is_error=is_error,
        message=trouble[:ERROR_TEXT] or UNSET,
        prompt=prompt(telemetry),
        link=link(telemetry.link),
        error_code=code,
        error=code,
        error_message=reason,
    )
    running = _fields(_job(job, None))
    return Heartbeat(
        printer_status=printer_status,
        error_code=code,
        error_message=reason,
        **running,
        data=with_change(data, before),
    )


def _fields(part: msgspec.Struct) -> dict[str, Any]:
    """The fields of a part, for the struct that it is a part of."""
    return msgspec.structs.asdict(part)


def _sub_state(job: JobView | None, telemetry: Telemetry, busy: str) -> str:
    fetching = job.transfer if job is not None else ""
    script = script_progress.describe(telemetry.script) if telemetry.script is not None else ""
    return BUSY_TEXT.get(busy, "") or fetching or telemetry.waiting or script or telemetry.reason[:ERROR_TEXT]


def _ended_job(command: Command, job: JobView | None) -> _Job:
    """The job that a terminal report is about: the running one, else the one that the command named, or, of a print
    without one, its task (docs/protocol.md «A command message»)."""
    if job is not None:
        return _job(job, None)
    return _Job(job_id=command.job_id or (command.task_id if command.name is Name.PRINT_DATA else UNSET))


def _job(job: JobView | None, value: float | None) -> _Job:
    """`value` is the progress to tell; None: the job's own."""
    if job is None:
        return _Job()
    if job.status is None:
        return _Job(job_id=job.job_id)
    return _Job(job_id=job.job_id, job_status=job.status, job_progress=job.progress if value is None else value)


def _position(job: JobView | None) -> _Position:
    if job is None:
        return _Position()
    position = _Position(
        job_id=job.job_id,
        job_name=job.name or UNSET,
        seconds_left=UNSET if job.seconds_left is None else job.seconds_left,
        seconds_left_from=job.seconds_left_from or UNSET,
    )
    if not job.total_lines:
        return position
    return msgspec.structs.replace(
        position, layer=job.layer, total_layers=job.total_layers, line=job.line, total_lines=job.total_lines
    )

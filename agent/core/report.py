"""Bodies of reports and of the heartbeat, as structs (docs/protocol.md, «Reports on a command», «Heartbeat»).

    receipt    progress 0, data.state "received"                          one, at once
    milestone  the file is completely here (job_status "received")        one a print; the server may delete it then
    progress   0 < progress < 1                                           any number; newer replaces unsent older
    terminal   progress 1, data.state "completed" or "failed"             exactly one

Progress never goes backwards within a task: `advance` is the only way to a new value. A field that is UNSET is not in
the JSON; the fields' order is the order of the keys on the wire.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from agent.core.command import Command
from agent.core.driver import Heater, Link, PrinterState, Telemetry
from agent.core.job import JobView
from agent.core.shrink import MAX_DATA, length, shrink

BEFORE_THE_END = 0.9999  # a report that is not terminal never says 1
ERROR_TEXT = 500  # characters of a message for a person
TAKING_OVER = "taking_over"  # what the agent does after a restart, until the printer has said where its print is
AWAITING_BED = "awaiting_bed"  # what it does with a print that waits until somebody confirms that the bed is clear
WAITS_FOR_BED = "waits until the bed is clear"


class Kind(StrEnum):
    """What kind of report a row of the outbox is."""

    RECEIPT = "receipt"
    MILESTONE = "milestone"
    PROGRESS = "progress"
    TERMINAL = "terminal"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a completed task gives back: it joins `data` of the terminal report."""

    settings: dict[str, Any] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class Temperature(msgspec.Struct, frozen=True):
    """One heater's reading in °C; target 0 is off."""

    actual: float
    target: float


class LinkQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of the serial link; what is not known is UNSET."""

    resend_rate: float
    latency_p50_ms: float | UnsetType = UNSET
    latency_p99_ms: float | UnsetType = UNSET
    starved: int | UnsetType = UNSET


class TaskData(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of a receipt and of a terminal report."""

    state: str
    command: str
    is_error: bool
    error_code: int | UnsetType = UNSET
    error: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    layer: int | UnsetType = UNSET
    total_layers: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    seconds_left: int | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class SituationData(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of progress and of the heartbeat: the printer and its job now."""

    command: str | UnsetType = UNSET
    state: str
    change: str = ""
    ui_sub_state: str
    job_id: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    layer: int | UnsetType = UNSET
    total_layers: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    seconds_left: int | UnsetType = UNSET
    temperature: int | UnsetType = UNSET
    temperatures: dict[str, Temperature] | UnsetType = UNSET
    bed: str | UnsetType = UNSET
    is_error: bool
    message: str | UnsetType = UNSET
    link: LinkQuality | UnsetType = UNSET
    error_code: int | UnsetType = UNSET
    error: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The report that acknowledges a command at once."""

    progress: float = 0.0
    data: TaskData
    job_id: str | UnsetType = UNSET


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report on the way (milestone, progress) or at the end (terminal)."""

    progress: float
    error_code: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_status: str | UnsetType = UNSET
    job_progress: float | UnsetType = UNSET
    data: TaskData | SituationData


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The heartbeat: the printer's status, with its job."""

    printer_status: str
    error_code: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_status: str | UnsetType = UNSET
    job_progress: float | UnsetType = UNSET
    data: SituationData


Body = Receipt | TaskReport | Heartbeat


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


def advance(previous: float, value: float, *, end: bool = False) -> float:
    """Compute the progress to report: never below `previous`, within 0 to 1, and 1 only at the end. NaN is no news."""
    if end:
        return 1.0
    if math.isnan(value):
        return previous
    return min(max(previous, round(value, 4)), BEFORE_THE_END)


def receipt(command: Command) -> Receipt:
    """Build the report at once on receipt."""
    job_id = command.job_id or UNSET
    return Receipt(
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
) -> TaskReport:
    """Build a report on the way. `value` comes from `advance`; `message` is for a person; `busy` and `bed` are as in
    `heartbeat`."""
    first, readings = temperatures(telemetry.heaters)
    data = SituationData(
        command=command.raw_name,
        state=str(job.state) if job is not None else str(telemetry.state),
        ui_sub_state=_sub_state(telemetry, busy),
        **_fields(_position(job)),
        temperature=first,
        temperatures=readings,
        bed=bed or UNSET,
        is_error=False,
        message=message[:ERROR_TEXT] or UNSET,
    )
    return TaskReport(progress=value, **_fields(_job(job, value)), data=data)


def completed(command: Command, job: JobView | None, result: Result) -> TaskReport:
    """Build the terminal report of a task that did what it was asked."""
    data = TaskData(
        state="completed",
        command=command.raw_name,
        is_error=False,
        **_fields(_position(job)),
        **_fields(result),
    )
    return TaskReport(progress=1.0, **_fields(_ended_job(command, job)), data=data)


def failed(command: Command, code: int, message: str, job: JobView | None = None) -> TaskReport:
    """Build the terminal report of a task that was refused or failed."""
    message = message[:ERROR_TEXT]
    data = TaskData(
        state="failed",
        command=command.raw_name,
        is_error=True,
        error_code=code,
        error=code,
        error_message=message,
        **_fields(_position(job)),
    )
    ended = _fields(_ended_job(command, job))
    return TaskReport(progress=1.0, error_code=code, error_message=message, **ended, data=data)


def heartbeat(
    job: JobView | None, telemetry: Telemetry, busy: str = "", trouble: str = "", *, bed: str = ""
) -> Heartbeat:
    """Build the heartbeat. `busy` says what the agent itself is doing (a download, an upgrade); empty for nothing.
    `trouble` is the one thing that is wrong, for a person: `data.message`, whether or not it keeps the printer from
    working. `bed` is `clear` or `not_confirmed`; empty where nobody is asked."""
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
        ui_sub_state=_sub_state(telemetry, busy),
        **_fields(_position(job)),
        temperature=first,
        temperatures=readings,
        bed=bed or UNSET,
        is_error=is_error,
        message=trouble[:ERROR_TEXT] or UNSET,
        link=link(telemetry.link),
        error_code=code,
        error=code,
        error_message=reason,
    )
    running = _fields(_job(job, None))
    return Heartbeat(printer_status=printer_status, error_code=code, error_message=reason, **running, data=data)


_STATUS = {
    PrinterState.OFFLINE: "error",
    PrinterState.RECOVERING: "error",  # offline, unless the agent is taking the print over (`busy`)
    PrinterState.ERROR: "error",
    PrinterState.IDLE: "ready",
    PrinterState.BUSY: "busy",
    PrinterState.PRINTING: "printing",
    PrinterState.PAUSING: "printing",
    PrinterState.PAUSED: "paused",
    PrinterState.RESUMING: "paused",
    PrinterState.CANCELLING: "busy",
}


def printer_state(job: JobView | None, telemetry: Telemetry, busy: str = "") -> str:
    """The cloud's `printer_status`: ready, busy, printing, paused, maintenance or error."""
    if busy == TAKING_OVER:
        return "busy"
    status = _STATUS[telemetry.state]
    if status == "error":
        return status
    if busy == "firmware_upgrade":
        return "maintenance"
    if status == "ready" and (busy or (job is not None and not job.state.ended)):
        return "busy"
    return status


def encode(body: Body) -> bytes:
    """Encode a body as JSON, its `data` shrunk to MAX_DATA if need be."""
    if length(body.data) <= MAX_DATA:
        return msgspec.json.encode(body)
    plain = msgspec.to_builtins(body)
    return msgspec.json.encode({**plain, "data": shrink(plain["data"])})


def link(quality: Link) -> LinkQuality | UnsetType:
    """Convert the quality of the serial link; UNSET before the first line."""
    if not quality.lines:
        return UNSET
    return LinkQuality(
        resend_rate=round(quality.resend_rate, 4),
        latency_p50_ms=_known(quality.latency_p50_ms),
        latency_p99_ms=_known(quality.latency_p99_ms),
        starved=UNSET if quality.starved is None else quality.starved,
    )


def temperatures(heaters: Iterable[Heater]) -> tuple[int, dict[str, Temperature]] | tuple[UnsetType, UnsetType]:
    """The `temperature`, an integer in °C (the first tool's, else the first heater's), and all readings; UNSET where
    none is known."""
    known = [heater for heater in heaters if math.isfinite(heater.actual)]
    if not known:
        return UNSET, UNSET
    first = next((heater for heater in known if heater.name.startswith("tool")), known[0])
    return round(first.actual), {
        heater.name: Temperature(
            actual=round(heater.actual, 1),
            target=round(heater.target, 1) if math.isfinite(heater.target) else 0.0,
        )
        for heater in known
    }


def _fields(part: msgspec.Struct) -> dict[str, Any]:
    """The fields of a part, for the struct that it is a part of."""
    return msgspec.structs.asdict(part)


def _known(value: float | None) -> float | UnsetType:
    return UNSET if value is None else value


_BUSY_TEXT = {TAKING_OVER: "taking over the print", AWAITING_BED: WAITS_FOR_BED}


def _sub_state(telemetry: Telemetry, busy: str) -> str:
    return _BUSY_TEXT.get(busy, "") or telemetry.waiting or telemetry.reason[:ERROR_TEXT]


def _ended_job(command: Command, job: JobView | None) -> _Job:
    """The job that a terminal report is about: the running one, else the one that the command named."""
    return _job(job, None) if job is not None else _Job(job_id=command.job_id or UNSET)


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
    )
    if not job.total_lines:
        return position
    return msgspec.structs.replace(
        position, layer=job.layer, total_layers=job.total_layers, line=job.line, total_lines=job.total_lines
    )

"""What is posted: the bodies of reports and of the heartbeat (docs/protocol.md, «Reports on a command», «Heartbeat»).

    receipt    progress 0, data.state "received"                          one, at once
    milestone  the file is completely here (job_status "received")        one a print; the server may delete it then
    progress   0 < progress < 1                                           any number; newer replaces unsent older
    terminal   progress 1, data.state "completed" or "failed"             exactly one

Progress never goes backwards within a task: `advance` is the only way to a new value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from agent.core.command import Command
from agent.core.driver import Heater, Link, PrinterState, Telemetry
from agent.core.job import JobView

MAX_DATA = 5000
"""Characters of `data` as JSON. Counted as UTF-16 units of the compact text, which is what a JavaScript server sees."""

BEFORE_THE_END = 0.9999  # a report that is not terminal never says 1
ERROR_TEXT = 500  # characters of a message for a person
TAKING_OVER = "taking_over"  # what the agent does after a restart, until the printer has said where its print is

# What goes first when `data` is too long; what is not here (state, numbers, short texts) goes last, and only then.
SHRINK_ORDER = (
    "settings",
    "link",
    "temperatures",
    "job_name",
    "url",
    "message",
    "ui_sub_state",
    "change",
    "error_message",
    "command",
    "job_id",
)


class Kind(StrEnum):
    """What kind of report a row of the outbox is."""

    RECEIPT = "receipt"
    MILESTONE = "milestone"
    PROGRESS = "progress"
    TERMINAL = "terminal"


def advance(previous: float, value: float, *, end: bool = False) -> float:
    """The progress to report: never below `previous`, within 0 to 1, and 1 only at the end. NaN is no news."""
    if end:
        return 1.0
    if math.isnan(value):
        return previous
    return min(max(previous, round(value, 4)), BEFORE_THE_END)


def receipt(command: Command) -> dict[str, Any]:
    """The report at once on receipt."""
    data: dict[str, Any] = {"state": "received", "command": command.said, "is_error": False}
    body: dict[str, Any] = {"progress": 0.0, "data": data}
    if command.job_id:
        body["job_id"] = data["job_id"] = command.job_id
    return body


def progress(
    command: Command, value: float, job: JobView | None, telemetry: Telemetry, message: str = ""
) -> dict[str, Any]:
    """A report on the way. `value` comes from `advance`; `message` is for a person."""
    data: dict[str, Any] = {"command": command.said, **_situation(job, telemetry), "is_error": False}
    if message:
        data["message"] = message[:ERROR_TEXT]
    return {"progress": value, **_job(job, value), "data": data}


def completed(command: Command, job: JobView | None, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The terminal report of a task that did what it was asked. `extra` joins `data`."""
    data = {"state": "completed", "command": command.said, "is_error": False, **_place(job), **(extra or {})}
    return {"progress": 1.0, **_whose(command, job), "data": data}


def failed(command: Command, code: int, message: str, job: JobView | None = None) -> dict[str, Any]:
    """The terminal report of a task that was refused or failed."""
    message = message[:ERROR_TEXT]
    data = {
        "state": "failed",
        "command": command.said,
        "is_error": True,
        "error_code": code,
        "error": code,
        "error_message": message,
        **_place(job),
    }
    return {"progress": 1.0, "error_code": code, "error_message": message, **_whose(command, job), "data": data}


def status(job: JobView | None, telemetry: Telemetry, busy: str = "", trouble: str = "") -> dict[str, Any]:
    """The heartbeat. `busy` says what the agent itself is doing (a download, an upgrade); empty for nothing. `trouble`
    is the one thing that is wrong, for a person: `data.message`, whether or not it keeps the printer from working."""
    printer_status = printer_state(job, telemetry, busy)
    body: dict[str, Any] = {"printer_status": printer_status}
    if printer_status == "error":
        message = telemetry.reason[:ERROR_TEXT] or str(telemetry.state)
        body["error_code"] = 503 if telemetry.state in (PrinterState.OFFLINE, PrinterState.RECOVERING) else 500
        body["error_message"] = message
    if job is not None:
        body.update(_job(job, job.progress))
    body["data"] = {
        **_situation(job, telemetry),
        "state": printer_status,
        "is_error": printer_status == "error",
        **({"message": trouble[:ERROR_TEXT]} if trouble else {}),
        **link(telemetry.link),
        **({"ui_sub_state": "taking over the print"} if busy == TAKING_OVER else {}),
    }
    if "error_message" in body:
        body["data"].update(
            error_code=body["error_code"], error=body["error_code"], error_message=body["error_message"]
        )
    return body


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
    found = _STATUS[telemetry.state]
    if found == "error":
        return found
    if busy == "firmware_upgrade":
        return "maintenance"
    if found == "ready" and (busy or (job is not None and not job.state.ended)):
        return "busy"
    return found


def encode(body: dict[str, Any]) -> bytes:
    """The body as JSON, its `data` shrunk to the limit if need be."""
    data = body.get("data")
    if isinstance(data, dict):
        body = {**body, "data": shrink(data)}
    return msgspec.json.encode(body)


def shrink(data: dict[str, Any], limit: int = MAX_DATA) -> dict[str, Any]:
    """`data` within `limit` characters as JSON, still valid: what SHRINK_ORDER names goes first, strings by being cut,
    anything else by being left out; then the longest of what remains, `state` last of all, until it fits."""
    if length(data) <= limit:
        return data
    left = dict(data)
    for key in SHRINK_ORDER:
        if key in left:
            _cut(left, key, limit)
        if length(left) <= limit:
            return left
    while left and length(left) > limit:
        del left[max(left, key=lambda key: (key != "state", length({key: left[key]})))]
    return left


def length(value: object) -> int:
    """Characters as compact JSON, in UTF-16 units."""
    return len(msgspec.json.encode(value).decode().encode("utf-16-le")) // 2


def _cut(data: dict[str, Any], key: str, limit: int) -> None:
    """Shorten a string by as much as is needed, or drop the key when that leaves nothing readable."""
    value = data.pop(key)
    if not isinstance(value, str):
        return
    room = limit - length({**data, key: "…"})
    kept = value[: max(room, 0)]
    while kept and length({**data, key: kept + "…"}) > limit:  # escapes and astral characters count more than one
        kept = kept[: len(kept) * 3 // 4]
    if len(kept) >= 8:
        data[key] = kept + "…"


def _whose(command: Command, job: JobView | None) -> dict[str, Any]:
    """The job that a terminal report is about: the running one, else the one that the command named."""
    if job is None:
        return {"job_id": command.job_id} if command.job_id else {}
    return _job(job, None)


def _job(job: JobView | None, value: float | None) -> dict[str, Any]:
    if job is None:
        return {}
    fields: dict[str, Any] = {"job_id": job.job_id}
    if job.status is not None:
        fields["job_status"] = job.status
        fields["job_progress"] = job.progress if value is None else value
    return fields


def _place(job: JobView | None) -> dict[str, Any]:
    if job is None:
        return {}
    place: dict[str, Any] = {"job_id": job.job_id}
    if job.name:
        place["job_name"] = job.name
    if job.total_lines:
        place.update(layer=job.layer, total_layers=job.total_layers, line=job.line, total_lines=job.total_lines)
    if job.seconds_left is not None:
        place["seconds_left"] = job.seconds_left
    return place


def _situation(job: JobView | None, telemetry: Telemetry) -> dict[str, Any]:
    state = str(job.state) if job is not None else str(telemetry.state)
    return {
        "state": state,
        "change": "",
        "ui_sub_state": telemetry.waiting or telemetry.reason[:ERROR_TEXT],
        **_place(job),
        **temperatures(telemetry.heaters),
    }


def link(quality: Link) -> dict[str, Any]:
    """How well the serial link does, as `link`; nothing before the first line, and only what is known."""
    if not quality.lines:
        return {}
    known = {
        "resend_rate": round(quality.resend_rate, 4),
        "latency_p50_ms": quality.latency_p50_ms,
        "latency_p99_ms": quality.latency_p99_ms,
        "starved": quality.starved,
    }
    return {"link": {name: value for name, value in known.items() if value is not None}}


def temperatures(heaters: Iterable[Heater]) -> dict[str, Any]:
    """`temperature`, an integer in °C (the first tool's, else the first heater's), with all readings beside it."""
    known = [heater for heater in heaters if math.isfinite(heater.actual)]
    if not known:
        return {}
    first = next((heater for heater in known if heater.name.startswith("tool")), known[0])
    return {
        "temperature": round(first.actual),
        "temperatures": {
            heater.name: {
                "actual": round(heater.actual, 1),
                "target": round(heater.target, 1) if math.isfinite(heater.target) else 0.0,
            }
            for heater in known
        },
    }

"""Answers of the member's side, as the public reference has them (docs/protocol.md, «The member's side»). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from agent.sandbox.accounts import OwnedPrinter, PrinterAccount
from agent.sandbox.task_records import JobRecord, RecordedReport, SentTask

OFFLINE_AFTER_S = 60.0
"""Seconds of silence after which a printer counts as offline."""

# Not strftime's %B: that speaks the language of the process's locale.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def date(seconds: float) -> str:
    """Format a time as `March 27, 2015 12:22:54`, in UTC; `seconds` since the epoch."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{_MONTHS[when.month - 1]} {when.day}, {when.year} {when:%H:%M:%S}"


def printers_page(owned: Sequence[OwnedPrinter], member_id: str, limit: int, offset: int) -> dict[str, object]:
    """Make one page of a member's printers. `limit` -1 is all of them, whatever the offset."""
    if limit == -1:
        offset, page, following = 0, owned, False
    else:
        page, following = owned[offset : offset + limit], offset + limit < len(owned)
    return {
        "count": len(page),
        "limit": limit,
        "offset": offset,
        "_link_prev": _link(limit, max(offset - limit, 0)) if offset > 0 else "",
        "_link_next": _link(limit, offset + limit) if following else "",
        "_link": _link(limit, offset),
        "member_id": member_id,
        "printers": [_printer(each) for each in page],
    }


def _link(limit: int, offset: int) -> str:
    return f"/print/printers?limit={limit}&offset={offset}"


def _printer(owned: OwnedPrinter) -> dict[str, object]:
    printer = owned.printer
    return {
        "printer_id": printer.printer_id,
        "printer_name": owned.name,
        "printer_registered_date": date(owned.registered_at),
        "printer_last_health": "offline" if printer.last_seen is None else date(printer.last_seen),
        "firmware": printer.firmware,
        "type_id": printer.type_id,
        "is_primary": owned.is_primary,
        "is_printer_scoped": owned.printer_scoped,
        "is_job_scoped": owned.job_scoped,
    }


def printer_status(printer: PrinterAccount, now: float) -> dict[str, object]:
    """Make a printer's status. `last_check_in` is in milliseconds since the epoch, 0 when the printer never
    reported."""
    online = printer.last_seen is not None and now - printer.last_seen <= OFFLINE_AFTER_S
    return {
        "printer_id": printer.printer_id,
        "last_check_in": round((printer.last_seen or 0) * 1000),
        "printer_availability": "online" if online else "offline",
        "last_reported_state": printer.last_state,
    }


def task_status(task: SentTask, reports: Sequence[RecordedReport]) -> dict[str, object]:
    """Make a task's status: the last report with `command` and `status_update_time`; before the first, both are there
    with progress 0."""
    last = reports[-1] if reports else None
    return {
        **(last.body if last else {"progress": 0}),
        "task_id": task.task_id,
        "command": task.message["command"],
        "status_update_time": date(last.time) if last else "",
    }


def task_record(task: SentTask, reports: Sequence[RecordedReport]) -> dict[str, object]:
    """Make the record of a task: all its reports, in the order they came. Only the sandbox has this."""
    return {
        "task_id": task.task_id,
        "command": task.message["command"],
        "reports": [{"body": report.body, "time": report.time} for report in reports],
    }


def job_view(job: JobRecord) -> dict[str, object]:
    """Make the view of a job's last state."""
    return {
        "job_id": job.job_id,
        "printer_id": job.printer_id,
        "job_status": job.status,
        "job_date_time": date(job.created),
        "job_status_time": date(job.changed),
        "local_job": job.local,
    }

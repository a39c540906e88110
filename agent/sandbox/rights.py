"""Rights of a member at a printer: which printers may be seen, and which commands sent (docs/protocol.md, «The member's
side»). What a member may not do is answered 401, as the public reference has it."""

from __future__ import annotations

from agent.sandbox.accounts import Accounts, OwnedPrinter
from agent.sandbox.web import ApiError

JOB_SCOPED = frozenset({"pause", "resume", "cancel"})


def owned_printer(accounts: Accounts, member_id: str, printer_id: int) -> OwnedPrinter:
    """The printer as this member sees it. Raises ApiError 401 (it is not the member's), 404 (there is none)."""
    owned = accounts.owned(member_id, printer_id)
    if owned is None:
        known = accounts.has_printer(printer_id)
        raise ApiError(401 if known else 404, f"this member has registered no printer {printer_id}")
    return owned


def check_command(owned: OwnedPrinter, name: str, submitted_by: str, member_id: str) -> None:
    """Raise ApiError 401 unless the member may send the command `name`; `submitted_by` is the member whose job it is
    for, empty where that is not known."""
    if name in JOB_SCOPED:
        if not owned.job_scoped:
            raise ApiError(401, f"{name} needs is_job_scoped")
        if name == "cancel" and submitted_by not in ("", member_id) and not owned.printer_scoped:
            raise ApiError(401, f"{name} of another member's job needs is_printer_scoped")
    elif not owned.printer_scoped:
        raise ApiError(401, f"{name} needs is_printer_scoped")


def check_submit(owned: OwnedPrinter) -> None:
    """Raise ApiError 401 unless the member may start a job."""
    if not owned.job_scoped:
        raise ApiError(401, "a job needs is_job_scoped")


def check_primary(owned: OwnedPrinter) -> None:
    """Raise ApiError 401 unless the member is the printer's primary owner."""
    if not owned.is_primary:
        raise ApiError(401, "only the primary owner may do this")

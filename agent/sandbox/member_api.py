"""REST API for members (docs/protocol.md, «The member's side»): printers, registration, commands, jobs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import structlog
from bottle import Bottle, HTTPResponse, request

from agent.errors import CloudError
from agent.sandbox import views
from agent.sandbox.accounts import OwnedPrinter
from agent.sandbox.api_context import ApiContext, text_field
from agent.sandbox.rights import check_command, check_submit, owned_printer
from agent.sandbox.task_records import JobRecord, SentTask
from agent.sandbox.web import ApiError, answer, endpoint, json_object, root_url

DEFAULT_LIMIT = 10
"""Printers on a page when the request does not say."""

_NEEDED = {"firmware_upgrade": "package_url", "settings": "settings", "respond": "choice"}
"""What a command cannot be without."""
_COMMAND = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_ID = "<printer_id:re:[1-9][0-9]{0,17}>"  # what fits SQLite's integers

_log = structlog.get_logger(part="sandbox.member")


class MemberApi:
    """Endpoints that take `Authorization: Bearer`."""

    def __init__(self, context: ApiContext, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self._context = context
        self._new_id = new_id

    def install(self, app: Bottle) -> None:
        """Add the routes to `app`."""
        base = f"{self._context.base}/print"
        app.route(f"{base}/printers", "GET", endpoint(self.printers))
        app.route(f"{base}/printers/register", "POST", endpoint(self.register))
        app.route(f"{base}/printers/{_ID}/command", "POST", endpoint(self.command))
        app.route(f"{base}/printers/{_ID}/jobs", "POST", endpoint(self.submit_job))
        app.route(f"{base}/printers/status/{_ID}", "GET", endpoint(self.printer_status))
        app.route(f"{base}/printers/command/<task_id>", "GET", endpoint(self.task))
        app.route(f"{base}/printers/command/<task_id>/reports", "GET", endpoint(self.reports))
        app.route(f"{base}/jobs/<job_id>", "GET", endpoint(self.job))

    def printers(self) -> HTTPResponse:
        """List the member's printers, a page at a time."""
        member_id = self._context.asking_member()
        limit, offset = _number("limit", DEFAULT_LIMIT), _number("offset", 0)
        if limit == 0 or limit < -1:
            raise ApiError(422, "limit must be at least 1, or -1 for all")
        if offset < 0:
            raise ApiError(422, "offset must not be negative")
        return answer(200, views.printers_page(self._context.accounts.all_owned(member_id), member_id, limit, offset))

    def register(self) -> HTTPResponse:
        """Register the printer that shows the code; the printer is notified on its users channel."""
        member_id = self._context.asking_member()
        body = json_object()
        name, code = text_field(body, "printer_name"), text_field(body, "registration_code")
        registered = self._context.accounts.register(member_id, name, code, self._context.wall())
        if registered is None:
            raise ApiError(422, "no printer shows this registration_code")
        printer_id, is_primary = registered
        registration: dict[str, object] = {
            "registration": "success",
            "type": "primary" if is_primary else "secondary",
            "printer_id": printer_id,
            "member_id": member_id,
        }
        try:
            self._context.publisher.publish(f"/printers/{printer_id}/users", registration)
        except CloudError as error:  # the printer learns it at its next start, when it asks with its token
            _log.warning("registration not published", printer_id=printer_id, error=str(error))
        self._context.emit({"event": "registered", **registration})
        return answer(200, {"registered": True, "printer_id": printer_id})

    def command(self, printer_id: str) -> HTTPResponse:
        """Send a command. Any name is accepted: a printer answers for those that it does not know."""
        member_id = self._context.asking_member()
        owned = owned_printer(self._context.accounts, member_id, int(printer_id))
        body = json_object()
        name = text_field(body, "command")
        if not _COMMAND.fullmatch(name):
            raise ApiError(422, "command must be 1 to 64 letters, digits and underscores")
        if name == "print_data":
            raise ApiError(422, f"a print is started with POST {self._context.base}/print/printers/:printer_id/jobs")
        job_id = text_field(body, "job_id", required=False)
        submitter = self._context.tasks.job_submitter(owned.printer.printer_id, job_id)
        check_command(owned, name, submitter, member_id)
        if (needed := _NEEDED.get(name)) and body.get(needed) in (None, "", {}):
            raise ApiError(422, f"{name} needs {needed}")
        message: dict[str, object] = {"command": name, "task_id": self._new_id()}
        if job_id:
            message["job_id"] = job_id
        message |= _url(body, "package_url", required=False) | _settings(body)
        if name == "respond":
            message |= {key: body[key] for key in ("choice", "prompt_id") if key in body}
        if name in {"log", "logs"}:
            key = self._context.accounts.add_upload(owned.printer.printer_id)
            message |= _url(body, "upload_url", required=False) or {"upload_url": f"{root_url()}/uploads/{key}"}
        self._context.tasks.add_task(owned.printer.printer_id, message, self._context.wall())
        self._send(owned, message)
        return answer(200, {"task_id": message["task_id"]})

    def submit_job(self, printer_id: str) -> HTTPResponse:
        """Start a print of `printable_url`. A printer that is not connected finds the job later (GET jobs)."""
        member_id = self._context.asking_member()
        owned = owned_printer(self._context.accounts, member_id, int(printer_id))
        check_submit(owned)
        body = json_object()
        file_url = _url(body, "printable_url", required=True)["printable_url"]
        message: dict[str, object] = {
            "command": "print_data",
            "task_id": self._new_id(),
            "job_id": self._new_id(),
            "file_url": file_url,
        }
        if job_name := text_field(body, "job_name", required=False):
            message["job_name"] = job_name
        message |= _settings(body)
        self._context.tasks.add_task(owned.printer.printer_id, message, self._context.wall(), job_of=member_id)
        try:
            self._send(owned, message)
        except ApiError as error:
            # the printer finds it when it asks
            _log.warning("job not published", task_id=message["task_id"], job_id=message["job_id"], error=error.message)
        return answer(
            200,
            {
                "printer_id": owned.printer.printer_id,
                "job_id": message["job_id"],
                "status": "sent",
                "task_id": message["task_id"],
            },
        )

    def printer_status(self, printer_id: str) -> HTTPResponse:
        """Answer whether a printer is online, and its last reported state."""
        owned = owned_printer(self._context.accounts, self._context.asking_member(), int(printer_id))
        return answer(200, views.printer_status(owned.printer, self._context.wall()))

    def task(self, task_id: str) -> HTTPResponse:
        """Answer the last report on a command."""
        task = self._task(task_id)
        return answer(200, views.task_status(task, self._context.tasks.reports(task_id)))

    def reports(self, task_id: str) -> HTTPResponse:
        """Answer all reports on a command."""
        task = self._task(task_id)
        return answer(200, views.task_record(task, self._context.tasks.reports(task_id)))

    def job(self, job_id: str) -> HTTPResponse:
        """Answer a job's last state."""
        member_id = self._context.asking_member()
        jobs = self._context.tasks.jobs(job_id)
        mine = [job for job in jobs if self._sees(member_id, job)]
        if not mine:
            raise ApiError(401 if jobs else 404, "no such job on a printer of this member")
        return answer(200, views.job_view(mine[0]))

    def _sees(self, member_id: str, job: JobRecord) -> bool:
        return self._context.accounts.owned(member_id, job.printer_id) is not None

    def _task(self, task_id: str) -> SentTask:
        member_id = self._context.asking_member()
        task = self._context.tasks.task(task_id)
        if task is None or self._context.accounts.owned(member_id, task.printer_id) is None:
            raise ApiError(404 if task is None else 401, "no such task on a printer of this member")
        return task

    def _send(self, owned: OwnedPrinter, message: dict[str, object]) -> None:
        """Publish a command that is recorded. Raises ApiError 503."""
        printer_id = owned.printer.printer_id
        ids: dict[str, object] = {name: message[name] for name in ("command", "task_id", "job_id") if name in message}
        self._context.emit({"event": "command", "printer_id": printer_id, **ids})
        try:
            self._context.publisher.publish(f"/printers/{printer_id}/command", message)
        except CloudError as error:
            raise ApiError(503, f"the command could not be published: {error}") from error


def _number(name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise ApiError(400, f"{name} must be a whole number")
    return int(text)


def _settings(body: Mapping[str, object]) -> dict[str, object]:
    value = body.get("settings")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(422, "settings must be an object")
    return {"settings": value}


def _url(body: Mapping[str, object], name: str, *, required: bool) -> dict[str, object]:
    """`{name: url}`, empty when it is absent and not required. Raises ApiError 422."""
    text = text_field(body, name, longest=2000, required=required)
    if not text:
        return {}
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ApiError(422, f"{name} must be an http or https URL")
    return {name: text}

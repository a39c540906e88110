"""REST API for printers (docs/protocol.md): registration, reports on commands, heartbeats, waiting jobs."""

from __future__ import annotations

from collections.abc import Callable

from bottle import Bottle, HTTPResponse, request

from agent.sandbox.accounts import PrinterAccount
from agent.sandbox.api_context import ApiContext, text_field
from agent.sandbox.original_bodies import plain_report
from agent.sandbox.task_records import SentTask
from agent.sandbox.validate import is_uuid, report_problem, status_problem
from agent.sandbox.web import ApiError, answer, endpoint, header, json_or_form_object, root_url


class PrinterApi:
    """Endpoints that take `X-Printer-Auth-Token`."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def install(self, app: Bottle) -> None:
        """Add the routes to `app`."""
        base = f"{self._context.base}/print/printers"
        app.route(f"{base}/registration_code", "POST", endpoint(self.registration_code))
        app.route(f"{base}/command/<task_id>", "POST", endpoint(self.report))
        app.route(f"{base}/status", "POST", endpoint(self.status))
        app.route(f"{base}/jobs", "GET", endpoint(self.jobs))

    def registration_code(self) -> HTTPResponse:
        """Give a registration code to a new printer, or to one that sends its token and asks again."""
        accounts = self._context.accounts
        known = self._context.asking_printer() if header("X-Printer-Auth-Token") else None
        body = json_or_form_object()
        firmware = text_field(body, "firmware")
        if known is not None:
            printer, token = accounts.known_printer(known.printer_id, firmware), header("X-Printer-Auth-Token")
        else:
            type_id, serial_number = text_field(body, "type_id"), text_field(body, "serial_number", required=False)
            if not is_uuid(type_id):
                raise ApiError(422, "type_id must be a UUID")
            printer, token = accounts.add_printer(firmware, type_id, serial_number)
            self._context.emit(
                {"event": "registration_code", "printer_id": printer.printer_id, "registration_code": printer.code}
            )
        return answer(
            200,
            {
                "printer_id": printer.printer_id,
                "registration_code": printer.code,
                "auth_token": token,
                "registered": accounts.is_registered(printer.printer_id),
                "registration_url": f"{root_url()}/",
            },
        )

    def report(self, task_id: str) -> HTTPResponse:
        """Record a report on a command. Each is emitted as an event, except one that came before (Idempotency-Key)."""
        body: dict[str, object] = {}
        with self._context.order:
            event = {"event": "report", "path": request.path, "task_id": task_id, "body": body}
            try:
                printer = self._context.asking_printer()
                task = self._task(printer, task_id)
                body.update(_checked(json_or_form_object(), report_problem))
                fresh = self._take_report(printer, task, body)
            except ApiError as error:
                self._context.emit(event | {"status": error.status, "error": error.message})
                raise
            if fresh:
                self._context.emit(event | {"status": 204})
        return answer(204)

    def status(self) -> HTTPResponse:
        """Record a heartbeat."""
        printer = self._context.asking_printer()
        body = _checked(json_or_form_object(), status_problem)
        self._record_contact(printer, body, "")
        self._context.emit(
            {
                "event": "status",
                "path": request.path,
                "printer_id": printer.printer_id,
                "body": body,
                "status": 204,
            }
        )
        return answer(204)

    def jobs(self) -> HTTPResponse:
        """List the jobs that were sent while the printer was not connected: whole command messages."""
        printer = self._context.asking_printer()
        waiting = self._context.tasks.waiting_jobs(printer.printer_id)
        return answer(200, {"jobs": [message | {"status": "sent"} for message in waiting]})

    def _task(self, printer: PrinterAccount, task_id: str) -> SentTask:
        task = self._context.tasks.task(task_id)
        if task is None or task.printer_id != printer.printer_id:
            raise ApiError(404, "this printer has no such task")
        return task

    def _take_report(self, printer: PrinterAccount, task: SentTask, body: dict[str, object]) -> bool:
        key = header("Idempotency-Key")
        if len(key) > 255:
            raise ApiError(400, "Idempotency-Key has more than 255 characters")
        if not self._context.tasks.add_report(task.task_id, body, self._context.wall(), key):
            return False
        self._record_contact(printer, body, str(task.message.get("job_id", "")))
        return True

    def _record_contact(self, printer: PrinterAccount, body: dict[str, object], job_id: str) -> None:
        """Record the states of printer and job that a report or heartbeat has; `job_id` is the task's own."""
        now = self._context.wall()
        self._context.accounts.record_contact(printer.printer_id, str(body.get("printer_status", "")), now)
        job_id, job_status = str(body.get("job_id", job_id)), body.get("job_status")
        if job_id and isinstance(job_status, str):
            self._context.tasks.update_job(printer.printer_id, job_id, job_status, now)


def _checked(body: dict[str, object], problem_of: Callable[[dict[str, object]], str]) -> dict[str, object]:
    body = plain_report(body)
    problem = problem_of(body)
    if problem:
        raise ApiError(422, problem)
    return body

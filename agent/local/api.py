"""Operations of the local socket: what the running agent answers to each request of a person at the printer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, assert_never

import msgspec
import structlog

from agent.core.command import Command, Name
from agent.core.driver import PrinterState
from agent.core.printer_status import BUSY_TEXT, INSTALLING
from agent.errors import DataError, NotReadyError, RefusedError, UnavailableError
from agent.files.job_file import JobFile, receive
from agent.local.local_requests import (
    CommandRequest,
    HaltRequest,
    LocalCommand,
    OutboxRequest,
    PrintRequest,
    ReadyRequest,
    RegisterRequest,
    Request,
    RespondRequest,
    StatusRequest,
    TaskRequest,
)
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Store

log = structlog.get_logger(part="local")

NAME_LIMIT = 200  # characters of a file's name that are kept


class LocalApi:
    """Answers local requests; one method for each operation. Any thread.

    `listening` tells whether a command that the cloud publishes now arrives. `wake_reporter` is called when a refused
    report was queued again, `wake_runner` when a print may wait for the bed no more. `emergency_stop` is the driver's,
    None for a driver without one: it acts at once, beside the ledger and the runner. `jobs` is the folder of the files
    to print.
    """

    def __init__(
        self,
        *,
        config: Config,
        jobs: Path,
        store: Store,
        inbox: Inbox,
        snapshot: AgentSnapshot,
        registrar: Registrar,
        conditions: ConditionTracker,
        listening: Callable[[], bool],
        wake_reporter: Callable[[], None],
        wake_runner: Callable[[], None],
        emergency_stop: Callable[[], None] | None,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._store = store
        self._inbox = inbox
        self._snapshot = snapshot
        self._registrar = registrar
        self._conditions = conditions
        self._listening = listening
        self._wake_reporter = wake_reporter
        self._wake_runner = wake_runner
        self._emergency_stop = emergency_stop
        self._receiving = threading.Lock()  # held while a file is received

    def answer(self, request: Request, stream: BinaryIO) -> dict[str, Any]:
        """Do one request; `stream` has the bytes that follow it. Raises AgentError."""
        match request:
            case StatusRequest():
                return {"status": self.status()}
            case CommandRequest(command=command):
                return self._accept_command(command)
            case RespondRequest():
                return self._respond(request)
            case PrintRequest():
                return self._print(request, stream)
            case HaltRequest():
                return self._halt()
            case ReadyRequest():
                return self._ready()
            case TaskRequest(task_id=task_id):
                return self._task(task_id)
            case RegisterRequest():
                return {"registration": self._registration()}
            case OutboxRequest():
                return self._outbox(request)
            case _:
                assert_never(request)

    def status(self) -> dict[str, Any]:
        """State of the printer, the job, the registration and the queue of reports. Raises UnavailableError."""
        situation = self._snapshot.read()
        telemetry = situation.telemetry
        self._conditions.update_printer(telemetry)
        self._conditions.update_bed(situation.busy)
        conditions = self._conditions.read()
        return {
            **msgspec.to_builtins(situation.body(conditions.first())),
            "conditions": {str(part): reason for part, reason in conditions.shown().items()},
            "printer": self._config.printer.name,
            "port": telemetry.port,
            "firmware": telemetry.firmware,
            "machine": telemetry.machine,
            "display": telemetry.display,
            "link": msgspec.to_builtins(telemetry.link),
            "registration": self._registration(),
            "listening": self._listening(),
            "waiting_reports": self._store.outbox.pending_count(),
            "state_set_aside": str(self._store.database.damaged or ""),
        }

    def _registration(self) -> dict[str, Any]:
        identity = self._registrar.identity()
        if identity is None:
            return {"registered": False, "reason": self._registrar.problem()}
        answer: dict[str, Any] = {"printer_id": identity.printer_id, "registered": identity.registered}
        if not identity.registered:
            answer.update(code=identity.registration_code, url=identity.registration_url, replaces=identity.replaces)
        return answer

    def _outbox(self, request: OutboxRequest) -> dict[str, Any]:
        for which, change in ((request.retry, self._store.outbox.retry), (request.drop, self._store.outbox.drop)):
            if which is msgspec.UNSET:
                continue
            changed = change(None if which == "all" else which)
            if not changed and which != "all":
                raise DataError(f"no refused report has the id {which}")
            self._wake_reporter()
            return {"done": changed}
        return {"outbox": self._store.outbox.overview()}

    def _accept_command(self, command: LocalCommand) -> dict[str, Any]:
        task_id = f"local-{uuid.uuid4()}"
        self._inbox.accept_local(Command(task_id=task_id, name=Name(command), raw_name=command))
        return {"task_id": task_id}

    def _respond(self, request: RespondRequest) -> dict[str, Any]:
        name, task_id = Name.RESPOND, f"local-{uuid.uuid4()}"
        self._inbox.accept_local(
            Command(task_id=task_id, name=name, raw_name=name, choice=request.choice, prompt_id=request.prompt_id)
        )
        return {"task_id": task_id}

    def _halt(self) -> dict[str, Any]:
        """Emergency stop. The job in progress ends failed; until `reset` the printer does nothing. Refused while a
        firmware is written: nothing runs then, the heaters are off, and half a firmware is none."""
        if self._snapshot.read().busy == INSTALLING:
            raise UnavailableError(f"halt: {BUSY_TEXT[INSTALLING]}, which nothing may interrupt")
        if self._emergency_stop is None:
            raise UnavailableError("halt: this printer's driver has no emergency stop; cancel, or switch it off")
        try:
            self._emergency_stop()
        except NotReadyError as error:
            raise UnavailableError(f"halt: {error}; switch the printer off") from None
        log.warning("emergency stop requested locally")
        return {}

    def _ready(self) -> dict[str, Any]:
        """The bed is clear, which counts only while no print is on it. Raises RefusedError, UnavailableError."""
        try:
            bed = self._store.bed.confirm()
        except RefusedError as refusal:
            raise RefusedError(refusal.code, f"ready: {refusal}") from None
        log.info("bed confirmed clear", last_job_id=bed.job_id)
        self._wake_runner()
        return {"bed": bed.reported_state, "job_id": bed.job_id}

    def _print(self, request: PrintRequest, stream: BinaryIO) -> dict[str, Any]:
        if not self._receiving.acquire(blocking=False):
            raise UnavailableError("print: another file is being received")
        try:
            self._require_free_printer()
            return self._receive(request, stream)
        finally:
            self._receiving.release()

    def _require_free_printer(self) -> None:
        """Raise UnavailableError when a print would be refused now, before its bytes are taken. One that is offline may
        come while they do; what begins meanwhile, the runner sees."""
        situation = self._snapshot.read()
        telemetry = situation.telemetry
        if situation.busy:
            raise UnavailableError(f"print: the printer is busy with {situation.busy}")
        if telemetry.state is not PrinterState.IDLE and not telemetry.state.absent:
            raise UnavailableError(f"print: the printer is {telemetry.state}: {telemetry.reason}".rstrip(": "))
        if job_id := self._snapshot.running_job():
            raise UnavailableError(f"print: job {job_id} is not over yet")

    def _receive(self, request: PrintRequest, stream: BinaryIO) -> dict[str, Any]:
        identifier = uuid.uuid4()
        task_id = f"local-{identifier}"
        file = JobFile(self._jobs, task_id)
        try:
            receive(stream, request.size, file, self._config)
            command = Command(
                task_id=task_id,
                name=Name.PRINT_DATA,
                raw_name=str(Name.PRINT_DATA),
                job_id=f"local_{identifier}",
                job_name=request.name[:NAME_LIMIT] if request.name.isprintable() else "",
                spooled=file.path.name,
            )
            self._inbox.accept_local(command)
        except BaseException:
            file.remove()
            raise
        return {"task_id": task_id, "job_id": command.job_id}

    def _task(self, task_id: str) -> dict[str, Any]:
        task = self._store.tasks.get(task_id)
        if task is None:
            raise DataError("no such task")
        code = self._store.tasks.error_code(task_id)
        return {"state": str(task.state), "message": task.message, "error_code": code}

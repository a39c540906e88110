"""Inbox of commands: each is checked and committed to the ledger with its receipt, then the runner is woken.

Every source (Faye, the catch-up over HTTP, the local socket) calls it, on its own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeGuard

import msgspec
import structlog

from agent.core import report, report_bodies
from agent.core.clock import Clock
from agent.core.command import STOPS, Command, Rejection, parse
from agent.core.command_age import AgeLimits
from agent.errors import UnavailableError
from agent.server.admission import Admission
from agent.state.outbox import Outbox
from agent.state.task_table import TaskTable

log = structlog.get_logger(part="inbox")

PENDING_LIMIT = 100  # messages kept in memory while the disk does not take them
REPORTS_LIMIT = 2000  # reports that wait; with more of them the server takes none, and gives no more work


class Inbox:
    """Writes commands into the ledger. Any thread.

    `wake` is called after each commit; `printer_status` is told in its reports. A command that the server sent longer
    ago than `limits` say, by its own clock `server_now` (None while that is not known), is refused: nobody stands at
    the printer any more.

    What `admission` does not admit, and any command while REPORTS_LIMIT reports wait, is dropped unwritten, so that
    whoever may publish cannot fill the disk. STOPS are accepted but for repetitions in a flood; with so many reports
    waiting they are done without a report.
    """

    def __init__(
        self,
        *,
        tasks: TaskTable,
        outbox: Outbox,
        admission: Admission,
        clock: Clock,
        wake: Callable[[], None],
        limits: AgeLimits,
        server_now: Callable[[], float | None],
        printer_status: Callable[[], str],
    ) -> None:
        self._tasks = tasks
        self._outbox = outbox
        self._admission = admission
        self._clock = clock
        self._wake = wake
        self._limits = limits
        self._server_now = server_now
        self._printer_status = printer_status
        self._pending: deque[tuple[Command | Rejection, float]] = deque()  # with the monotonic time of the receipt
        self._lock = threading.Lock()  # guards the order of the pending messages

    def enqueue(self, message: object) -> None:
        """Accept a message that nobody will send again: now, or in its turn as soon as the disk takes it."""
        command = parse(message)
        if not self._admits(command):
            return
        with self._lock:
            self._pending.append((command, self._clock.monotonic()))
            if len(self._pending) > PENDING_LIMIT:  # the newest that stops nothing goes
                surplus = [i for i, (one, _) in enumerate(self._pending) if not _is_stop(one)]
                del self._pending[surplus[-1] if surplus else 0]
                log.error("message dropped while the disk takes no write", task_id=command.task_id)
        self.retry_pending()

    def retry_pending(self) -> None:
        """Accept the messages that the disk did not take before, and what came late in a flood."""
        late = self._admission.take_late()
        with self._lock:
            if late is not None:
                self._pending.append((late, self._clock.monotonic()))
            while self._pending:
                try:
                    command, received_at = self._pending[0]
                    self._accept(command, waited=self._clock.monotonic() - received_at)
                except UnavailableError as error:
                    log.error("message not yet written", error=str(error), waiting=len(self._pending))
                    return
                self._pending.popleft()

    def accept(self, message: object, *, missed: bool = False) -> bool:
        """Accept one message from the cloud; whether it was new. `missed`: the channel may have lost it at any time
        before. Raises UnavailableError when it cannot be written."""
        command = parse(message)
        return self._admits(command) and self._accept(command, missed=missed)

    def _admits(self, command: Command | Rejection) -> bool:
        """Whether it is accepted at all: asked once, however often the disk does not take it."""
        admitted = self._admission.admits_stop(command) if _is_stop(command) else self._admission.admits()
        if not admitted:
            _log_dropped(command, "too many commands at once")
        return admitted

    def _accept(self, command: Command | Rejection, *, waited: float = 0.0, missed: bool = False) -> bool:
        flooded = self._outbox.pending_count() >= REPORTS_LIMIT
        if flooded and not _is_stop(command):
            _log_dropped(command, "too many reports wait")
            return False
        if isinstance(command, Rejection):
            return self._reject(command)
        if flooded:
            return self.accept_local(command)
        receipt = self._receipt(command)
        sent = self._age(command)
        command = msgspec.structs.replace(command, age_on_receipt=max(sent or 0.0, waited))
        expired = self._limits.objection(command, command.age_on_receipt)
        if missed and not expired:
            expired = self._limits.missed(command, sent)
        if expired:
            return self._refuse(command, Rejection(expired, code=410), receipt)
        if command.name is None:
            # docs/protocol.md: anything that is not in the table gets one report, and it is this one.
            return self._refuse(command, Rejection("unknown command", code=404), receipt=None)
        new = self._tasks.accept(command, receipt)
        log.info("task accepted", command=command.raw_name, task_id=command.task_id, job_id=command.job_id, new=new)
        self._wake()
        return new

    def accept_local(self, command: Command) -> bool:
        """Accept a command from a person at the printer; the cloud has no task to report on. Raises as `accept`."""
        new = self._tasks.accept(command, None, local=True)
        log.info("local task accepted", command=command.raw_name, task_id=command.task_id, job_id=command.job_id)
        self._wake()
        return new

    def _reject(self, rejection: Rejection) -> bool:
        if not rejection.task_id:
            log.warning("message rejected", task_id="", error=rejection.reason)
            return False
        command = Command(task_id=rejection.task_id, name=None, raw_name=rejection.raw_name, job_id=rejection.job_id)
        return self._refuse(command, rejection, self._receipt(command))

    def _receipt(self, command: Command) -> bytes:
        return report_bodies.encode(report.receipt(command, self._printer_status()))

    def _age(self, command: Command) -> float | None:
        """Seconds since the server sent it, by the server's own time; None when that is not known."""
        now = self._server_now()
        return None if command.sent_at is None or now is None else max(now - command.sent_at, 0.0)

    def _refuse(self, command: Command, rejection: Rejection, receipt: bytes | None) -> bool:
        status = self._printer_status()
        body = report.failed(command, rejection.code, rejection.reason, printer_status=status)
        terminal = report_bodies.encode(body)
        new = self._tasks.refuse(command, receipt, terminal, rejection.reason)
        log.warning(
            "task refused",
            command=command.raw_name,
            task_id=command.task_id,
            job_id=command.job_id,
            code=rejection.code,
            error=rejection.reason,
            new=new,
        )
        self._wake()
        return new


def _log_dropped(command: Command | Rejection, error: str) -> None:
    log.info("command dropped", task_id=command.task_id, error=error)


def _is_stop(command: Command | Rejection) -> TypeGuard[Command]:
    """Whether it is one of STOPS."""
    return isinstance(command, Command) and command.name in STOPS

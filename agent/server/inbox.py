"""Inbox of commands: each is checked and committed to the ledger with its receipt, then the runner is woken.

Every source (Faye, the catch-up over HTTP, the local socket) calls it, on its own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

from agent.core import report, report_bodies
from agent.core.clock import Clock
from agent.core.command import STOPS, Command, Rejection, parse
from agent.errors import UnavailableError
from agent.state.outbox import Outbox
from agent.state.task_table import TaskTable

log = structlog.get_logger(part="inbox")

PENDING_LIMIT = 100  # messages kept in memory while the disk does not take them
BURST = 60  # commands from the cloud that are accepted at once; STOPS are not counted
RATE = 2.0  # commands a second that are accepted after that
REPORTS_LIMIT = 2000  # reports that wait; with more of them the server takes none, and gives no more work


class Inbox:
    """Writes commands into the ledger. Any thread.

    `wake` is called after each commit. A command that the server sent more than `max_age` seconds ago, by its own clock
    `server_now` (None while that is not known), is refused: nobody stands at the printer any more.

    More than BURST commands at once and RATE a second, or any while REPORTS_LIMIT reports wait, are dropped unwritten,
    so that whoever may publish cannot fill the disk. STOPS are always accepted; with so many reports waiting they are
    done without a report.
    """

    def __init__(
        self,
        *,
        tasks: TaskTable,
        outbox: Outbox,
        clock: Clock,
        wake: Callable[[], None],
        max_age: float,
        server_now: Callable[[], float | None],
    ) -> None:
        self._tasks = tasks
        self._outbox = outbox
        self._clock = clock
        self._wake = wake
        self._max_age = max_age
        self._server_now = server_now
        self._pending: deque[Command | Rejection] = deque()
        self._lock = threading.Lock()  # guards the order of the pending messages
        self._tokens = float(BURST)
        self._filled_at = clock.monotonic()
        self._rate_lock = threading.Lock()  # guards the two above

    def enqueue(self, message: object) -> None:
        """Accept a message that nobody will send again: now, or in its turn as soon as the disk takes it."""
        command = parse(message)
        with self._lock:
            self._pending.append(command)
            if len(self._pending) > PENDING_LIMIT:  # the newest that stops nothing goes
                surplus = [i for i, one in enumerate(self._pending) if not _is_stop(one)]
                del self._pending[surplus[-1] if surplus else 0]
                log.error("message dropped while the disk takes no write", task_id=command.task_id)
        self.retry_pending()

    def retry_pending(self) -> None:
        """Accept the messages that the disk did not take before."""
        with self._lock:
            while self._pending:
                try:
                    self._accept(self._pending[0])
                except UnavailableError as error:
                    log.error("message not yet written", error=str(error), waiting=len(self._pending))
                    return
                self._pending.popleft()

    def accept(self, message: object) -> bool:
        """Accept one message from the cloud; whether it was new. Raises UnavailableError when it cannot be written."""
        return self._accept(parse(message))

    def _accept(self, command: Command | Rejection) -> bool:
        urgent = _is_stop(command)
        flooded = self._outbox.pending_count() >= REPORTS_LIMIT
        if not urgent and (flooded or not self._take_token()):
            error = "too many reports wait" if flooded else "too many commands at once"
            log.info("command dropped", task_id=command.task_id, error=error)
            return False
        if isinstance(command, Rejection):
            return self._reject(command)
        if flooded:
            return self.accept_local(command)
        receipt = report_bodies.encode(report.receipt(command))
        expired = self._expired(command)
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

    def _take_token(self) -> bool:
        """Whether one more command fits into the rate."""
        with self._rate_lock:
            now = self._clock.monotonic()
            self._tokens = min(self._tokens + (now - self._filled_at) * RATE, float(BURST))
            self._filled_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def _reject(self, rejection: Rejection) -> bool:
        if not rejection.task_id:
            log.warning("message rejected", task_id="", error=rejection.reason)
            return False
        command = Command(task_id=rejection.task_id, name=None, raw_name=rejection.raw_name)
        return self._refuse(command, rejection, report_bodies.encode(report.receipt(command)))

    def _expired(self, command: Command) -> str:
        """Why it comes too late; empty when it does not, or its age is not known."""
        now = self._server_now()
        if command.sent_at is None or now is None or now - command.sent_at <= self._max_age:
            return ""
        return too_old(command, now - command.sent_at)

    def _refuse(self, command: Command, rejection: Rejection, receipt: bytes | None) -> bool:
        terminal = report_bodies.encode(report.failed(command, rejection.code, rejection.reason))
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


def _is_stop(command: Command | Rejection) -> bool:
    return isinstance(command, Command) and command.name in STOPS


def too_old(command: Command, age: float) -> str:
    """Text of the refusal of a command that is `age` seconds old."""
    return f"{command.raw_name}: too old to be done, it was sent {age / 3600:.1f} hours ago ([job] max_age_s)"

"""Commands from any side -> the ledger: checked, written down with their receipt, and then somebody is woken.

Whatever delivers (Faye, the catch-up over HTTP, the local socket) comes through here, on its own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import structlog

from agent.core import report
from agent.core.command import Command, Rejection, parse
from agent.errors import UnavailableError
from agent.state.store import Store

log = structlog.get_logger(part="inbox")


UNWRITTEN = 100  # messages that are kept while the disk does not take them
FOR_EVER = float("inf")


def _no_time() -> float | None:
    return None


class Inbox:
    """The way into the ledger. `wake` is called after each commit. A command that the server sent more than `max_age`
    seconds ago, by its own clock `server_now`, is refused: nobody stands at the printer any more."""

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        max_age: float = FOR_EVER,
        server_now: Callable[[], float | None] = _no_time,
    ) -> None:
        self._store = store
        self._wake = wake
        self._max_age = max_age
        self._server_now = server_now
        self._unwritten: deque[object] = deque(maxlen=UNWRITTEN)
        self._lock = threading.Lock()  # guards the order of the unwritten

    def offer(self, message: object) -> None:
        """One message that nobody will send again: taken now, or in its turn as soon as the disk takes it."""
        with self._lock:
            self._unwritten.append(message)
        self.flush()

    def flush(self) -> None:
        """Take what the disk did not take before."""
        with self._lock:
            while self._unwritten:
                try:
                    self.take(self._unwritten[0])
                except UnavailableError as error:
                    log.error("a command is not written down yet", reason=str(error), waiting=len(self._unwritten))
                    return
                self._unwritten.popleft()

    def take(self, message: object) -> bool:
        """One message from the cloud. True when it was new. Raises UnavailableError when it cannot be written down."""
        found = parse(message)
        if isinstance(found, Rejection):
            return self._reject(found)
        old = self._too_old(found)
        if old:
            return self._refuse(found, Rejection(old, code=410))
        if found.name is None:
            # docs/protocol.md: anything that is not in the table gets one report, and it is this one.
            terminal = report.encode(report.failed(found, 404, "unknown command"))
            new = self._store.tasks.refuse(found, None, terminal, "unknown command")
        else:
            new = self._store.tasks.accept(found, report.encode(report.receipt(found)))
        log.info("command", command=found.said, task_id=found.task_id, new=new)
        self._wake()
        return new

    def take_local(self, command: Command) -> bool:
        """One command from a person at the printer; the cloud has no task to report on."""
        new = self._store.tasks.accept(command, None, local=True)
        log.info("local command", command=command.said, task_id=command.task_id)
        self._wake()
        return new

    def _reject(self, found: Rejection) -> bool:
        log.warning("message refused", reason=found.reason, task_id=found.task_id)
        if not found.task_id:
            return False
        return self._refuse(Command(task_id=found.task_id, name=None, said=found.said), found)

    def _too_old(self, command: Command) -> str:
        """Why it comes too late; empty when it does not, or nobody knows."""
        now = self._server_now()
        if command.sent_at is None or now is None or now - command.sent_at <= self._max_age:
            return ""
        return too_old(command, now - command.sent_at)

    def _refuse(self, command: Command, found: Rejection) -> bool:
        receipt = report.encode(report.receipt(command))
        terminal = report.encode(report.failed(command, found.code, found.reason))
        new = self._store.tasks.refuse(command, receipt, terminal, found.reason)
        self._wake()
        return new


def too_old(command: Command, age: float) -> str:
    """What is said of a command that waited too long; `age` in seconds."""
    return f"{command.said}: too old to be done, it was sent {age / 3600:.1f} hours ago ([job] max_age_s)"

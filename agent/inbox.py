"""Commands from any side -> the ledger: checked, written down with their receipt, and then somebody is woken.

Whatever delivers (Faye, the catch-up over HTTP, the local socket) comes through here, on its own thread.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.core import report
from agent.core.command import Command, Rejection, parse
from agent.store import Store

log = structlog.get_logger(part="inbox")


class Inbox:
    """The way into the ledger. `wake` is called after each commit."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    def take(self, message: object) -> bool:
        """One message from the cloud. True when it was new. Raises UnavailableError when it cannot be written down."""
        found = parse(message)
        if isinstance(found, Rejection):
            return self._reject(found)
        if found.name is None:
            # PROTOCOL.md: anything that is not in the table gets one report, and it is this one.
            terminal = report.encode(report.failed(found, 404, "unknown command"))
            new = self._store.refuse(found, None, terminal, "unknown command")
        else:
            new = self._store.accept(found, report.encode(report.receipt(found)))
        log.info("command", command=found.said, task_id=found.task_id, new=new)
        self._wake()
        return new

    def take_local(self, command: Command) -> bool:
        """One command from a person at the printer; the cloud has no task to report on."""
        new = self._store.accept(command, None, local=True)
        log.info("local command", command=command.said, task_id=command.task_id)
        self._wake()
        return new

    def _reject(self, found: Rejection) -> bool:
        log.warning("message refused", reason=found.reason, task_id=found.task_id)
        if not found.task_id:
            return False
        command = Command(task_id=found.task_id, name=None, said=found.said)
        receipt = report.encode(report.receipt(command))
        terminal = report.encode(report.failed(command, found.code, found.reason))
        new = self._store.refuse(command, receipt, terminal, found.reason)
        self._wake()
        return new

"""Context that the endpoints of both sides share: records, publisher, events, and authentication of a request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.sandbox.accounts import Accounts, PrinterAccount
from agent.sandbox.task_records import TaskRecords
from agent.sandbox.web import ApiError, header

Event = dict[str, object]


class Publisher(Protocol):
    """Publisher of commands: the own broker, or an external Faye server."""

    def publish(self, channel: str, data: dict[str, object]) -> None:
        """Publish `data`. Raises agent.errors.CloudError when the server did not take it."""


@dataclass(frozen=True)
class ApiContext:
    """Shared context of all endpoints. `wall` gives seconds since the epoch. `base` is the path before `/print`, such
    as `/v1`."""

    accounts: Accounts
    tasks: TaskRecords
    publisher: Publisher
    emit: Callable[[Event], None]
    wall: Callable[[], float]
    base: str
    order: threading.Lock = field(default_factory=threading.Lock)
    """Held while a report is recorded and its event emitted, so that both orders are the same."""

    def asking_printer(self) -> PrinterAccount:
        """Return the printer whose token the request has. Raises ApiError 401."""
        printer = self.accounts.printer_of(header("X-Printer-Auth-Token"))
        if printer is None:
            raise ApiError(401, "X-Printer-Auth-Token is missing, or no printer has this token")
        return printer

    def asking_member(self) -> str:
        """Return the id of the member whose bearer token the request has. Raises ApiError 401."""
        scheme, _, token = header("Authorization").partition(" ")
        member_id = self.accounts.member_of(token.strip()) if scheme.lower() == "bearer" else ""
        if not member_id:
            raise ApiError(401, "Authorization must be `Bearer <token>` with a member's token")
        return member_id


def text_field(body: Mapping[str, object], name: str, *, longest: int = 200, required: bool = True) -> str:
    """Read a string of a request's body; empty when it is absent and not required. Raises ApiError 422."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise ApiError(422, f"{name} must be a string")
    if required and not value.strip():
        raise ApiError(422, f"{name} is required")
    if len(value) > longest:
        raise ApiError(422, f"{name} has {len(value)} characters, at most {longest} are taken")
    return value

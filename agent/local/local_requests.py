"""Requests of the local socket, as one tagged union: what each operation takes, checked field by field.

On the wire a request is one line of JSON whose `op` names the struct. Unknown fields and wrong types are errors.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from agent.core.command import MAX_CHOICE, MAX_CHOICES
from agent.core.printable import printable
from agent.errors import DataError

LocalCommand = Literal["pause", "resume", "cancel", "home", "park", "calibrate", "reset", "dismiss", "cool"]
"""The commands of docs/protocol.md's table that a person at the printer may give."""

RefusedReport = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)] | Literal["all"]
"""The id of a report that the server refused, or all of them."""


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """One line of JSON to the running agent."""


class StatusRequest(_Request, frozen=True, tag="status"):
    """State of the printer, the job, the registration and the queue of reports."""


class CommandRequest(_Request, frozen=True, tag="command"):
    """Do one command, as if the cloud had sent it, without a report to the cloud."""

    command: LocalCommand


class RespondRequest(_Request, frozen=True, kw_only=True, tag="respond"):
    """Answer what the printer asks: the number of a choice, or its text; `prompt_id` is the question's id."""

    choice: (
        Annotated[int, msgspec.Meta(ge=0, lt=MAX_CHOICES)]
        | Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHOICE)]
    )
    prompt_id: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)] | UnsetType = UNSET


class PrintRequest(_Request, frozen=True, kw_only=True, tag="print"):
    """Print the `size` bytes that follow the line. `name` is the file's, for display."""

    name: str = ""
    size: Annotated[int, msgspec.Meta(ge=0)]


class HaltRequest(_Request, frozen=True, tag="halt"):
    """Emergency stop, beside the ledger and the runner."""


class ReadyRequest(_Request, frozen=True, tag="ready"):
    """The bed is clear: the last print's part is off it."""


class TaskRequest(_Request, frozen=True, tag="task"):
    """State of a task that a request before this one created."""

    task_id: str


class RegisterRequest(_Request, frozen=True, tag="register"):
    """Identity at the cloud, or the code to add the printer with."""


class OutboxRequest(_Request, frozen=True, tag="outbox"):
    """List the reports that wait or were refused; `retry` queues refused ones again, `drop` deletes them."""

    retry: RefusedReport | UnsetType = UNSET
    drop: RefusedReport | UnsetType = UNSET


Request = (
    StatusRequest
    | CommandRequest
    | RespondRequest
    | PrintRequest
    | HaltRequest
    | ReadyRequest
    | TaskRequest
    | RegisterRequest
    | OutboxRequest
)

_BY_OP: dict[object, type[_Request]] = {kind.__struct_config__.tag: kind for kind in get_args(Request)}
_REFUSED_REPORT = "the id of a refused report, or all"
_EXPECTED = {
    "op": f"one of {', '.join(map(str, _BY_OP))}",
    "command": f"one of {', '.join(get_args(LocalCommand))}",
    "size": "a number of bytes",
    "name": "the name of a file",
    "choice": f"the number of a choice, or its text, of at most {MAX_CHOICE} characters",
    "prompt_id": "the id of a prompt",
    "task_id": "the id of a task",
    "retry": _REFUSED_REPORT,
    "drop": _REFUSED_REPORT,
}
# Only where the text is msgspec's own: in the middle it quotes what came.
_FIELD = re.compile(r"at `\$\.(\w+)`\Z|\AObject missing required field `(\w+)`\Z")
_UNKNOWN = re.compile(r"\AObject contains unknown field `([^`]*)`")


def parse(message: object) -> Request:
    """Check one decoded line of JSON. Raises DataError, which names the field and what was expected there."""
    try:
        request: Request = msgspec.convert(message, Request)
    except msgspec.ValidationError as error:
        raise DataError(_describe(message, str(error))) from None
    return request


def encode(request: Request) -> bytes:
    """The request as its line on the wire."""
    return msgspec.json.encode(request) + b"\n"


def _describe(message: object, problem: str) -> str:
    """Text of a validation error of msgspec for a person."""
    unknown = _UNKNOWN.search(problem)
    if unknown and isinstance(message, dict):
        known = ("op", *_BY_OP[message["op"]].__struct_fields__)
        return f"{printable(unknown[1][:100])}: no such field; {message['op']} has {', '.join(known)}"
    match = _FIELD.search(problem)
    field = next(filter(None, match.groups()), "op") if match else "op"
    return f"expected {field} to be {_EXPECTED[field]}"

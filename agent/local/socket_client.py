"""The other end of the local socket: one request to the running agent."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import EX_UNAVAILABLE, AgentError, DataError, UnavailableError

PATIENCE = 30.0  # seconds for an answer
DONE_WITHIN = 120.0  # seconds until a command must have ended
POLL = 0.2  # seconds between two looks at a running task
ENDED = ("completed", "failed")


class AnsweredError(AgentError):
    """The agent said no; the exit code is the one it gave."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def ask(path: Path, request: dict[str, Any], file: Path | None = None) -> dict[str, Any]:
    """Send one request, with a file's bytes behind it where there is one; the answer.

    Raises UnavailableError when no agent answers, AnsweredError when it says no.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE if file is None else DONE_WITHIN)  # a large file is checked and synced first
            connection.connect(str(path))
            # Refused before all of it was sent? The answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(msgspec.json.encode(request) + b"\n")
                if file is not None:
                    with file.open("rb") as source:
                        connection.sendfile(source)
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise UnavailableError(f"no agent answers at {path}: {error.strerror or error}") from None
    answer: dict[str, Any] = {"error": "the agent closed the connection"}
    if line.endswith(b"\n"):
        answer = msgspec.json.decode(line)
    if not answer.get("ok"):
        raise AnsweredError(str(answer.get("error")), int(answer.get("exit_code", EX_UNAVAILABLE)))
    return dict(answer)


def command(path: Path, name: str) -> None:
    """Have a command done. Raises UnavailableError, AnsweredError, and DataError when it was refused or failed."""
    wait(path, str(ask(path, {"op": "command", "command": name})["task_id"]))


def send_file(path: Path, file: Path) -> str:
    """Have a file printed; returns its job_id once it prints. Raises as `command`."""
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise DataError(f"{file}: not a file")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    answer = ask(path, {"op": "print", "name": file.name, "size": size}, file)
    deadline = time.monotonic() + DONE_WITHIN
    while time.monotonic() < deadline:
        task = ask(path, {"op": "task", "task_id": answer["task_id"]})
        if task["state"] == "failed":
            raise DataError(f"{file}: {task['message']}")
        shown = ask(path, {"op": "status"})["status"]
        if task["state"] == "completed" or (
            shown.get("job_id") == answer["job_id"] and shown.get("job_status") in ("printing", "paused")
        ):
            return str(answer["job_id"])
        time.sleep(POLL)
    raise UnavailableError(f"{file}: the printer did not begin within {DONE_WITHIN:.0f} s")


def wait(path: Path, task_id: str) -> None:
    """Until the task has ended. Raises DataError with its message when it failed."""
    deadline = time.monotonic() + DONE_WITHIN
    while time.monotonic() < deadline:
        task = ask(path, {"op": "task", "task_id": task_id})
        if task["state"] == "failed":
            raise DataError(task["message"])
        if task["state"] in ENDED:
            return
        time.sleep(POLL)
    raise UnavailableError(f"not done within {DONE_WITHIN:.0f} s; the agent goes on with it")

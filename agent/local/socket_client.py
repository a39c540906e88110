"""Client of the local socket: requests to the running agent, and waiting for the tasks that they create."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.core.printer_status import WAITS_FOR_BED
from agent.errors import EX_UNAVAILABLE, AgentError, DataError, RefusedError, UnavailableError
from agent.local.local_requests import (
    CommandRequest,
    LocalCommand,
    PrintRequest,
    Request,
    StatusRequest,
    TaskRequest,
    encode,
)

ANSWER_TIMEOUT = 30.0  # seconds for an answer
TASK_TIMEOUT = 120.0  # seconds until a command must have ended
SCRIPT_TIMEOUT = 3660.0  # seconds until a script must have ended: as long as the agent gives it, and a minute
CONNECT_TIMEOUT = 5.0  # seconds for a connection while others crowd the socket
RETRY = 0.02  # seconds between two attempts at it
POLL = 0.2  # seconds between two requests for a running task's state
ENDED = ("completed", "failed")


class AnsweredError(AgentError):
    """The agent refused the request; the message and the exit code are its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect, again and again while the socket's backlog is full (EAGAIN, connect(2)). Raises OSError."""
    end = time.monotonic() + CONNECT_TIMEOUT
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(RETRY)
        else:
            return


def ask(path: Path, request: Request, file: Path | None = None) -> dict[str, Any]:
    """Send one request to the agent at the socket `path`, followed by the bytes of `file`; return its answer.

    Raises UnavailableError when no agent answers, AnsweredError when it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(
                ANSWER_TIMEOUT if file is None else TASK_TIMEOUT
            )  # a large file is checked and synced first
            _connect(connection, path)
            # Refused before all of it was sent? The answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(encode(request))
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


def run_command(path: Path, command: LocalCommand) -> None:
    """Do a command and wait for its end. Raises UnavailableError, AnsweredError, and RefusedError when it failed."""
    wait_for_task(path, str(ask(path, CommandRequest(command))["task_id"]))


def run_script(path: Path, command: LocalCommand, progress: Callable[[str], None]) -> None:
    """Do a command that may take as long as a script may, and tell `progress` how far it is whenever that changes.
    Raises as `run_command`."""
    last = ""

    def look() -> None:
        nonlocal last
        now = str(ask(path, StatusRequest())["status"]["data"].get("ui_sub_state") or "")
        if now and now != last:
            last = now
            progress(now)

    wait_for_task(path, str(ask(path, CommandRequest(command))["task_id"]), within=SCRIPT_TIMEOUT, look=look)


class StartedPrint(msgspec.Struct, frozen=True):
    """A print that has begun, or begins as soon as the bed is confirmed clear."""

    job_id: str
    waits_for_bed: bool = False


def print_file(path: Path, file: Path) -> StartedPrint:
    """Send a file to be printed; returns once it prints or waits for the bed. Raises as `run_command`."""
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise DataError(f"{file}: not a file")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    answer = ask(path, PrintRequest(name=file.name, size=size), file)
    deadline = time.monotonic() + TASK_TIMEOUT
    while time.monotonic() < deadline:
        task = ask(path, TaskRequest(answer["task_id"]))
        if task["state"] == "failed":
            raise RefusedError(task.get("error_code", 0), f"{file}: {task['message']}")
        status = ask(path, StatusRequest())["status"]
        if task["state"] == "completed" or (
            status.get("job_id") == answer["job_id"] and status.get("job_status") in ("printing", "paused")
        ):
            return StartedPrint(str(answer["job_id"]))
        if status.get("job_id") == answer["job_id"] and status["data"].get("ui_sub_state") == WAITS_FOR_BED:
            return StartedPrint(str(answer["job_id"]), waits_for_bed=True)
        time.sleep(POLL)
    raise UnavailableError(f"{file}: the printer did not begin within {TASK_TIMEOUT:.0f} s")


def wait_for_task(
    path: Path, task_id: str, *, within: float = TASK_TIMEOUT, look: Callable[[], None] = lambda: None
) -> None:
    """Wait until the task has ended, and `look` meanwhile. Raises RefusedError with its code and message when it
    failed, UnavailableError when it is not done `within` so many seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        task = ask(path, TaskRequest(task_id))
        if task["state"] == "failed":
            raise RefusedError(task.get("error_code", 0), task["message"])
        if task["state"] in ENDED:
            return
        look()
        time.sleep(POLL)
    raise UnavailableError(f"not done within {within:.0f} s; the agent goes on with it")

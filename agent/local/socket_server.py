"""Server of the local socket: sockets and threads behind `printer-agent status`, `print`, `pause` ….

One request a connection: a line of JSON (agent/local/local_requests.py), for `print` followed by the file's bytes; one
line of JSON back. The thread `local` reads the lines of all connections beside each other, so that silent ones keep
nobody waiting; what stops the printer then has workers of its own. Only the service's user may connect (the socket is
0600 in a folder of its own).

    {"op": "status"}                              → {"ok": true, "status": {…}}
    {"op": "command", "command": "pause"}         → {"ok": true, "task_id": "local-…"}
    {"op": "print", "name": "a.gcode", "size": 9} → {"ok": true, "task_id": "local-…", "job_id": "local_…"}
    {"op": "halt"}                                → {"ok": true}
    {"op": "task", "task_id": "local-…"}          → {"ok": true, "state": "running", "message": "", "error_code": 0}
    {"op": "register"} {"op": "outbox"}           → {"ok": true, …}
    {"op": "outbox", "retry": 3}                  → {"ok": true, "done": 1}    also "drop", and "all" for the number
    anything that cannot be done                  → {"ok": false, "error": "…", "exit_code": 65}
"""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.core.command import STOPS
from agent.errors import EX_USAGE, AgentError, UnavailableError
from agent.local.api import LocalApi
from agent.local.local_requests import CommandRequest, HaltRequest, Request, RespondRequest, TaskRequest, parse
from agent.service.health import Pulse

log = structlog.get_logger(part="local")

LINE_LIMIT = 65536  # bytes of a request
IDLE_LIMIT = 30.0  # seconds that a client may be silent
LINE_TIME = 5.0  # seconds that a client has for its request line
AT_ONCE = 4  # requests served beside each other
STOPS_AT_ONCE = 2  # requests that stop the printer, beside those
BACKLOG = 128  # connections that the kernel holds until they are accepted; a further one is told to try again
WAITING_AT_ONCE = 16  # connections whose line is still to come; the oldest is closed when one more comes
POLL = 1.0  # seconds between two looks at `stop`


@dataclass(slots=True)
class _Waiting:
    """A connection whose request line is still to come; `since` in monotonic seconds."""

    connection: socket.socket
    since: float
    line: bytearray = field(default_factory=bytearray)


class LocalServer:
    """Accepts local connections and reads their request lines on the thread `local`; serves each on a worker."""

    def __init__(self, path: Path, api: LocalApi, pulse: Pulse) -> None:
        """Binds the socket. Raises UnavailableError when another agent serves it, or nothing can be bound there."""
        self._path = path
        self._api = api
        self._pulse = pulse
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards the connections
        self._waiting: list[_Waiting] = []  # the oldest first; of the thread `local` alone
        self._socket = _listen(path)

    def interrupt(self) -> None:
        """Wake `run`, so that it sees a `stop` that was set. Any thread."""
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; then disconnect the clients that are still there."""
        with (
            ThreadPoolExecutor(AT_ONCE, thread_name_prefix="local") as workers,
            ThreadPoolExecutor(STOPS_AT_ONCE, thread_name_prefix="local-stop") as stop_workers,
            selectors.PollSelector() as selector,  # it needs no descriptor, of which there may be none left
        ):
            self._socket.setblocking(False)
            selector.register(self._socket, selectors.EVENT_READ)
            while not stop.is_set():
                self._pulse.beat()
                for key, _ in selector.select(POLL):
                    if key.fileobj is self._socket:
                        self._accept(selector, stop)
                    else:
                        self._read(selector, key.data, workers, stop_workers)
                self._close_overdue(selector)
            self._socket.close()
            self._path.unlink(missing_ok=True)
            with self._lock:
                for connection in self._connections:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            for waiting in self._waiting:
                waiting.connection.close()
            self._waiting.clear()

    def _accept(self, selector: selectors.BaseSelector, stop: threading.Event) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return  # it went away again
        except OSError as error:  # no more descriptors, for example; the printer must not stop for that
            if not stop.is_set():
                log.warning("local connection not accepted", error=str(error))
                stop.wait(POLL)
            return
        connection.setblocking(False)
        waiting = _Waiting(connection, time.monotonic())
        self._waiting.append(waiting)
        selector.register(connection, selectors.EVENT_READ, waiting)
        if len(self._waiting) > WAITING_AT_ONCE:
            self._close(selector, self._waiting[0])

    def _read(
        self,
        selector: selectors.BaseSelector,
        waiting: _Waiting,
        workers: ThreadPoolExecutor,
        stop_workers: ThreadPoolExecutor,
    ) -> None:
        """Read what is there of a request's line, and not a byte of what follows it; hand it to a worker when it is
        complete."""
        connection = waiting.connection
        try:
            there = connection.recv(LINE_LIMIT, socket.MSG_PEEK)
            end = there.find(b"\n") + 1
            waiting.line += connection.recv(end or len(there)) if there else b""
        except BlockingIOError:
            return
        except OSError:
            there = b""
        if there and not end and len(waiting.line) < LINE_LIMIT:
            return
        self._forget(selector, waiting)
        connection.settimeout(IDLE_LIMIT)
        with self._lock:
            self._connections.add(connection)
        request = _request(bytes(waiting.line))
        chosen = stop_workers if _is_urgent(request) else workers
        chosen.submit(self._serve, connection, request).add_done_callback(_log_defect)

    def _close_overdue(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        while self._waiting and now - self._waiting[0].since > LINE_TIME:
            self._close(selector, self._waiting[0])

    def _close(self, selector: selectors.BaseSelector, waiting: _Waiting) -> None:
        self._forget(selector, waiting)
        waiting.connection.close()

    def _forget(self, selector: selectors.BaseSelector, waiting: _Waiting) -> None:
        selector.unregister(waiting.connection)
        self._waiting.remove(waiting)

    def _serve(self, connection: socket.socket, request: Request | dict[str, Any]) -> None:
        try:
            with connection, connection.makefile("rwb") as stream:
                stream.write(msgspec.json.encode(self._answer(request, stream)) + b"\n")
                stream.flush()
        except OSError as error:
            log.info("local client disconnected", error=str(error))
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, request: Request | dict[str, Any], stream: Any) -> dict[str, Any]:
        if isinstance(request, dict):
            return request
        try:
            return {"ok": True, **self._api.answer(request, stream)}
        except AgentError as error:
            return _refusal(error)


def _request(line: bytes) -> Request | dict[str, Any]:
    """Parse a request's line; the answer to one that is none."""
    try:
        return parse(msgspec.json.decode(line))
    except AgentError as error:
        return _refusal(error)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"ok": False, "error": "expected one line of JSON", "exit_code": EX_USAGE}


def _is_urgent(request: Request | dict[str, Any]) -> bool:
    """Whether it stops the printer, or asks what became of that."""
    if isinstance(request, CommandRequest):
        return request.command in STOPS
    return isinstance(request, HaltRequest | RespondRequest | TaskRequest)


def _refusal(error: AgentError) -> dict[str, Any]:
    return {"ok": False, "error": str(error), "exit_code": error.exit_code}


def _log_defect(served: Future[None]) -> None:
    """Log what ended a connection unexpectedly; the others are served as before."""
    error = served.exception()
    if error is not None:
        log.error("local request crashed", exc_info=error)


def _listen(path: Path) -> socket.socket:
    """Bind the socket, for its owner alone. Raises UnavailableError when another agent serves it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            _remove_stale(path)
        mask = os.umask(0o177)
        try:
            server.bind(str(path))
        finally:
            os.umask(mask)
        server.listen(BACKLOG)
    except UnavailableError:
        server.close()
        raise
    except OSError as error:
        server.close()
        raise UnavailableError(f"{path}: cannot listen: {error.strerror or error}") from None
    return server


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise UnavailableError(f"{path}: is there already, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(POLL)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()  # nobody listens: its agent was killed
            return
        except (BlockingIOError, TimeoutError):
            pass  # alive, with more clients than its backlog takes
    raise UnavailableError(f"{path}: another agent is running")

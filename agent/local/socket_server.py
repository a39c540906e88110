"""Server of the local socket: sockets and threads behind `printer-agent status`, `print`, `pause` ….

One request a connection: a line of JSON (agent/local/local_requests.py), for `print` followed by the file's bytes; one
line of JSON back. Only the service's user may connect (the socket is 0600 in a folder of its own).

    {"op": "status"}                              → {"ok": true, "status": {…}}
    {"op": "command", "command": "pause"}         → {"ok": true, "task_id": "local-…"}
    {"op": "print", "name": "a.gcode", "size": 9} → {"ok": true, "task_id": "local-…", "job_id": "local_…"}
    {"op": "halt"}                                → {"ok": true}
    {"op": "task", "task_id": "local-…"}          → {"ok": true, "state": "running", "message": ""}
    {"op": "register"} {"op": "outbox"}           → {"ok": true, …}
    {"op": "outbox", "retry": 3}                  → {"ok": true, "done": 1}    also "drop", and "all" for the number
    anything that cannot be done                  → {"ok": false, "error": "…", "exit_code": 65}
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.errors import EX_USAGE, AgentError, UnavailableError
from agent.local.api import LocalApi
from agent.local.local_requests import parse
from agent.service.health import Pulse

log = structlog.get_logger(part="local")

LINE_LIMIT = 65536  # bytes of a request
IDLE_LIMIT = 30.0  # seconds that a client may be silent
AT_ONCE = 4  # connections served beside each other
POLL = 1.0  # seconds between two looks at `stop`


class LocalServer:
    """Accepts local connections on the thread `local` and serves each on one of a few workers."""

    def __init__(self, path: Path, api: LocalApi, pulse: Pulse) -> None:
        """Binds the socket. Raises UnavailableError when another agent serves it, or nothing can be bound there."""
        self._path = path
        self._api = api
        self._pulse = pulse
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards the connections
        self._socket = _listen(path)

    def interrupt(self) -> None:
        """Wake `run`, so that it sees a `stop` that was set. Any thread."""
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; then disconnect the clients that are still there."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="local") as workers:
            while not stop.is_set():
                self._pulse.beat()
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    continue
                except OSError as error:  # no more descriptors, for example; the printer must not stop for that
                    if stop.is_set():
                        break
                    log.warning("local connection not accepted", error=str(error))
                    stop.wait(POLL)
                    continue
                connection.settimeout(IDLE_LIMIT)
                with self._lock:
                    self._connections.add(connection)
                workers.submit(self._serve, connection).add_done_callback(_log_defect)
            self._socket.close()
            self._path.unlink(missing_ok=True)
            with self._lock:
                for connection in self._connections:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rwb") as stream:
                stream.write(msgspec.json.encode(self._answer(stream)) + b"\n")
                stream.flush()
        except OSError as error:
            log.info("local client disconnected", error=str(error))
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, stream: Any) -> dict[str, Any]:
        try:
            message = msgspec.json.decode(stream.readline(LINE_LIMIT))
            return {"ok": True, **self._api.answer(parse(message), stream)}
        except AgentError as error:
            return {"ok": False, "error": str(error), "exit_code": error.exit_code}
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {"ok": False, "error": "expected one line of JSON", "exit_code": EX_USAGE}


def _log_defect(served: Future[None]) -> None:
    """Log what ended a connection unexpectedly; the others are served as before."""
    error = served.exception()
    if error is not None:
        log.error("local request crashed", exc_info=error)


def _listen(path: Path) -> socket.socket:
    """Bind the socket, for its owner alone. Raises UnavailableError when another agent serves it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.settimeout(POLL)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            _remove_stale(path)
        mask = os.umask(0o177)
        try:
            server.bind(str(path))
        finally:
            os.umask(mask)
        server.listen(AT_ONCE)
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

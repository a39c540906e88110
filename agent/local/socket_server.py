"""The local socket: how `printer-agent status`, `print`, `pause` … talk to the running agent.

One request a connection: a line of JSON, for `print` followed by the file's bytes; one line of JSON back. Only the
service's user may connect (the socket is 0600 in a folder of its own).

    {"op": "status"}                              → {"ok": true, "status": {…}}
    {"op": "command", "command": "pause"}         → {"ok": true, "task_id": "local-…"}
    {"op": "print", "name": "a.gcode", "size": 9} → {"ok": true, "task_id": "local-…"}
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
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import structlog

from agent.core.command import Command, Name
from agent.errors import EX_USAGE, AgentError, DataError, NotReadyError, UnavailableError
from agent.files.job_file import JobFile, take_in
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Store

log = structlog.get_logger(part="local")

LINE_LIMIT = 65536  # bytes of a request
IDLE_LIMIT = 30.0  # seconds that a client may be silent
AT_ONCE = 4  # connections served beside each other
POLL = 1.0  # seconds between two looks at `stop`


class LocalApi:
    """What can be asked for; one method an operation. Any thread."""

    def __init__(
        self,
        config: Config,
        jobs: Path,
        store: Store,
        inbox: Inbox,
        board: AgentSnapshot,
        registrar: Registrar,
        listening: Callable[[], bool],
        watch: ConditionTracker | None = None,
        tell: Callable[[], None] = lambda: None,
        halt: Callable[[], None] | None = None,
    ) -> None:
        """`halt` is the emergency stop of a driver that has one: at once, beside the ledger and the runner."""
        self._watch = watch or ConditionTracker()
        self._tell = tell
        self._stop_now = halt
        self._config = config
        self._jobs = jobs
        self._store = store
        self._inbox = inbox
        self._board = board
        self._registrar = registrar
        self._listening = listening
        self._operations: dict[str, Callable[[dict[str, Any], BinaryIO], dict[str, Any]]] = {
            "status": self._status,
            "command": self._command,
            "print": self._print,
            "halt": self._halt,
            "task": self._task,
            "register": self._register,
            "outbox": self._outbox,
        }

    def answer(self, request: object, stream: BinaryIO) -> dict[str, Any]:
        """Do one request. Raises AgentError."""
        operation = request.get("op") if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(operation, str) or operation not in self._operations:
            raise DataError(f"expected op to be one of {', '.join(self._operations)}")
        return self._operations[operation](request, stream)

    def _status(self, _request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        situation = self._board.read()
        telemetry = situation.telemetry
        self._watch.printer(telemetry)
        conditions = self._watch.read()
        return {
            "status": {
                **msgspec.to_builtins(situation.body(conditions.first())),
                "conditions": {str(part): reason for part, reason in conditions.shown().items()},
                "printer": self._config.printer.name,
                "port": telemetry.port,
                "firmware": telemetry.firmware,
                "machine": telemetry.machine,
                "link": msgspec.to_builtins(telemetry.link),
                "registration": self._who(),
                "listening": self._listening(),
                "waiting_reports": self._store.outbox.pending_count(),
                "state_set_aside": str(self._store.database.damaged or ""),
            }
        }

    def _register(self, _request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        return {"registration": self._who()}

    def _who(self) -> dict[str, Any]:
        identity = self._registrar.identity()
        if identity is None:
            return {"registered": False}
        shown: dict[str, Any] = {"printer_id": identity.printer_id, "registered": identity.registered}
        if not identity.registered:
            shown.update(code=identity.registration_code, url=identity.registration_url)
        return shown

    def _outbox(self, request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        for word, do in (("retry", self._store.outbox.retry), ("drop", self._store.outbox.drop)):
            if word not in request:
                continue
            which = request[word]
            if which != "all" and (not isinstance(which, int) or isinstance(which, bool) or not 0 < which < 1 << 63):
                raise DataError(f"expected {word} to be the id of a refused report, or all")
            done = do(None if which == "all" else which)
            if not done and which != "all":
                raise DataError(f"no refused report has the id {which}")
            self._tell()
            return {"done": done}
        return {"outbox": self._store.outbox.overview()}

    def _command(self, request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        allowed = (Name.PAUSE, Name.RESUME, Name.CANCEL, Name.HOME, Name.PARK, Name.RESET, Name.DISMISS)
        said = request.get("command")
        if said not in allowed:
            raise DataError(f"expected command to be one of {', '.join(allowed)}")
        task_id = f"local-{uuid.uuid4()}"
        self._inbox.take_local(Command(task_id=task_id, name=Name(said), said=said))
        return {"task_id": task_id}

    def _halt(self, _request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        """The emergency stop. The job in progress ends failed; until `reset` the printer does nothing."""
        if self._stop_now is None:
            raise DataError("halt: this printer's driver has no emergency stop; cancel, or switch it off")
        try:
            self._stop_now()
        except NotReadyError as error:
            raise UnavailableError(f"halt: {error}; switch the printer off") from None
        log.warning("emergency stop, asked for at the printer")
        return {}

    def _print(self, request: dict[str, Any], stream: BinaryIO) -> dict[str, Any]:
        size, name = request.get("size"), request.get("name")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise DataError("expected size to be a number of bytes")
        identifier = uuid.uuid4()
        task_id = f"local-{identifier}"
        file = JobFile(self._jobs, task_id)
        try:
            take_in(stream, size, file, self._config)
            command = Command(
                task_id=task_id,
                name=Name.PRINT_DATA,
                said=str(Name.PRINT_DATA),
                job_id=f"local_{identifier}",
                job_name=str(name)[:200] if isinstance(name, str) and name.isprintable() else "",
                spooled=file.path.name,
            )
            self._inbox.take_local(command)
        except BaseException:
            file.remove()
            raise
        return {"task_id": task_id, "job_id": command.job_id}

    def _task(self, request: dict[str, Any], _stream: BinaryIO) -> dict[str, Any]:
        task = self._store.tasks.get(str(request.get("task_id")))
        if task is None:
            raise DataError("no such task")
        return {"state": str(task.state), "message": task.message}


class LocalServer:
    """The socket, on the thread `local`, with a few workers for its connections."""

    def __init__(self, path: Path, desk: LocalApi, pulse: Pulse) -> None:
        self._path = path
        self._desk = desk
        self._pulse = pulse
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards the connections
        self._socket = _listen(path)

    def interrupt(self) -> None:
        """`stop` is set: let `run` see it at once. Any thread."""
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; clients that are still there are then cut off."""
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
                    log.warning("a local client could not be let in", reason=str(error))
                    stop.wait(POLL)
                    continue
                connection.settimeout(IDLE_LIMIT)
                with self._lock:
                    self._connections.add(connection)
                workers.submit(self._serve, connection).add_done_callback(_tell)
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
            log.info("a local client went away", reason=str(error))
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, stream: Any) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(stream.readline(LINE_LIMIT))
            return {"ok": True, **self._desk.answer(request, stream)}
        except AgentError as error:
            return {"ok": False, "error": str(error), "exit_code": error.exit_code}
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {"ok": False, "error": "expected one line of JSON", "exit_code": EX_USAGE}


def _tell(served: Future[None]) -> None:
    """A connection that ended with a defect says so in the log; the others go on."""
    error = served.exception()
    if error is not None:
        log.error("a local request could not be answered", exc_info=error)


def _listen(path: Path) -> socket.socket:
    """Bind the socket; only its owner may connect. Raises UnavailableError when another agent serves it."""
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
            path.unlink()  # nobody listens: left by an agent that was killed
            return
        except (BlockingIOError, TimeoutError):
            pass  # it has more clients than it can take now
    raise UnavailableError(f"{path}: another agent is running")

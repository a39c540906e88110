"""HTTP servers that answer as a test says, and a reporter that talks to one.

Real: sockets, HTTP and server threads on the loopback; in `ReporterRig` also the reporter, the HTTP client, the
registrar, the store with its database file. Not real: the cloud's answers (`script` gives them), the driver
(`SlotDriver`) and, in `ReporterRig`, the clock (`FakeClock`).
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from agent.core.command import Command, Name
from agent.core.task import TaskEvent
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import CloudSection
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Identity
from agent.testing import FakeClock
from tests.support.cloud_side import make_client, make_registrar, make_reporter
from tests.support.driver import SlotDriver
from tests.support.store import open_store

TOKEN = "T" * 43
STATUS = "/v1/print/printers/status"
COMMAND = "/v1/print/printers/command/"
LONG = 61.0  # seconds, longer than any wait of our own
PATIENCE = 10.0  # seconds for anything that should happen


@dataclass(frozen=True)
class Reply:
    """One answer. `hang_up` closes the connection without any; `hold` keeps it waiting until the server ends."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    hold: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came, and the connection it came on."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: object

    @property
    def json(self) -> Any:
        """The decoded body."""
        return msgspec.json.decode(self.body)


def answer(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, msgspec.json.encode(value))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of a test; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedServer:
    """Each path has a list of replies; the last one stays. A path without any gets `usual`."""

    def __init__(self) -> None:
        self.usual = Reply()
        self._asked: list[Asked] = []
        self._replies: dict[str, list[Reply]] = {}
        self._changed = threading.Condition()
        self._end = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, name="scripted-server", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """http://127.0.0.1:port"""
        return f"http://127.0.0.1:{self._http.server_port}"

    def script(self, path: str, *replies: Reply) -> None:
        """What `path` gets from now on, one after the other."""
        with self._changed:
            self._replies[path] = list(replies)

    def asked(self, path: str = "") -> list[Asked]:
        """The requests so far whose path begins with `path`."""
        with self._changed:
            return [one for one in self._asked if one.path.startswith(path)]

    def forget(self) -> None:
        """Forget what was asked."""
        with self._changed:
            self._asked.clear()

    def until(self, count: int, path: str = "") -> list[Asked]:
        """Wait until `path` was asked for `count` times."""

        def found() -> list[Asked]:
            return [one for one in self._asked if one.path.startswith(path)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, PATIENCE), self._asked
            return found()

    def close(self) -> None:
        """No more answers."""
        self._end.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(PATIENCE)

    def take(self, asked: Asked) -> Reply:
        """Note a request; the reply to it."""
        with self._changed:
            self._asked.append(asked)
            replies = self._replies.get(asked.path, [self.usual])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            self._changed.notify_all()
        if reply.hold:
            self._end.wait(PATIENCE)
        return reply


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class calls it so
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body, self.client_address)
            reply = server.take(asked)
            if reply.hang_up or reply.hold:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.status != 204:
                self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 the base class calls them so

    return Handler


@contextmanager
def scripted() -> Iterator[ScriptedServer]:
    """A server for one test."""
    server = ScriptedServer()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def trickling(before: bytes, drip: bytes) -> Iterator[str]:
    """A server that says `before` and then `drip` again and again, ten times a second; its URL."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = server.accept()
                except TimeoutError:
                    continue
                with client:
                    try:
                        client.recv(65536)
                        client.sendall(before)
                        while not stop.wait(0.1):
                            client.sendall(drip)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, name="trickling")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join(5)


class Flood:
    """A server that answers each request with `before` and then `block` again and again, as fast as it is taken.

    `sent` counts the bytes of all answers; it stops at ENOUGH."""

    ENOUGH = 64 << 20

    def __init__(self, before: bytes, block: bytes) -> None:
        self.sent = 0
        self.asked = 0
        self._before, self._block = before, block
        self._end = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="flood", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._end.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(0.5)
                try:
                    client.recv(65536)
                    self.asked += 1
                    client.sendall(self._before)
                    while self.sent < self.ENOUGH and not self._end.is_set():
                        self.sent += client.send(self._block)
                except OSError:
                    continue

    def close(self) -> None:
        """No more answers."""
        self._end.set()
        self._thread.join(PATIENCE)
        self._server.close()


class ReporterRig:
    """A reporter that knows who it is, at a server that takes everything unless told otherwise."""

    def __init__(self, server: ScriptedServer, path: Path) -> None:
        self.server = server
        self.clock = FakeClock()
        self.store = open_store(path, self.clock)
        self.driver = SlotDriver()
        self.board = AgentSnapshot(self.driver)
        self.wake = threading.Event()
        self.lost: list[bool] = []
        self.cloud = make_client(CloudSection(server=server.url, read_timeout_s=5.0), self.clock)
        registrar = make_registrar(server.url, self.store, on_token_lost=lambda: self.lost.append(True))
        self.conditions = ConditionTracker()
        self.reporter = make_reporter(
            self.store,
            self.cloud,
            registrar,
            self.board,
            clock=self.clock,
            wake=self.wake,
            conditions=self.conditions,
        )
        self.know(TOKEN)

    def know(self, token: str, printer_id: int = 7) -> None:
        self.store.identities.save(Identity(self.server.url, printer_id, token, registered=True))

    def task(self, task_id: str, *, end: bool = True) -> None:
        self.store.tasks.accept(Command(task_id, Name.HOME, "home"), b'{"progress":0}')
        if end:
            self.store.tasks.end(task_id, TaskEvent.COMPLETE, b'{"progress":1}')

    def later(self, seconds: float = LONG) -> None:
        self.clock.advance(seconds)
        self.reporter.step()

    def told(self, task_id: str = "") -> list[tuple[str, float]]:
        """Which reports arrived, in order."""
        return [(one.path.removeprefix(COMMAND), one.json["progress"]) for one in self.server.asked(COMMAND + task_id)]

    def statuses(self) -> list[dict[str, Any]]:
        return [one.json for one in self.server.asked(STATUS)]

    def close(self) -> None:
        self.cloud.close()
        self.store.close()

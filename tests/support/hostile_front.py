"""A server between the agent and the local cloud that adds to the cloud's Faye replies what a test gives it, or answers
in the cloud's place.

Real: all that passes through it. It stands for whoever may publish on a printer's channel, and for a server gone wrong.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

LIMIT_S = 60.0
DROPPED = ("connection", "content-length", "transfer-encoding", "keep-alive", "host")

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Agents go away in the middle of an answer here."""


class HostileFront:
    """`url` is where the agent connects; `upstream` is the cloud's URL. Thread-safe."""

    def __init__(self) -> None:
        self.upstream = ""
        self.answered = 0  # requests that were answered in the cloud's place
        self._lock = threading.Lock()
        self._elements: deque[list[bytes]] = deque()
        self._tail = b""
        self._taken_over: tuple[Callable[[str], bool], Answer] | None = None
        self._instead: tuple[Callable[[str, bytes], bool], Answer] | None = None
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                front.forward(self, b"")

            def do_POST(self) -> None:
                front.forward(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def do_PUT(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def behind(self, url: str) -> str:
        """Pass everything on to the cloud at `url`; the URL for the agent."""
        self.upstream = url
        return self.url

    def add(self, elements: list[bytes], tail: bytes = b"") -> None:
        """Add these elements to the next reply to a connect; `tail` takes the place of its closing bracket."""
        with self._lock:
            self._elements.append(elements)
            self._tail = tail

    def waiting(self) -> int:
        """How many additions no reply has carried yet."""
        with self._lock:
            return len(self._elements)

    def instead(self, match: Callable[[str, bytes], bool], answer: Answer) -> None:
        """Give this answer, and close the connection, where `match` is true of a request's path and body."""
        with self._lock:
            self.answered = 0
            self._instead = (match, answer)

    def take_over(self, match: Callable[[str], bool], answer: Answer) -> None:
        """Answer so in the cloud's place where `match` is true of the path, for good."""
        self._taken_over = (match, answer)

    def relent(self) -> None:
        """Pass everything on again, with nothing added."""
        with self._lock:
            self._instead = None
            self._elements.clear()
            self._tail = b""

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Pass one request on, and its answer back."""
        with self._lock:
            instead = self._instead
        if instead is not None and instead[0](handler.path, body):
            self.answered += 1
            handler.close_connection = True
            with suppress(OSError):
                instead[1](handler)
            return
        if self._taken_over is not None and self._taken_over[0](handler.path):
            handler.close_connection = True
            with suppress(OSError):
                self._taken_over[1](handler)
            return
        with http_connection(self.upstream) as connection:
            headers = {key: value for key, value in handler.headers.items() if key.lower() not in DROPPED}
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        if handler.path.startswith("/faye"):
            content = self._with_additions(content)
        handler.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in (*DROPPED, "date", "server"):
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        with suppress(OSError):  # the agent has gone away
            handler.wfile.write(content)

    def _with_additions(self, content: bytes) -> bytes:
        replies = json.loads(content)
        if not any(one.get("channel") == "/meta/connect" and one.get("successful") for one in replies):
            return content
        with self._lock:
            if not self._elements:
                return content
            elements = self._elements.popleft()
            tail, self._tail = self._tail, b""
        return content.rstrip()[:-1] + b"," + b",".join(elements) + (tail or b"]")


@contextmanager
def http_connection(url: str) -> Iterator[http.client.HTTPConnection]:
    """A connection that is closed at the end."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=LIMIT_S)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def hostile_front() -> Iterator[HostileFront]:
    """A front that serves."""
    front = HostileFront()
    thread = threading.Thread(target=front.server.serve_forever, args=(0.05,), name="front", daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.relent()
        front.server.shutdown()
        front.server.server_close()
        thread.join(LIMIT_S)

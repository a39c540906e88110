"""An HTTP server that fails at random, and remembers which reports it has really taken."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

QUICK = ("429", "429", "500", "503", "reset", "cut", "reset after")
SLOW = ("silent after", "trickle")  # each costs a real tenth of a second
COMMAND = "/v1/print/printers/command/"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what this is about."""


class FailingServer:
    """While `stormy`, `rate` of the requests meet a fault. `taken`: by task and Idempotency-Key, (kind, progress), in
    the order in which they came first."""

    def __init__(self, seed: int) -> None:
        self.stormy = False
        self.rate = 0.9
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self.taken: dict[str, dict[str, tuple[str, float]]] = {}
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._port = 0
        self._end = threading.Event()
        self.start()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> FailingServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port that it had before."""
        self._end.clear()
        self._http = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="stormy")
        self._thread.start()

    def stop(self) -> None:
        """Stop: connections are refused from now on."""
        self._end.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(10)

    def pick(self) -> str:
        """Choose the fault of the next request."""
        with self._lock:
            self.requests += 1
            if not self.stormy or self._random.random() > self.rate:
                return ""
            fault = self._random.choice(SLOW if self._random.random() < 0.02 else QUICK)
            self.faults[fault] += 1
        return fault

    def take(self, path: str, key: str, body: bytes) -> None:
        """Note a report as taken."""
        if not path.startswith(COMMAND):
            return
        found = json.loads(body)
        with self._lock:
            self.taken.setdefault(path.removeprefix(COMMAND), {}).setdefault(key, (found["n"], found["progress"]))

    def hold(self, seconds: float) -> bool:
        """Wait; whether the server ends."""
        return self._end.wait(seconds)


def _handler(server: FailingServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 a class
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5.0

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = server.pick()
            self.close_connection = bool(fault)
            if fault == "reset":
                self._reset()
            elif fault.isdigit():
                self._say(int(fault), {"Retry-After": "20"} if fault == "429" else {})
            else:
                server.take(self.path, self.headers.get("Idempotency-Key", ""), body)
                self._after(fault)

        def _after(self, fault: str) -> None:
            if not fault:
                self._say(204, {})
            elif fault == "reset after":
                self._reset()
            elif fault == "silent after":
                server.hold(0.3)
            elif fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            else:
                with contextlib.suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    while not server.hold(0.03):
                        self.wfile.write(b"x")

        def _say(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    return Handler

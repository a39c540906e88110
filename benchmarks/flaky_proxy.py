"""An HTTP proxy that fails at random: before the server has heard anything, after it has taken it, in between."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("429", "500", "503", "reset before", "reset after", "cut after")
PATIENCE = 10.0  # seconds


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed all the time here."""


class FlakyProxy:
    """In front of `target`; `rate` (0 to 1) of the requests to the printer's API meet a fault. `faults` counts them."""

    def __init__(self, target: str, rate: float, seed: int) -> None:
        self.rate = rate
        self.faults: Counter[str] = Counter()
        self.dead: set[str] = set()  # tokens that the server no longer knows
        self._target = urlsplit(target).netloc
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="flaky-proxy")
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Stop, and cut the connections."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(PATIENCE)

    def pick(self, path: str) -> str:
        """Choose the fault of a request; empty for none."""
        if "/print/printers" not in path:
            return ""
        with self._lock:
            fault = self._random.choice(FAULTS) if self._random.random() < self.rate else ""
            self.faults[fault] += bool(fault)
        return fault

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Forward a request; the server's answer."""
        connection = http.client.HTTPConnection(self._target, timeout=PATIENCE)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


def _handler(proxy: FlakyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = "401" if self.headers.get("X-Printer-Auth-Token") in proxy.dead else proxy.pick(self.path)
            self.close_connection = bool(fault)
            if fault.isdigit():
                self._say(int(fault), {"Retry-After": "1"} if fault == "429" else {}, b"not now")
                return
            if fault == "reset before":
                _reset(self.connection)
                return
            status, headers, answer = proxy.forward(self.command, self.path, dict(self.headers.items()), body)
            if fault == "reset after":
                _reset(self.connection)
            elif fault == "cut after":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            else:
                self._say(status, headers, answer)

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 the base class calls them so

    return Handler


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

"""HTTP server of the read-only status page and /metrics, on `[local] status_page`. There is no password: whoever
reaches the address sees what is being printed. What could be misused is left out: the registration code, tokens.

    GET /              a page for a browser, which refreshes itself
    GET /status.json   the answer of `printer-agent status --json`, without the registration code
    GET /metrics       the same for Prometheus

The thread `page` accepts, `page_0` … answer. A client has DEADLINE seconds for its request, however it drips in, and
as many to read the answer; there are never more than AT_ONCE, so nobody outside can exhaust the agent's memory.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any

import msgspec
import structlog

from agent.core.printable import printable_json
from agent.errors import AgentError, ConfigError, UnavailableError
from agent.local import page_html
from agent.service.health import Pulse

log = structlog.get_logger(part="page")

DEADLINE = 5.0  # seconds
HEAD_LIMIT = 16384  # bytes of a request; there is never a body
AT_ONCE = 4  # connections served beside each other
POLL = 1.0  # seconds between two checks of `stop`
IP_FREEBIND = 15  # Linux's; the socket module does not name it
PUBLIC = ("printer_id", "registered")  # the keys of the registration that anybody may see

Status = Callable[[], dict[str, Any]]


class StatusPage:
    """Serves the status page. `status` returns what the local socket answers to `status`; called on any thread."""

    def __init__(
        self,
        address: str,
        status: Status,
        pulse: Pulse,
        deadline: float = DEADLINE,
        *,
        hosts: Sequence[str] = (),
    ) -> None:
        """Listens on `address`, HOST:PORT. Raises ConfigError for one that cannot be used, UnavailableError for one
        that is taken. `deadline` is in seconds. `hosts` are the names, beside its address and localhost, under which
        it may be asked for: a page of somebody else's, whose name was made to mean this address, must not read it."""
        self._socket = _listen(address)
        self._status = status
        self._pulse = pulse
        self._deadline = deadline
        self._hosts = frozenset({"localhost", *(host.lower().rstrip(".") for host in hosts)})
        host, port = self._socket.getsockname()[:2]
        self._hosts |= {host}
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        log.info("status page opened", address=self.address)
        places = threading.BoundedSemaphore(AT_ONCE)
        with self._socket, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="page") as workers:
            while not stop.is_set():
                self._pulse.beat()
                if not places.acquire(timeout=POLL):
                    continue
                try:
                    connection, peer = self._socket.accept()
                except TimeoutError:
                    places.release()
                except OSError as error:  # for example, too many open files: it passes
                    places.release()
                    log.warning("status page connection not accepted", error=error.strerror)
                    stop.wait(POLL)
                else:
                    workers.submit(self._serve, connection, peer, stop).add_done_callback(lambda _: places.release())

    def _serve(self, connection: socket.socket, peer: Any, stop: threading.Event) -> None:
        with connection:
            try:
                head = _read_head(connection, self._deadline, stop)
                connection.settimeout(self._deadline)
                if head:
                    _Handler(connection, peer, head, status=self._status, hosts=self._hosts)
            except OSError as error:
                log.debug("status page client disconnected", error=str(error))
            except Exception:
                log.exception("status page request crashed")


class _Handler(BaseHTTPRequestHandler):
    """Answers one request, which has been received as a whole; then the connection ends (HTTP/1.0)."""

    def __init__(
        self, connection: socket.socket, peer: Any, head: bytes, *, status: Status, hosts: frozenset[str]
    ) -> None:
        self._head = head
        self._own = {*hosts, connection.getsockname()[0].partition("%")[0]}
        self._status = status
        super().__init__(connection, peer, server=None)  # type: ignore[arg-type]  # it never looks at it

    def setup(self) -> None:
        """Read the request from memory, so that reading it cannot block."""
        super().setup()
        self.rfile.close()
        self.rfile = BytesIO(self._head)

    def handle(self) -> None:
        """Answer the request."""
        self.raw_requestline = self.rfile.readline()
        if len(self._head) > HEAD_LIMIT:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self.parse_request():  # it answers an error by itself
            self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        views = {"/": self._page, "/status.json": self._json, "/metrics": self._metrics}
        if not self._is_for_us():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, explain="not a name of this printer ([local] page_hosts)")
        elif path not in views:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.command not in ("GET", "HEAD"):
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            try:
                kind, body = views[path](public_status(self._status()))
            except AgentError as error:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
            else:
                self._send(HTTPStatus.OK, kind, body)

    def _is_for_us(self) -> bool:
        """Whether the header Host names this page; one without it is no browser's."""
        values = self.headers.get_all("Host", [])
        if not values:
            return True
        host = str(values[0]).strip().lower()
        if host.startswith("["):
            name = host[1:].partition("]")[0]
            try:
                name = str(ipaddress.ip_address(name))
            except ValueError:
                return False
        else:
            name = host.partition(":")[0].rstrip(".")
        mapped = {own.removeprefix("::ffff:") for own in self._own}  # IPv4 on a socket for both
        return len(values) == 1 and (name in self._own or name in mapped)

    def _page(self, status: dict[str, Any]) -> tuple[str, bytes]:
        return "text/html; charset=utf-8", page_html.page(status).encode()

    def _json(self, status: dict[str, Any]) -> tuple[str, bytes]:
        return "application/json", printable_json(msgspec.json.encode(status).decode()).encode() + b"\n"

    def _metrics(self, status: dict[str, Any]) -> tuple[str, bytes]:
        from agent.local import metrics  # noqa: PLC0415 late: prometheus_client costs memory

        return metrics.CONTENT_TYPE, metrics.exposition(status)

    def _send(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", page_html.POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if code is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, _message: str | None = None, explain: str | None = None) -> None:
        """Answer with a line of text; nothing of the request is repeated in it."""
        status = HTTPStatus(code)
        text = f"{status.value} {status.phrase}{f': {explain}' if explain else ''}\n"
        self._send(status, "text/plain; charset=utf-8", text.encode())

    def version_string(self) -> str:
        """The value of the header Server: neither our version nor Python's."""
        return "printer-agent"

    def log_message(self, *_: object) -> None:
        """Log nothing: a page that refreshes itself would fill the log."""


def public_status(status: dict[str, Any]) -> dict[str, Any]:
    """The status without what only the printer's owner may know: the registration code and its URL."""
    registration = status["registration"]
    return {**status, "registration": {key: registration[key] for key in PUBLIC if key in registration}}


def _read_head(connection: socket.socket, deadline: float, stop: threading.Event) -> bytes:
    """Read a request up to its empty line; empty when none came in time. One byte beyond HEAD_LIMIT marks it as too
    long."""
    head = b""
    end = time.monotonic() + deadline
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) <= HEAD_LIMIT:
        left = end - time.monotonic()
        if left <= 0 or stop.is_set():
            return b""
        connection.settimeout(min(left, POLL))
        try:
            block = connection.recv(4096)
        except TimeoutError:
            continue
        if not block:
            return b""
        head += block
    return head


def _listen(address: str) -> socket.socket:
    host, port = _parse(address)
    server = socket.socket(socket.AF_INET6 if host.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    server.settimeout(POLL)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":  # an address that the network has not given us yet is no reason not to print
            server.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        server.bind((str(host), port))
        server.listen(AT_ONCE)
    except OSError as error:
        server.close()
        message = f"[local] status_page: {address}: cannot listen: {error.strerror}"
        raise (ConfigError if isinstance(error, PermissionError) else UnavailableError)(message) from None
    return server


def _parse(address: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Parse HOST:PORT with a numeric host or localhost: a name would need a name server before a print could begin."""
    host, _, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else "" if ":" in host else host
    try:
        parsed = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError
    except ValueError:
        expected = "expected ADDRESS:PORT like 127.0.0.1:9101 or [::1]:9101"
        raise ConfigError(f"[local] status_page: {address!r}: {expected}") from None
    return parsed, int(port)

"""What a hostile HTTP server answers, and the server of files, packages and uploads that answers so."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

from tests.support.hostile_front import Answer

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
PATIENCE = 20.0  # seconds after which an answer without end ends
SECRET = "the-inner-answer-of-somebody-else"


def raw(data: bytes) -> Answer:
    """These bytes and no more."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)

    return answer


def whole(body: bytes, *, status: str = "200 OK", head: bytes = JSON) -> Answer:
    """A whole answer."""
    return raw(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status.encode(), head, len(body), body))


def endless(ends: threading.Event, head: bytes, chunk: bytes, *, every: float = 0.0) -> Answer:
    """The head, then `chunk` again and again, each `every` seconds, until the client hangs up or the case ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(PATIENCE)
        handler.wfile.write(head)
        for _ in repeat(None):
            if ends.wait(every) if every else ends.is_set():
                return
            handler.wfile.write(chunk)

    return answer


def silent(ends: threading.Event) -> Answer:
    """Nothing at all."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ends.wait(PATIENCE)

    return answer


def reset(handler: BaseHTTPRequestHandler) -> None:
    """RST."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


@cache
def bomb(begin: bytes = b"", block: bytes = b"0" * 1_000_000, megabytes: int = 200) -> bytes:
    """One gzip stream of a hundredth of what it unpacks to: `begin`, then `block` (about a MB) that many times."""
    stream = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    parts = [stream.compress(begin), *(stream.compress(block) for _ in range(megabytes)), stream.flush()]
    return b"".join(parts)


def gzipped(body: bytes, head: bytes = JSON) -> Answer:
    """An answer whose body is compressed."""
    return whole(body, head=head + b"Content-Encoding: gzip\r\n")


class HostileHost:
    """A server whose answer hangs on the path; `heads` are the requests' headers by path, `bodies` what was put."""

    def __init__(self) -> None:
        self.routes: dict[str, Answer] = {}
        self.heads: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def do_GET(self) -> None:
                host.heads.append((self.path, dict(self.headers.items())))
                self.close_connection = True
                answer = host.routes.get(self.path, whole(b"{}", status="404 Not Found"))
                with suppress(OSError):
                    answer(self)

            do_PUT = do_POST = do_GET  # noqa: N815 the base class calls them so

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients hang up here, and are right."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, path: str, answer: Answer) -> str:
        """Give `answer` for `path`; the URL."""
        self.routes[path] = answer
        return self.url + path

    def asked(self, path: str) -> int:
        """How often it was asked for."""
        return sum(1 for one, _ in list(self.heads) if one == path)


def take_body(then: Callable[[BaseHTTPRequestHandler], None]) -> Answer:
    """Read what is put, then answer."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        then(handler)

    return answer


@contextmanager
def hostile_host() -> Iterator[HostileHost]:
    """A host that serves."""
    host = HostileHost()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.05,), name="hostile-host", daemon=True)
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        host.server.server_close()
        thread.join(5.0)

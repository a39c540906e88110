"""A real HTTP server on the loopback that serves files, and misbehaves as a test says."""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = random.Random(7).randbytes(700_001)
STRONG = {"ETag": '"v1"'}
Answer = Callable[[BaseHTTPRequestHandler], None]


class FileServer:
    """Answers the n-th request with the n-th of `answers`, the last one from then on; remembers the requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers.items()))
                self.close_connection = True
                with contextlib.suppress(ConnectionError):  # the client may hang up early: many tests are about that
                    outer.answers[min(len(outer.paths), len(outer.answers)) - 1](self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="files")
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def reply(
    status: int = 200,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    cut: int | None = None,
    length: int | None = -1,
) -> Answer:
    """An answer; `cut` bytes of the body come before the connection ends, `length` is claimed (None: not at all)."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        if length is not None:
            request.send_header("Content-Length", str(len(body) if length == -1 else length))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body[:cut])

    return answer


def ranged(body: bytes = BODY, etag: str = '"v1"', *, cut: int | None = None) -> Answer:
    """A server that knows ranges: 206 when If-Range names this version of the file, else all of it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if match and request.headers.get("If-Range") == etag:
            start = int(match[1])
            place = {"ETag": etag, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            reply(206, body[start:], place, cut=cut)(request)
        else:
            reply(200, body, {"ETag": etag}, cut=cut)(request)

    return answer

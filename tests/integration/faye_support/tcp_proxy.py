"""A TCP proxy that does to HTTP what bad networks do. It knows just enough of it to tell one request from another.

with TcpProxy(("127.0.0.1", 8080)) as proxy:
    proxy.swallow("/faye")           # connections that carried such a request are half open from now on: nothing passes
    proxy.cut("/faye", 3)            # the next three replies to such requests end in the middle
    proxy.answer("/faye", 503)       # such requests are answered by the proxy, until `proxy.answer("/faye", 0)`
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

CHUNK = 64 * 1024
CONNECT_WAIT = 5.0
"""Seconds for a connection to the target."""


class TcpProxy:
    """Listens on a free loopback port (`url`) and passes everything on to `target`. All paths are prefixes."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.target = target
        self.requests: list[str] = []  # "METHOD /path" of each, also of those that did not get through
        self._lock = threading.Lock()
        self._pairs: list[_Pair] = []
        self._threads: list[threading.Thread] = []
        self._statuses: dict[str, int] = {}
        self._cuts: dict[str, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> TcpProxy:
        self._start(self._accept, "tcp-proxy")
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.close()
        for thread in list(self._threads):
            thread.join(CONNECT_WAIT)
            assert not thread.is_alive(), thread.name

    def swallow(self, path: str) -> int:
        """From now on nothing passes on the connections that are open and have carried a request for `path`, and nobody
        is told; new ones are well. How many there were."""
        with self._lock:
            found = [pair for pair in self._pairs if pair.path.startswith(path) and not pair.closed]
        for pair in found:
            pair.swallowed = True
        return len(found)

    def cut(self, path: str, count: int) -> None:
        """The next `count` replies to requests for `path` end in the middle."""
        with self._lock:
            self._cuts[path] = count

    def cuts_left(self, path: str) -> int:
        """Of those that `cut` ordered."""
        with self._lock:
            return self._cuts.get(path, 0)

    def answer(self, path: str, status: int) -> None:
        """Answer requests for `path` with this status; 0: let them through again."""
        with self._lock:
            self._statuses[path] = status

    def count(self, line: str) -> int:
        """Requests so far whose first line began with this."""
        with self._lock:
            return sum(request.startswith(line) for request in self.requests)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                assert self.target is not None
                server = socket.create_connection(self.target, CONNECT_WAIT)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = _Pair(client, server)
            with self._lock:
                self._pairs = [*(each for each in self._pairs if not each.closed), pair]
                self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._start(partial(self._upstream, pair), "tcp-proxy-up")
            self._start(partial(self._downstream, pair), "tcp-proxy-down")

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _upstream(self, pair: _Pair) -> None:
        """Requests. Where one begins, the rules are looked up."""
        left = 0  # bytes of the present request's body that are still to come; -1: no longer HTTP
        buffer = b""
        try:
            while data := pair.client.recv(CHUNK):
                buffer += data
                while buffer:
                    if left == 0:
                        head, found, _ = buffer.partition(b"\r\n\r\n")
                        if not found:
                            break
                        status = self._begin(pair, head)
                        if status:
                            pair.client.sendall(_plain(status))
                            return
                        left = _body(head)
                        size = len(head) + len(found)
                    else:
                        size = len(buffer) if left < 0 else min(left, len(buffer))
                        left -= size if left > 0 else 0
                    if not pair.swallowed:
                        pair.server.sendall(buffer[:size])
                    buffer = buffer[size:]
        except OSError:
            return
        finally:
            pair.end()

    def _begin(self, pair: _Pair, head: bytes) -> int:
        """Note a request; the status that it is answered with here, or 0."""
        method, path, *_ = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
        pair.path = path
        with self._lock:
            self.requests.append(f"{method} {path}")
            return max((status for prefix, status in self._statuses.items() if path.startswith(prefix)), default=0)

    def _downstream(self, pair: _Pair) -> None:
        """Replies."""
        try:
            while data := pair.server.recv(CHUNK):
                if pair.swallowed:
                    continue
                if self._cut_this(pair.path):
                    pair.client.sendall(data[: max(len(data) - 10, 1)])
                    return
                pair.client.sendall(data)
        except OSError:
            return
        finally:
            pair.end()

    def _cut_this(self, path: str) -> bool:
        with self._lock:
            for prefix, count in self._cuts.items():
                if count and path.startswith(prefix):
                    self._cuts[prefix] = count - 1
                    return True
        return False


class _Pair:
    """One connection: the two sockets of it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.path = ""  # of the newest request
        self.swallowed = False
        self.closed = False

    def end(self) -> None:
        """One side has ended. A swallowed connection stays, until somebody gives it up for dead."""
        if not self.swallowed:
            self.close()

    def close(self) -> None:
        """End both sides."""
        self.closed = True
        for link in (self.client, self.server):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for link in (self.client, self.server):
            link.close()


def _body(head: bytes) -> int:
    """Bytes of the body behind this head; -1 when what follows is no HTTP or is chunked."""
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
        if name in (b"upgrade", b"transfer-encoding"):
            return -1
    return 0


def _plain(status: int) -> bytes:
    words = f"{status} {HTTPStatus(status).phrase}"
    return f"HTTP/1.1 {words}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

"""Small real servers on loopback for the transports: each connection is played by a function of the test's own."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable

from agent.faye.actions import Lane, Send


class Peer:
    """One accepted connection, as HTTP or as a websocket."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._file = link.makefile("rb")

    def request(self) -> tuple[str, dict[str, str], bytes]:
        """The next HTTP request: its first line, headers in lower case, body. Raises EOFError at the end."""
        first = self._file.readline().decode().strip()
        if not first:
            raise EOFError
        headers: dict[str, str] = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return first, headers, self._file.read(int(headers.get("content-length", "0")))

    def answer(self, body: bytes, status: str = "200 OK", headers: str = "", length: int | None = None) -> None:
        """An HTTP answer; `length` may lie."""
        size = len(body) if length is None else length
        self.link.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body)

    def upgrade(self) -> None:
        """Take the websocket handshake (RFC 6455)."""
        _, headers, _ = self.request()
        key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        self.link.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and data. Raises EOFError at the end."""
        head = self._file.read(2)
        if len(head) < 2:
            raise EOFError
        size = head[1] & 127
        if size == 126:
            (size,) = struct.unpack("!H", self._file.read(2))
        mask = self._file.read(4)
        data = self._file.read(size)
        return head[0] & 15, bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))

    def send_frame(self, data: bytes, opcode: int = 1, declared: int | None = None) -> None:
        """A frame; `declared` may lie about its size."""
        size = len(data) if declared is None else declared
        head = struct.pack("!BBQ", 128 | opcode, 127, size)
        self.link.sendall(head + data)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.link.close()


class Loopback:
    """Accepts connections on 127.0.0.1 and lets `play` have each, on a thread of its own."""

    def __init__(self, play: Callable[[Peer], None], context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/faye"
        self.accepted = 0
        self._links: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="loopback", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End everything."""
        socket.socket.shutdown(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for link in self._links:
            try:
                socket.socket.shutdown(link, socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._links.append(link)
            self._threads.append(threading.Thread(target=self._serve, args=(link,), name="loopback-peer", daemon=True))
            self._threads[-1].start()

    def _serve(self, link: socket.socket) -> None:
        try:
            if self._context is not None:
                link = self._context.wrap_socket(link, server_side=True)
            peer = Peer(link)
        except OSError:
            link.close()
            return
        try:
            self._play(peer)
        except (OSError, EOFError):
            return
        finally:
            peer.close()


class Ear:
    """A sink that remembers, and can be waited on."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self.replies: list[tuple[bytes, int | None]] = []
        self.failures: list[tuple[str, int | None, float]] = []

    def reply(self, body: bytes, number: int | None) -> None:
        """See Sink."""
        with self._news:
            self.replies.append((body, number))
            self._news.notify_all()

    def failure(self, reason: str, number: int | None, retry_after: float = 0.0) -> None:
        """See Sink."""
        with self._news:
            self.failures.append((reason, number, retry_after))
            self._news.notify_all()

    def heard(self, number: int | None) -> None:
        """See Sink."""

    def wait(self, *, replies: int = 0, failures: int = 0, within: float = 10.0) -> None:
        """Until there are so many."""
        with self._news:
            done = self._news.wait_for(lambda: len(self.replies) >= replies and len(self.failures) >= failures, within)
            assert done, (self.replies, self.failures)

    def wait_for_one(self, within: float = 10.0) -> None:
        """Until there is a reply or a failure."""
        with self._news:
            assert self._news.wait_for(lambda: bool(self.replies or self.failures), within)


def ask(number: int = 1, lane: Lane = Lane.POLL, text: str = "x") -> Send:
    """A request whose deadline never comes."""
    return Send(number, lane, ({"channel": "/meta/connect", "id": str(number), "text": text},), 1e12)


def parsed(body: bytes) -> object:
    """A body as JSON."""
    return json.loads(body)

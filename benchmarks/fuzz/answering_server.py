"""A server on loopback that answers each connection with the bytes it was given last, whatever they are."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

GREETING = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
KEY = re.compile(rb"(?i)sec-websocket-key: *(\S+)")


class AnsweringServer:
    """Reads a request's head and answers with `answer`; a websocket's handshake with a sound one, then `answer`."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, name="answering", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            with link, suppress(OSError):
                link.settimeout(2)
                self._answer(link)

    def _answer(self, link: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (block := link.recv(65536)):
                return
            head += block
        if key := KEY.search(head):
            accept = hashlib.sha1(key[1] + WEBSOCKET.encode(), usedforsecurity=False).digest()
            link.sendall(GREETING.format(base64.b64encode(accept).decode()).encode())
        link.sendall(self.answer)
        link.shutdown(socket.SHUT_WR)
        link.settimeout(0.02)
        while link.recv(65536):  # what is still sent, so that it is no reset that ends the answer
            pass

    def close(self) -> None:
        """End the server."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextmanager
def answering() -> Iterator[AnsweringServer]:
    """A server that is closed at the end."""
    server = AnsweringServer()
    try:
        yield server
    finally:
        server.close()

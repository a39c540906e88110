"""A Faye server over a websocket that does what a case says; the frames are built here, so that wrong ones can be."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
HOLD = 2.0  # seconds that a connect is held
TEXT, CLOSE, PING = 1, 8, 9
CLIENT = "hostile"


class WebsocketFaye:
    """One client at a time. `answer` serves a request to upgrade; the others are called meanwhile, by any thread."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._handler: BaseHTTPRequestHandler | None = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Upgrade, then reply to what comes until the client goes."""
        key = handler.headers.get("Sec-WebSocket-Key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())  # noqa: S324 RFC 6455 §4.2.2
        handler.connection.settimeout(HOLD)
        handler.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        self._handler = handler
        self.connections += 1
        held: dict[str, Any] | None = None
        while True:
            try:
                text = _read(handler)
            except TimeoutError:
                if held is not None:
                    self._send([_reply(held)])
                    held = None
                continue
            if text is None:
                return
            for message in json.loads(text):
                if message["channel"] == "/meta/connect":
                    held = message
                else:
                    self._send([_reply(message)])
                if message["channel"] == "/meta/subscribe":
                    self.channels.append(str(message["subscription"]))

    def publish(self, message: dict[str, object], *, channel: str = "/command") -> None:
        """Deliver a message on the subscribed channel that ends so."""
        for name in set(self.channels):
            if name.endswith(channel):
                self._send([{"channel": name, "data": message}])

    def channel(self) -> bytes:
        """The command channel."""
        return next(name for name in self.channels if name.endswith("/command")).encode()

    def frame(self, payload: bytes, first: int = 0x80 | TEXT, *, length: int | None = None, mask: int = 0) -> None:
        """Send a frame with this first byte (FIN and opcode); `length` is claimed in place of the true one."""
        size = len(payload) if length is None else length
        head = (
            struct.pack("!BBQ", first, 127 | mask, size)
            if size > 65535
            else struct.pack("!BBH", first, 126 | mask, size)
        )
        self.raw(head + payload)

    def raw(self, data: bytes) -> None:
        """Send these bytes."""
        with self._lock, suppress(OSError):
            if self._handler is not None:
                self._handler.connection.sendall(data)

    def wait_for_client(self, ends: threading.Event) -> None:
        """Wait until somebody is connected and has subscribed, 10 s at most."""
        end = time.monotonic() + 10.0
        while not self.channels and time.monotonic() < end and not ends.wait(0.02):
            pass

    def _send(self, messages: list[dict[str, Any]]) -> None:
        self.frame(json.dumps(messages).encode())


def _read(handler: BaseHTTPRequestHandler) -> bytes | None:
    """The next text from the client; None when it has gone."""
    while True:
        head = handler.connection.recv(2)
        if len(head) < 2:
            return None
        opcode, size = head[0] & 15, head[1] & 127
        if size > 125:
            more = _exactly(handler, 2 if size == 126 else 8)
            size = int.from_bytes(more, "big")
        mask = _exactly(handler, 4) if head[1] & 128 else b"\0\0\0\0"
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(_exactly(handler, size)))
        if opcode == CLOSE:
            return None
        if opcode == TEXT:
            return body


def _exactly(handler: BaseHTTPRequestHandler, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = handler.connection.recv(size - len(data))
        if not more:
            raise ConnectionError("gone")
        data += more
    return data


def _reply(message: dict[str, Any]) -> dict[str, Any]:
    """Success."""
    reply: dict[str, Any] = {key: message[key] for key in ("channel", "id", "subscription") if key in message}
    reply |= {"successful": True, "clientId": CLIENT, "advice": {"reconnect": "retry", "interval": 0, "timeout": 5000}}
    if message["channel"] == "/meta/handshake":
        reply |= {"version": "1.0", "supportedConnectionTypes": ["websocket", "long-polling"]}
    return reply

"""What long-polling puts on the wire."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from agent.faye.long_polling import LongPolling
from agent.faye.sockets import SingleWriteConnection
from tests.unit.faye.loopback import Ear, Loopback, Peer, ask


class Wire:
    """A socket that remembers what was written, piece by piece."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self.pieces: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.pieces.append(data)
        self._link.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


def test_a_request_is_written_at_once() -> None:
    """Head and body in one write: a server is woken once. What is no POST, as a proxy's CONNECT, does not wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = SingleWriteConnection("127.0.0.1", listener.getsockname()[1])
        connection.connect()
        wire = Wire(connection.sock)
        connection.sock = wire
        connection.request("POST", "/faye", body=b"[1]")
        connection.send(b"CONNECT host:443 HTTP/1.1\r\n\r\n")
        connection.close()
    assert [(piece[:8], piece[-3:]) for piece in wire.pieces] == [(b"POST /fa", b"[1]"), (b"CONNECT ", b"\n\r\n")]


def test_a_cookie_comes_back_as_it_was_set_last() -> None:
    """By which a load balancer finds the server that knows the session."""
    cookies: list[str] = []

    def play(peer: Peer) -> None:
        while True:
            _, headers, _ = peer.request()
            cookies.append(headers.get("cookie", ""))
            peer.answer(b"[]", headers=f"Set-Cookie: node=n{len(cookies)}; Path=/\r\n")

    server, ear = Loopback(play), Ear()
    transport = LongPolling(server.url, ear, clock=time.monotonic)
    for number in (1, 2, 3):
        transport.send(ask(number))
        ear.wait(replies=number)
    transport.close(1)
    server.close()
    assert cookies == ["", "node=n1", "node=n2"]


def test_the_length_is_that_of_each_body() -> None:
    """Requests share a frame, not its length."""
    bodies: list[bytes] = []

    def play(peer: Peer) -> None:
        while True:
            bodies.append(peer.request()[2])
            peer.answer(b"[]")

    server, ear = Loopback(play), Ear()
    transport = LongPolling(server.url, ear, clock=time.monotonic)
    texts = ["a" * 5000, "b", "c" * 100_000]
    for number, text in enumerate(texts, 1):
        transport.send(ask(number, text=text))
        ear.wait(replies=number)
    transport.close(1)
    server.close()
    assert [body.count(text.encode()) for body, text in zip(bodies, texts, strict=True)] == [1, 1, 1]


def test_a_url_that_cannot_be_is_told_at_once() -> None:
    """Not by a thread that dies later."""
    with pytest.raises(ValueError, match="URL"):
        LongPolling("http://*.example/faye", Ear(), clock=time.monotonic)

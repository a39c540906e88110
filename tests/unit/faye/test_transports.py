"""What both transports promise (transport.py), against small real servers on loopback; then what each has alone."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.faye.actions import Lane
from agent.faye.long_polling import LongPolling
from agent.faye.messages import decode
from agent.faye.transport import Resolve, Transport, tls_context
from agent.faye.websocket import WebSocketTransport
from agent.http.name_resolver import NameResolver
from tests.support.certificates import make_certificate, server_context
from tests.unit.faye.loopback import Ear, Loopback, Peer, ask, parsed

LIMIT = 100_000
Serve = Callable[[Callable[[Peer], None]], Loopback]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers that are closed at the end of the test."""
    made: list[Loopback] = []

    def make(play: Callable[[Peer], None]) -> Loopback:
        made.append(Loopback(play))
        return made[-1]

    yield make
    for server in made:
        server.close()


def trusting(certificate: Path) -> Callable[[], ssl.SSLContext]:
    """A maker of contexts that trust one authority more."""

    def make() -> ssl.SSLContext:
        context = tls_context()
        context.load_verify_locations(certificate)
        return context

    return make


class Contract:
    """What every transport's test class inherits."""

    def make(self, url: str, ear: Ear) -> Transport:
        """The transport under test; replies are limited to LIMIT bytes."""
        raise NotImplementedError

    def greet(self, peer: Peer) -> None:
        """What a server does before the first request."""

    def read(self, peer: Peer) -> bytes:
        """The next request's body."""
        raise NotImplementedError

    def write(self, peer: Peer, body: bytes) -> None:
        """An answer."""
        raise NotImplementedError

    def lie(self, peer: Peer, size: int) -> None:
        """The start of an answer that is said to have `size` bytes."""
        raise NotImplementedError

    def echo(self, peer: Peer) -> None:
        """A server that answers with what it was asked."""
        self.greet(peer)
        while True:
            self.write(peer, self.read(peer))

    def test_a_request_arrives_as_a_json_array_and_its_answer_comes_back(self, serve: Serve) -> None:
        ear = Ear()
        transport = self.make(serve(self.echo).url, ear)
        for number in (1, 2, 3):
            transport.send(ask(number))
            ear.wait(replies=number)
        transport.close(1)
        assert [parsed(body) for body, _ in ear.replies] == [
            [{"channel": "/meta/connect", "id": str(n), "text": "x"}] for n in (1, 2, 3)
        ]
        assert ear.failures == []

    def test_a_byte_that_is_not_utf_8_costs_no_other_message(self, serve: Serve) -> None:
        """docs/faye.md §10: what a publisher sends must not keep anything else from us."""

        def play(peer: Peer) -> None:
            self.greet(peer)
            self.read(peer)
            self.write(peer, b'[{"channel":"/a","data":"\xff"},{"channel":"/b","data":"x"}]')
            self.read(peer)

        ear = Ear()
        transport = self.make(serve(play).url, ear)
        transport.send(ask())
        ear.wait(replies=1)
        transport.close(1)
        assert [message.channel for message in decode(ear.replies[0][0]).messages] == ["/a", "/b"]
        assert ear.failures == []

    def test_one_connection_serves_many_requests(self, serve: Serve) -> None:
        ear = Ear()
        server = serve(self.echo)
        transport = self.make(server.url, ear)
        for number in range(1, 6):
            transport.send(ask(number))
            ear.wait(replies=number)
        transport.close(1)
        assert server.accepted == 1

    def test_an_answer_that_is_cut_is_a_failure(self, serve: Serve) -> None:
        def cut(peer: Peer) -> None:
            self.greet(peer)
            self.read(peer)
            self.lie(peer, 5000)

        ear = Ear()
        transport = self.make(serve(cut).url, ear)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        assert ear.replies == []

    def test_a_connection_that_is_swallowed_is_ended_by_abort_and_the_next_one_serves(self, serve: Serve) -> None:
        """While the first server-side connection hangs, abort frees the client at once."""
        held = threading.Event()
        connections: list[Peer] = []

        def swallow_once(peer: Peer) -> None:
            connections.append(peer)
            if len(connections) > 1:
                self.echo(peer)
            self.greet(peer)
            self.read(peer)
            held.set()
            self.read(peer)

        ear = Ear()
        transport = self.make(serve(swallow_once).url, ear)
        transport.send(ask(1))
        assert held.wait(5)
        transport.abort()
        transport.send(ask(2))
        ear.wait(replies=1, within=5)
        transport.close(1)
        assert b'"id":"2"' in ear.replies[0][0]

    def test_close_ends_the_threads_while_an_answer_is_held(self, serve: Serve) -> None:
        held = threading.Event()

        def hold(peer: Peer) -> None:
            self.greet(peer)
            self.read(peer)
            held.set()
            self.read(peer)

        transport = self.make(serve(hold).url, Ear())
        transport.send(ask())
        assert held.wait(5)
        began = time.monotonic()
        transport.close(2)
        assert time.monotonic() - began < 1
        assert not [t for t in threading.enumerate() if t.name.startswith("faye-")]

    def test_an_answer_that_is_too_large_is_a_failure(self, serve: Serve) -> None:
        def flood(peer: Peer) -> None:
            self.greet(peer)
            self.read(peer)
            self.lie(peer, 10 * LIMIT)
            while True:
                peer.link.sendall(b"x" * LIMIT)

        ear = Ear()
        transport = self.make(serve(flood).url, ear)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        assert ear.replies == []

    def test_nobody_listening_is_a_failure_that_names_no_token(self, serve: Serve) -> None:
        server = Loopback(lambda _: None)
        server.close()
        ear = Ear()
        transport = self.make(server.url, ear)
        transport.send(ask(text="sesame"))
        ear.wait(failures=1)
        transport.close(1)
        assert "refused" in ear.failures[0][0]
        assert "sesame" not in ear.failures[0][0]

    def test_a_redirect_is_not_followed(self, serve: Serve) -> None:
        """The token would go along."""
        other = serve(self.echo)

        def redirect(peer: Peer) -> None:
            peer.request()
            peer.answer(b"", "307 Temporary Redirect", f"Location: {other.url}\r\n")

        ear = Ear()
        transport = self.make(serve(redirect).url, ear)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        assert other.accepted == 0

    def test_a_certificate_of_an_unknown_authority_is_refused(self, certificate: Path) -> None:
        ear = Ear()
        server = secure_server(self.echo, certificate)
        transport = self.make(server.url, ear)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        server.close()
        assert "certificate verify failed" in ear.failures[0][0]

    def asking(self, url: str, ear: Ear, resolve: Resolve) -> Transport:
        """The transport under test, which asks `resolve` for addresses."""
        raise NotImplementedError

    def test_a_name_server_that_does_not_answer_is_given_up_and_takes_one_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("long_polling", "websocket"):
            monkeypatch.setattr(f"agent.faye.{module}.CONNECT_WAIT", 0.2)
        answers = threading.Event()

        def silent(*_: object) -> list[Any]:
            answers.wait(20)
            return []

        ear = Ear()
        transport = self.asking("http://printers.example/faye", ear, NameResolver(silent).resolve)
        try:
            for number in range(1, 4):
                transport.send(ask(number))
                ear.wait(failures=number, within=3)
            for number in range(4, 7):
                transport.send(ask(number))
                transport.abort()
            transport.send(ask(7))
            ear.wait(failures=4, within=3)
            assert len([t for t in threading.enumerate() if t.name == "name-server"]) == 1
            transport.close(1)
            for thread in [t for t in threading.enumerate() if t.name.startswith("faye-")]:
                thread.join(5)
                assert not thread.is_alive()
        finally:
            answers.set()
        assert "the name server does not answer" in ear.failures[0][0]


class TestLongPolling(Contract):
    """LongPolling keeps the contract."""

    def make(self, url: str, ear: Ear, tls: Callable[[], ssl.SSLContext] = tls_context) -> Transport:
        return LongPolling(url, ear, tls=tls, clock=time.monotonic, limit=LIMIT)

    def asking(self, url: str, ear: Ear, resolve: Resolve) -> Transport:
        return LongPolling(url, ear, clock=time.monotonic, resolve=resolve)

    def read(self, peer: Peer) -> bytes:
        first, headers, body = peer.request()
        assert first.startswith("POST ")
        assert headers["content-type"] == "application/json"
        return body

    def write(self, peer: Peer, body: bytes) -> None:
        peer.answer(body)

    def lie(self, peer: Peer, size: int) -> None:
        peer.answer(b'[{"channel"', length=size)

    def test_a_status_other_than_200_is_a_failure_with_the_servers_retry_after(self, serve: Serve) -> None:
        def refuse(peer: Peer) -> None:
            peer.request()
            peer.answer(b"later", "503 Service Unavailable", "Retry-After: 17\r\n")

        ear = Ear()
        transport = self.make(serve(refuse).url, ear)
        transport.send(ask(4))
        ear.wait(failures=1)
        transport.close(1)
        assert ear.failures == [("HTTP 503", 4, 17.0)]

    def test_two_lanes_use_two_connections(self, serve: Serve) -> None:
        """A request that is held does not delay one on the other lane."""
        polled = threading.Event()

        def hold_polls(peer: Peer) -> None:
            while True:
                body = self.read(peer)
                if b'"held"' in body:
                    polled.set()
                    continue
                peer.answer(body)

        ear = Ear()
        server = serve(hold_polls)
        transport = self.make(server.url, ear)
        transport.send(ask(1, Lane.POLL, "held"))
        assert polled.wait(5)
        for number in (2, 3, 4):
            transport.send(ask(number, Lane.SEND))
        ear.wait(replies=3)
        transport.close(1)
        assert [number for _, number in ear.replies] == [2, 3, 4]
        assert server.accepted == 2

    def test_what_was_queued_before_an_abort_is_never_sent(self, serve: Serve) -> None:
        """A connect of an older session must not follow the abort."""
        held = threading.Event()
        seen: list[bytes] = []

        def hold_first(peer: Peer) -> None:
            while True:
                seen.append(self.read(peer))
                held.set()
                if b'"held"' not in seen[-1]:
                    peer.answer(b"[]")

        ear = Ear()
        transport = self.make(serve(hold_first).url, ear)
        transport.send(ask(1, text="held"))
        assert held.wait(5)
        transport.send(ask(2, text="queued"))
        transport.abort()
        transport.send(ask(3))
        ear.wait(replies=1)
        transport.close(1)
        assert not [body for body in seen if b"queued" in body]

    def test_the_proxy_comes_from_the_environment(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def proxy(peer: Peer) -> None:
            while True:
                first, _, body = peer.request()
                asked.append(first)
                peer.answer(body)

        server = serve(proxy)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "localhost")
        ear = Ear()
        transport = self.make("http://printers.example/faye", ear)
        transport.send(ask())
        ear.wait(replies=1)
        transport.close(1)
        assert asked == ["POST http://printers.example/faye HTTP/1.1"]

    def test_a_private_authority_is_trusted_when_it_is_named(self, certificate: Path) -> None:
        ear = Ear()
        server = secure_server(self.echo, certificate)
        transport = self.make(server.url, ear, trusting(certificate))
        transport.send(ask())
        ear.wait(replies=1)
        wrong_name = self.make(server.url.replace("127.0.0.1", "localhost"), ear, trusting(certificate))
        wrong_name.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        wrong_name.close(1)
        server.close()
        assert "ostname mismatch" in ear.failures[0][0]


class TestWebSocket(Contract):
    """WebSocketTransport keeps the contract."""

    def make(self, url: str, ear: Ear) -> Transport:
        return WebSocketTransport(url, ear, clock=time.monotonic, limit=LIMIT, ping_every=0.1, dead_after=0.6)

    def asking(self, url: str, ear: Ear, resolve: Resolve) -> Transport:
        return WebSocketTransport(url, ear, clock=time.monotonic, resolve=resolve)

    def greet(self, peer: Peer) -> None:
        peer.upgrade()

    def read(self, peer: Peer) -> bytes:
        while True:
            opcode, data = peer.frame()
            if opcode == 9:
                peer.send_frame(data, opcode=10)
            elif opcode == 1:
                return data

    def write(self, peer: Peer, body: bytes) -> None:
        peer.send_frame(body)

    def lie(self, peer: Peer, size: int) -> None:
        peer.send_frame(b'[{"channel"', declared=size)

    def test_a_server_that_answers_no_ping_is_dead(self, serve: Serve) -> None:
        """TCP alone would not tell for hours."""
        pings: list[int] = []

        def mute(peer: Peer) -> None:
            peer.upgrade()
            while True:
                pings.append(peer.frame()[0])

        ear = Ear()
        transport = self.make(serve(mute).url, ear)
        transport.send(ask())
        ear.wait(failures=1, within=5)
        transport.close(1)
        assert pings.count(9) >= 2

    def test_a_silent_server_that_answers_pings_lives(self, serve: Serve) -> None:
        ear = Ear()
        transport = self.make(serve(self.echo).url, ear)
        transport.send(ask(1))
        ear.wait(replies=1)
        with pytest.raises(AssertionError):
            ear.wait(failures=1, within=1.2)
        transport.send(ask(2))
        ear.wait(replies=2)
        transport.close(1)

    @pytest.mark.parametrize(
        ("before", "drip"),
        [(b"\x81\x7e\x27\x10", b"["), (b"\x01\x01[", b"\x00\x01 "), (b"\x01\x01[", b"\x89\x00"), (b"\x89\x7d", b"x")],
        ids=["a frame", "fragments", "pings between fragments", "a ping"],
    )
    def test_a_message_that_drips_in_is_given_up(self, serve: Serve, before: bytes, drip: bytes) -> None:
        """Each byte counts as heard, so that nothing else would ever end it."""

        def play(peer: Peer) -> None:
            peer.upgrade()
            self.read(peer)
            peer.link.sendall(before)
            while True:
                time.sleep(0.05)
                peer.link.sendall(drip)

        ear = Ear()
        clock = lambda: time.monotonic() * 300  # noqa: E731
        transport = WebSocketTransport(serve(play).url, ear, clock=clock, dead_after=1e9)
        transport.send(ask())
        ear.wait(failures=1, within=5)
        transport.close(1)
        assert ear.replies == []

    def test_pings_without_messages_are_no_message_that_drips_in(self, serve: Serve) -> None:
        def play(peer: Peer) -> None:
            peer.upgrade()
            body = self.read(peer)
            for _ in range(60):
                time.sleep(0.04)
                peer.link.sendall(b"\x89\x00")
            self.write(peer, body)
            self.read(peer)

        ear = Ear()
        clock = lambda: time.monotonic() * 40  # noqa: E731
        transport = WebSocketTransport(serve(play).url, ear, clock=clock, dead_after=1e9)
        transport.send(ask())
        ear.wait_for_one(within=20)
        transport.close(1)
        assert (len(ear.replies), ear.failures) == (1, [])

    def test_a_server_without_websockets_is_a_failure(self, serve: Serve) -> None:
        def refuse(peer: Peer) -> None:
            peer.request()
            peer.answer(b"", "400 Bad Request")

        ear = Ear()
        transport = self.make(serve(refuse).url, ear)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(1)
        assert (ear.replies, len(ear.failures)) == ([], 1)
        assert "BadStatus" in ear.failures[0][0]


def test_tls_1_1_is_not_offered() -> None:
    """1.2 is the least, and both certificate and host name are checked."""
    context = tls_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh key and certificate for 127.0.0.1, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def secure_server(play: Callable[[Peer], None], certificate: Path) -> Loopback:
    """The same over TLS."""
    return Loopback(play, server_context(certificate))

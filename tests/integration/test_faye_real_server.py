"""The client against the real server, npm `faye`, over both transports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest
import requests

from agent.faye import (
    Connected,
    Disconnected,
    Dropped,
    Event,
    FayeClient,
    Gap,
    HandlerFailed,
    Message,
    Refused,
    StoppedByAdvice,
    Subscribed,
    Subscription,
)
from tests.integration.faye_support import RealFayeServer

Name = Literal["long-polling", "websocket"]
BOTH: tuple[Name, Name] = ("long-polling", "websocket")
CHANNEL = "/printers/7/command"
WAIT = 15.0


class Listener:
    """A client in a thread of its own, and what it heard."""

    def __init__(
        self,
        url: str,
        transport: Name,
        *,
        token: Callable[[], str] | None = None,
        handler: Callable[[Message], None] | None = None,
    ) -> None:
        self.messages: list[Message] = []
        self.events: list[Event] = []
        self._news = threading.Condition()
        self._handler = handler
        ext = (lambda: {"authentication_token": token()}) if token else None
        self.client = FayeClient(
            url, [Subscription(CHANNEL, self._take, ext)], transport=transport, on_event=self._note, rng=lambda: 0.0
        )
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.client.run, args=(self.stop,), name="test-faye")
        self.thread.start()

    def _take(self, message: Message) -> None:
        with self._news:
            self.messages.append(message)
            self._news.notify_all()
        if self._handler is not None:
            self._handler(message)

    def _note(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def wait(self, condition: Callable[[], bool], within: float = WAIT) -> None:
        with self._news:
            assert self._news.wait_for(condition, within), (self.events[-8:], len(self.messages))

    def wait_ready(self, times: int = 1) -> None:
        self.wait(lambda: self.count(Connected) >= times and self.count(Subscribed) >= times)

    def data(self) -> list[object]:
        return [message.data for message in self.messages]

    def close(self) -> float:
        """The seconds that `run` took to return."""
        began = time.monotonic()
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return time.monotonic() - began


Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Listeners that are closed at the end of the test."""
    made: list[Listener] = []

    def make(*args: object, **kwargs: object) -> Listener:
        made.append(Listener(*args, **kwargs))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for listener in made:
        listener.close()
    left = [t.name for t in threading.enumerate() if t.name.startswith("faye-") and "server" not in t.name]
    assert left == []


@pytest.fixture(scope="module")
def shared() -> Iterator[RealFayeServer]:
    """A server that holds a connect for 60 s, for the tests that do not harm it."""
    with RealFayeServer(timeout=60.0) as server:
        yield server


@pytest.mark.parametrize("transport", BOTH)
def test_messages_arrive_in_order_and_as_published(shared: RealFayeServer, listen: Listen, transport: Name) -> None:
    """Objects, strings holding JSON, lone surrogates and text arrive as they were published (checklist 2, 8)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    sent = [{"command": "home"}, '{"command": "home"}', "\ud800", ["ä", None, 1.5], {"deep": {"er": [1]}}]
    for data in sent:
        shared.publish(CHANNEL, data)
    listener.wait(lambda: len(listener.messages) >= len(sent))
    assert listener.data() == sent
    assert all(message.channel == CHANNEL for message in listener.messages)


@pytest.mark.parametrize("transport", BOTH)
def test_stop_returns_promptly_while_a_connect_is_held_and_says_goodbye(
    shared: RealFayeServer, listen: Listen, transport: Name
) -> None:
    """`run` returns within a second of `stop`, and the server hears a disconnect (checklist 16)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    (client_id,) = [event.client_id for event in listener.events if isinstance(event, Connected)]
    assert listener.close() < 1.0
    shared.wait_for("disconnect", client=client_id, within=2.0)


@pytest.mark.parametrize("transport", BOTH)
def test_a_published_event_cannot_stop_the_client(shared: RealFayeServer, listen: Listen, transport: Name) -> None:
    """`advice`, `successful` and the like in an event are a publisher's words and change nothing (checklist 5)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    for n in range(1, 12):
        raw = {"advice": {"reconnect": "none", "interval": 1e9}, "successful": False, "id": str(n)}
        shared.publish(CHANNEL, n, raw)
    shared.publish(CHANNEL, "after")
    listener.wait(lambda: "after" in listener.data())
    assert listener.data() == [*range(1, 12), "after"]
    assert listener.count(StoppedByAdvice) == 0
    assert listener.count(Connected) == 1


@pytest.mark.parametrize("transport", BOTH)
def test_ten_thousand_messages_at_once_all_arrive(shared: RealFayeServer, listen: Listen, transport: Name) -> None:
    """A batch of 10,000 messages is delivered whole and in order (checklist 8)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    shared.publish_batch(CHANNEL, 10_000)
    listener.wait(lambda: len(listener.messages) >= 10_000, within=30)
    assert listener.data() == [{"n": n} for n in range(10_000)]
    assert listener.count(Dropped) == 0


@pytest.mark.parametrize("transport", BOTH)
def test_a_message_of_five_megabytes_costs_no_other(shared: RealFayeServer, listen: Listen, transport: Name) -> None:
    """A message that is too large to be a command is skipped, and what comes after it arrives (checklist 10)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    shared.publish(CHANNEL, "abcdefghij" * 500_000)
    listener.wait(lambda: any(isinstance(event, Dropped | Disconnected) for event in listener.events), within=30)
    listener.wait_ready()
    shared.publish(CHANNEL, "next")
    listener.wait(lambda: bool(listener.messages), within=30)
    assert listener.data() == ["next"]


@pytest.mark.parametrize("transport", BOTH)
def test_a_killed_and_restarted_server_delivers_again(listen: Listen, transport: Name) -> None:
    """After kill -9 and a restart the client shakes hands, subscribes and hears again (checklist 3, 6)."""
    with RealFayeServer(timeout=30.0) as server:
        listener = listen(server.url, transport)
        listener.wait_ready()
        server.kill()
        server.start()
        listener.wait_ready(2)
        server.publish(CHANNEL, "again")
        listener.wait(lambda: "again" in listener.data())
        assert [e.new for e in listener.events if isinstance(e, Connected)] == [True, True]


@pytest.mark.parametrize("transport", BOTH)
def test_a_client_forgotten_by_the_server_comes_back(shared: RealFayeServer, listen: Listen, transport: Name) -> None:
    """«401 Unknown client» leads to a new handshake (checklist 3)."""
    listener = listen(shared.url, transport)
    listener.wait_ready()
    shared.destroy_clients()
    listener.wait_ready(2)
    shared.publish(CHANNEL, "again")
    listener.wait(lambda: "again" in listener.data())


@pytest.mark.parametrize("transport", BOTH)
def test_a_wrong_token_is_refused_and_the_right_one_taken_after_resubscribe(listen: Listen, transport: Name) -> None:
    """A refusal is an alarm without the token; resubscribe() reads the token afresh, at once (checklist 6, 7)."""
    with RealFayeServer(timeout=30.0, token="right-token") as server:
        tokens = ["wrong-token"]
        listener = listen(server.url, transport, token=lambda: tokens[-1])
        listener.wait(lambda: listener.count(Refused) == 1)
        (refused,) = [event for event in listener.events if isinstance(event, Refused)]
        assert refused.channel == CHANNEL
        assert refused.error.startswith("403")
        assert refused.retry_in >= 60
        assert "wrong-token" not in repr(listener.events)
        tokens.append("right-token")
        listener.client.resubscribe()
        listener.wait(lambda: listener.count(Subscribed) == 1)
        server.publish(CHANNEL, 1)
        listener.wait(lambda: listener.data() == [1])
        assert len(server.events("refused")) == 1


@pytest.mark.parametrize("transport", BOTH)
def test_a_stuck_handler_does_not_delay_the_next_connect(listen: Listen, transport: Name) -> None:
    """While a handler hangs for longer than a session lives, the session stays alive (checklist 8)."""
    release = threading.Event()
    with RealFayeServer(timeout=0.5) as server:
        listener = listen(server.url, transport, handler=lambda _: bool(release.wait(WAIT)))
        listener.wait_ready()
        server.publish(CHANNEL, 1)
        listener.wait(lambda: listener.data() == [1])
        try:
            with pytest.raises(TimeoutError):
                server.wait_for("disconnect", within=2.5)
            server.publish(CHANNEL, 2)
        finally:
            release.set()
        listener.wait(lambda: listener.data() == [1, 2])
        assert listener.count(Gap) == 0


def test_a_failing_handler_concerns_its_message_alone(shared: RealFayeServer, listen: Listen) -> None:
    """The next message is delivered all the same, and the owner is told (checklist 8)."""

    def fail_once(message: Message) -> None:
        if message.data == 1:
            raise RuntimeError("no")

    listener = listen(shared.url, "long-polling", handler=fail_once)
    listener.wait_ready()
    shared.publish(CHANNEL, 1)
    shared.publish(CHANNEL, 2)
    listener.wait(lambda: listener.data() == [1, 2] and listener.count(HandlerFailed) == 1)


def test_the_support_server_forwards_what_is_not_faye() -> None:
    """Other tests put it in front of an HTTP server; bodies stream both ways, and /faye stays its own."""
    received: list[bytes] = []

    class Behind(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            return

    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    thread = threading.Thread(target=behind.serve_forever, name="test-behind")
    thread.start()
    try:
        with RealFayeServer(proxy=f"http://127.0.0.1:{behind.server_port}") as server:
            root = server.url.removesuffix("/faye")
            answer = requests.put(f"{root}/v1/x?y=1", data=b"z" * 100_000, timeout=10)
            assert (answer.status_code, answer.text) == (201, "ok")
            assert requests.post(server.url, json=[], timeout=10).json() == []
    finally:
        behind.shutdown()
        behind.server_close()
        thread.join(5)
    assert received == [b"z" * 100_000]

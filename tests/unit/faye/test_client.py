"""The client as a whole against small hostile servers; the real one is in tests/integration."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.faye import Connected, Event, FayeClient, Gap, Message, Subscription, TransportChanged
from tests.unit.faye.loopback import Loopback, Peer

Answer = Callable[[Peer, list[Any]], None]


def replies(batch: list[Any], **advice: object) -> list[dict[str, Any]]:
    """Friendly answers to each message."""
    answers = []
    for message in batch:
        answer = {key: message[key] for key in ("channel", "id", "subscription") if key in message}
        answers.append({**answer, "successful": True, "clientId": "c1", "advice": advice})
    return answers


def holds_connects(batch: list[Any]) -> bool:
    """Whether the batch is a connect that a server holds."""
    return batch[-1]["channel"] == "/meta/connect" and "advice" not in batch[-1]


@contextmanager
def running(answer: Answer, **options: Any) -> Iterator[tuple[Loopback, list[Any], threading.Event, threading.Thread]]:
    """A client of a server that lets `answer` have each batch; yields what the client told and how to stop it."""
    news: list[Any] = []

    def play(peer: Peer) -> None:
        while True:
            first, _, body = peer.request()
            if not first.startswith("POST"):
                peer.answer(b"", "400 Bad Request")
                return
            answer(peer, json.loads(body))

    server = Loopback(play)
    stop = threading.Event()
    client = FayeClient(server.url, [Subscription("/a", news.append)], on_event=news.append, rng=lambda: 0.0, **options)
    thread = threading.Thread(target=client.run, args=(stop,), name="test-client")
    thread.start()
    try:
        yield server, news, stop, thread
    finally:
        stop.set()
        thread.join(5)
        server.close()
        assert not thread.is_alive()


def wait_for(news: list[Any], condition: Callable[[Any], bool], within: float = 10.0) -> Any:
    """The first thing told that meets the condition."""
    until = time.monotonic() + within
    pause = threading.Event()
    while time.monotonic() < until:
        for item in list(news):
            if condition(item):
                return item
        pause.wait(0.01)
    raise AssertionError(news)


def test_run_returns_within_two_seconds_when_the_server_swallows_the_goodbye() -> None:
    """Every answer but the first ones is swallowed; nothing is left behind."""
    held = threading.Event()

    def answer(peer: Peer, batch: list[Any]) -> None:
        if holds_connects(batch) or batch[0]["channel"] == "/meta/disconnect":
            held.set()
            return
        peer.answer(json.dumps(replies(batch)).encode())

    with running(answer) as (_, _, stop, thread):
        assert held.wait(5)
        began = time.monotonic()
        stop.set()
        thread.join(5)
        assert time.monotonic() - began < 2
    assert not [t for t in threading.enumerate() if t.name.startswith("faye-")]


def test_a_batch_lost_with_its_connection_is_a_gap_and_the_client_id_stays() -> None:
    """The first held connect is cut; the client comes back with the same id and says so."""
    connects: list[Any] = []

    def answer(peer: Peer, batch: list[Any]) -> None:
        if holds_connects(batch):
            connects.append(batch)
            if len(connects) == 1:
                peer.answer(b'[{"channel":"/a","da', length=900)
                raise EOFError  # closes the connection
            if len(connects) == 2:
                body = [*replies(batch), {"channel": "/a", "data": "hello"}]
                peer.answer(json.dumps(body).encode())
            return
        peer.answer(json.dumps(replies(batch)).encode())

    with running(answer) as (_, news, _, _):
        wait_for(news, lambda item: isinstance(item, Message) and item.data == "hello")
        assert [item.new for item in news if isinstance(item, Connected)] == [True, False]
        assert any(isinstance(item, Gap) for item in news)


def test_a_server_without_websockets_is_heard_over_long_polling() -> None:
    """After three failures the websocket is given up."""

    def answer(peer: Peer, batch: list[Any]) -> None:
        if not holds_connects(batch):
            peer.answer(json.dumps(replies(batch)).encode())

    with running(answer, transport="websocket") as (_, news, _, _):
        wait_for(news, lambda item: isinstance(item, TransportChanged))
        wait_for(news, lambda item: isinstance(item, Connected))


def test_resubscribe_reads_the_token_afresh_while_a_connect_is_held() -> None:
    """The second subscribe carries the new token, on the other connection."""
    seen: list[str] = []
    tokens = ["one"]
    second = threading.Event()

    def play(peer: Peer) -> None:
        while True:
            batch = json.loads(peer.request()[2])
            seen.extend(m["ext"]["authentication_token"] for m in batch if "ext" in m)
            if len(seen) == 2:
                second.set()
            if not holds_connects(batch):
                peer.answer(json.dumps(replies(batch)).encode())

    server = Loopback(play)
    connected = threading.Event()

    def note(event: Event) -> None:
        if isinstance(event, Connected):
            connected.set()

    client = FayeClient(
        server.url,
        [Subscription("/a", lambda _: None, lambda: {"authentication_token": tokens[-1]})],
        on_event=note,
    )
    stop = threading.Event()
    thread = threading.Thread(target=client.run, args=(stop,), name="test-client")
    thread.start()
    assert connected.wait(10)
    with pytest.raises(RuntimeError, match="already"):
        client.run(stop)
    tokens.append("two")
    client.resubscribe()
    assert second.wait(5)
    stop.set()
    thread.join(5)
    server.close()
    assert seen == ["one", "two"]
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("url", "channel", "options"),
    [
        ("ftp://x/faye", "/a", {}),
        ("http:///faye", "/a", {}),
        ("http://x/faye", "a", {}),
        ("http://x/faye", "/a/", {}),
        ("http://x/faye", "/meta/connect", {}),
        ("http://x/faye", "/a", {"transport": "pigeon"}),
        ("http://x/faye", "/a", {"ext_on": "never"}),
    ],
)
def test_what_can_never_work_is_said_at_once(url: str, channel: str, options: Any) -> None:
    """A ValueError that says what was expected."""
    with pytest.raises(ValueError, match=r"must be|is not a channel"):
        FayeClient(url, [Subscription(channel, lambda _: None)], **options)


def test_two_handlers_for_one_channel_or_none_at_all_are_refused() -> None:
    """One channel has one handler."""
    twice = [Subscription("/a", lambda _: None)] * 2
    with pytest.raises(ValueError, match="twice"):
        FayeClient("http://x/faye", twice)
    with pytest.raises(ValueError, match="nothing"):
        FayeClient("http://x/faye", [])


def test_the_package_needs_nothing_of_ours_and_no_websocket_library_until_it_is_used() -> None:
    """It is usable on its own."""
    script = (
        "import sys, agent.faye as f; f.FayeClient('http://x/f', [f.Subscription('/a', print)]);"
        "print([m for m in sys.modules if m == 'websocket' or m.startswith(('agent.', 'drivers'))"
        " and not m.startswith('agent.faye')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"

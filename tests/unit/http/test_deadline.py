"""A call has a limit in all: a server that sends a byte now and then cannot hold it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from urllib3.connection import HTTPConnection

from agent.errors import CloudError
from agent.http.adapter import BoundedAdapter
from agent.http.name_resolver import NameResolver
from agent.server.api_client import SLACK
from agent.service.config import CloudSection
from agent.service.system_clock import SystemClock
from agent.testing import FakeClock
from tests.rigs.server_rig import scripted, trickling
from tests.support.cloud_side import make_client

TOKEN = "T" * 43
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "drip"),
    [(b"", b"H"), (b"HTTP/1.1 200 OK\r\nX: ", b"a"), (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), (HEAD, b"x")],
    ids=["the status line", "one header", "headers", "the body"],
)
def test_a_trickling_answer_is_given_up_within_the_limit_of_the_call(before: bytes, drip: bytes) -> None:
    with trickling(before, drip) as url:
        section = CloudSection(server=url, connect_timeout_s=0.2, read_timeout_s=0.4)
        cloud = make_client(section, SystemClock())
        began = time.monotonic()
        with pytest.raises(CloudError, match="no answer") as caught:
            cloud.post_status(TOKEN, b"{}")
        assert time.monotonic() - began < 2.0
        assert caught.value.status is None
        cloud.close()


def test_the_limit_is_each_calls_own() -> None:
    """A connection that is kept does not carry the first call's limit to the second."""
    with scripted() as server:
        cloud = make_client(CloudSection(server=server.url, connect_timeout_s=0.2, read_timeout_s=0.3), SystemClock())
        cloud.post_status(TOKEN, b"{}")
        time.sleep(0.6)
        cloud.post_status(TOKEN, b"{}")
        assert len({str(one.connection) for one in server.asked()}) == 1
        cloud.close()


@pytest.fixture
def silent_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that does not answer until the event is set."""
    answers, real = threading.Event(), socket.getaddrinfo

    def look_up(*arguments: Any) -> Any:
        answers.wait(10)
        return real(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield answers
    answers.set()


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "name-server"]


def test_a_name_server_that_does_not_answer_is_given_up_and_not_asked_twice(silent_names: threading.Event) -> None:
    names = NameResolver(socket.getaddrinfo)
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="the name server does not answer"):
            names.resolve("127.0.0.1", 80, 0.1)
        assert time.monotonic() - began < 2
        assert len(asking()) == 1
    silent_names.set()
    assert names.resolve("127.0.0.1", 80, 5)[0][4] == ("127.0.0.1", 80)
    for thread in asking():
        thread.join(5)
    assert asking() == []


def test_a_name_that_there_is_not_is_said_as_ever() -> None:
    with pytest.raises(OSError, match="is no host name"):
        NameResolver(socket.getaddrinfo).resolve("a" * 64, 80, 5)
    with pytest.raises(socket.gaierror):
        NameResolver(socket.getaddrinfo).resolve("256.256.256.256.", 80, 5)


def test_a_call_ends_in_time_whatever_the_name_server_does_and_says_how_long_it_may_take(
    silent_names: threading.Event,
) -> None:
    beats: list[float] = []
    section = CloudSection(server="http://127.0.0.1:9", connect_timeout_s=0.2, read_timeout_s=0.3)
    cloud = make_client(section, SystemClock(), beat=beats.append)
    began = time.monotonic()
    with pytest.raises(CloudError, match="no answer: the name server does not answer"):
        cloud.post_status(TOKEN, b"{}")
    assert time.monotonic() - began < 2
    assert beats == [pytest.approx(0.5 + SLACK), 0.0]
    cloud.close()


def adapter_of(clock: FakeClock) -> BoundedAdapter:
    """An adapter for plain http to anywhere."""
    return BoundedAdapter(
        monotonic=clock.monotonic,
        tls=ssl.create_default_context,
        lookup=socket.getaddrinfo,
        policy=None,
        floor=None,
    )


@pytest.mark.parametrize(("remaining", "timeout", "least"), [(5.0, 20.0, 5.0), (60.0, 20.0, 20.0)])
def test_each_part_of_a_call_has_what_is_left_and_no_more_than_its_own_limit(
    monkeypatch: pytest.MonkeyPatch, remaining: float, timeout: float, least: float
) -> None:
    """The name's lookup, connecting, and each read: 5 s left are 5 s."""
    clock, lookups = FakeClock(), list[float]()
    real = NameResolver.resolve

    def resolve(resolver: NameResolver, host: str, port: int, within: float) -> list[Any]:
        lookups.append(within)
        return real(resolver, host, port, within)

    monkeypatch.setattr(NameResolver, "resolve", resolve)
    adapter = adapter_of(clock)
    with socket.create_server(("127.0.0.1", 0)) as server:
        adapter.set_deadline(remaining + 3.0)
        clock.advance(3.0)
        connection = HTTPConnection("127.0.0.1", server.getsockname()[1], timeout=timeout)
        with adapter.connect(connection, checked=True) as sock, server.accept()[0] as peer:
            assert (sock.gettimeout(), lookups) == (least, [least])
            peer.sendall(b"xy")
            for left in (least, min(least, remaining - 1.0)):
                assert adapter.read_into(sock, bytearray(1), timeout) == 1
                assert sock.gettimeout() == left
                clock.advance(1.0)


def test_a_call_that_has_no_time_left_is_not_begun() -> None:
    clock = FakeClock()
    adapter = adapter_of(clock)
    with socket.create_server(("127.0.0.1", 0)) as server:
        adapter.set_deadline(5.0)
        clock.advance(5.0)
        connection = HTTPConnection("127.0.0.1", server.getsockname()[1], timeout=20.0)
        with pytest.raises(TimeoutError, match="did not answer as a whole in time"):
            adapter.connect(connection, checked=True)


def test_an_address_that_does_not_answer_is_not_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address that leads nowhere, for example."""
    with scripted() as server, socket.create_server(("127.0.0.1", 0)) as closed:
        port = int(server.url.rpartition(":")[2])
        nowhere = closed.getsockname()
        closed.close()
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        both = [(*kind, nowhere), (*kind, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both)
        cloud = make_client(CloudSection(server=server.url), SystemClock())
        cloud.post_status(TOKEN, b"{}")
        assert len(server.asked()) == 1
        cloud.close()

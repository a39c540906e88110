"""A server that answers without end costs a call, and neither memory nor a thread: each client that there is."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import AgentError, UnavailableError
from agent.faye.long_polling import LongPolling
from agent.faye.websocket import WebSocketTransport
from agent.files.fetch import RetryPolicy, download
from agent.http.adapter import RateFloor
from agent.http.http_session import COOKIES, NoAuth
from agent.http.response import HEAD_LIMIT, LINE_LIMIT
from agent.server.member import pages
from agent.service.config import CloudSection, Config
from agent.service.system_clock import SystemClock
from tests.rigs.server_rig import Flood, Reply, ScriptedServer, answer, trickling
from tests.support.cloud_side import make_client, make_http
from tests.unit.faye.loopback import Ear, ask

TAKEN = 20 << 20  # bytes that a server can send to one that reads little: the sockets' buffers, a few attempts
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
BLOCK = b"x" * 65536

ENDLESS = {
    "a redirect's body": (MOVED + b"Content-Length: 99999999999\r\n\r\n", BLOCK),
    "a redirect's chunks": (MOVED + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + BLOCK + b"\r\n"),
    "a header": (OK + b"X: ", BLOCK),
    "headers": (OK, b"X: y\r\n" * 1000),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "headers of interim answers": (b"", b"HTTP/1.1 100 Continue\r\n" + b"X: yyyyyyyyyyyyy\r\n" * 50 + b"\r\n"),
    "a chunk's size": (CHUNKED, b"0" * 65536),
    "a chunk's extension": (CHUNKED + b"1;", BLOCK),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 1000),
    "a trailer": (CHUNKED + b"0\r\nX: ", BLOCK),
    "a status line": (b"HTTP/1.1 200 ", BLOCK),
    "an error's body": (b"HTTP/1.1 500 No\r\nContent-Length: 99999999999\r\n\r\n", BLOCK),
    "what follows a gzipped body": (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b'{"printers":[]}'), BLOCK),
    "what follows a deflated body": (OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(b"[]"), BLOCK),
}
LARGE = {
    "a body": (OK + b"\r\n", BLOCK),
    "a compressed body": (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(4 << 20)) * 4),
}


def rest(url: str, folder: Path) -> None:
    cloud = make_client(CloudSection(server=url, connect_timeout_s=2.0, read_timeout_s=2.0), SystemClock())
    try:
        cloud.post_status("T" * 43, b"{}")
    finally:
        cloud.close()


def member(url: str, folder: Path) -> None:
    config = Config(cloud=CloudSection(server=url, connect_timeout_s=2.0, read_timeout_s=2.0))
    list(pages(config, "token", make_http(config.cloud, SystemClock()), limit=1, offset=0, every=False))


def file(url: str, folder: Path) -> None:
    with make_http(CloudSection(server=url), SystemClock()).transfers() as session:
        policy = RetryPolicy(attempts=2, sleep=lambda _: None)
        download(f"{url}/a", folder / "a", session=session, max_bytes=1 << 20, retry=policy)


def faye(url: str, folder: Path) -> None:
    http, ear = make_http(CloudSection(server=url), SystemClock()), Ear()
    transport = LongPolling(
        url, ear, tls=http.tls, response_class=http.response_class, clock=time.monotonic, limit=1 << 20
    )
    try:
        transport.send(ask())
        ear.wait(failures=1)
    finally:
        transport.close(5)
    raise UnavailableError(ear.failures[0][0])


CLIENTS: list[Callable[[str, Path], None]] = [rest, member, file, faye]


@contextmanager
def flood(case: tuple[bytes, bytes]) -> Iterator[Flood]:
    server = Flood(*case)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("case", ENDLESS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_an_endless_answer_is_given_up(client: Callable[[str, Path], None], case: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with flood(ENDLESS[case]) as server:
        # Of a call whose body says nothing, what is after the head does not matter.
        if client is rest and case in ("a chunk's size", "a chunk's extension", "trailers", "a trailer"):
            with contextlib.suppress(AgentError):
                client(server.url, tmp_path)
        else:
            with pytest.raises(AgentError):
                client(server.url, tmp_path)
        assert server.asked >= 1
    assert server.sent < TAKEN
    assert time.monotonic() - began < 8.0


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_body_is_read_up_to_a_limit(client: Callable[[str, Path], None], case: str, tmp_path: Path) -> None:
    with flood(LARGE[case]) as server:
        tracemalloc.start()
        try:
            with contextlib.suppress(AgentError):
                client(server.url, tmp_path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    limit = 40 << 20 if client is member else 10 << 20  # 16 MiB of printers may come
    assert peak < limit
    assert server.sent < TAKEN + limit


def test_a_head_and_lines_of_usual_sizes_pass(server: ScriptedServer) -> None:
    cookies = {f"X-{number}": "y" * 600 for number in range(90)}
    server.script("/v1/print/printers/jobs", Reply(200, b'{"jobs":[]}', cookies))
    cloud = make_client(CloudSection(server=server.url), SystemClock())
    assert cloud.jobs("T") == []
    cloud.close()
    assert sum(len(name) + len(value) + 4 for name, value in cookies.items()) < HEAD_LIMIT
    assert LINE_LIMIT >= 4096


def test_a_transfer_below_the_floor_is_given_up_although_bytes_come(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with trickling(head, b"G") as url:
        http = make_http(CloudSection(server=url), SystemClock())
        with http.transfers(RateFloor(bytes_per_s=1000.0, window_s=0.4)) as session:
            policy = RetryPolicy(attempts=3, sleep=lambda _: None)
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="slower than 1000 bytes a second"):
                download(f"{url}/a", tmp_path / "a", session=session, max_bytes=10_000, retry=policy)
    assert time.monotonic() - began < 5.0


def test_a_transfer_above_the_floor_arrives_however_long_it_takes(tmp_path: Path) -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"G" * 500) as url:
        http = make_http(CloudSection(server=url), SystemClock())
        with http.transfers(RateFloor(bytes_per_s=1000.0, window_s=0.3)) as session:
            policy = RetryPolicy(attempts=1)
            done = download(f"{url}/a", tmp_path / "a", session=session, max_bytes=10_000, retry=policy)
    assert done.size == 5000


def test_a_server_that_gives_a_byte_and_breaks_off_is_given_up(tmp_path: Path) -> None:
    policy = RetryPolicy(attempts=4, sleep=lambda _: None)
    with a_byte_each_time() as (url, asked), make_http(CloudSection(server=url), SystemClock()).transfers() as session:
        with pytest.raises(UnavailableError, match="broke off"):
            download(f"{url}/a", tmp_path / "a", session=session, max_bytes=100, retry=policy)
        assert len(asked) == 4


@contextmanager
def a_byte_each_time() -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives the next byte of a file, and breaks off."""
    asked: list[bytes] = []
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not end.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                with client:
                    request = client.recv(65536)
                    asked.append(request)
                    match = re.search(rb"Range: bytes=(\d+)-", request)
                    start = int(match[1]) if match else 0
                    head = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes %d-99/100\r\n" % start if match else OK
                    client.sendall(head + b'ETag: "v"\r\nContent-Length: %d\r\n\r\nG' % (100 - start))

        thread = threading.Thread(target=serve, name="one-byte")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            end.set()
            thread.join(5)


def test_a_server_cannot_fill_the_memory_with_cookies(server: ScriptedServer) -> None:
    path = "/a"
    server.script(path, *(Reply(200, b"", {"Set-Cookie": f"c{number}=x; Path=/"}) for number in range(COOKIES * 3)))
    with make_http(CloudSection(server=server.url), SystemClock()).calls() as session:
        for _ in range(COOKIES * 3):
            with session.send("GET", server.url + path, headers={}, auth=NoAuth(), timeouts=(5, 5), total=9) as reply:
                reply.raw.read(10)
    sent = [one.headers.get("Cookie", "").count("=") for one in server.asked(path)]
    assert sent[:3] == [0, 1, 2]
    assert max(sent) <= COOKIES


def test_the_cookie_of_a_load_balancer_comes_back(server: ScriptedServer) -> None:
    jobs = Reply(200, b'{"jobs":[]}', {"Set-Cookie": "node=n1; Path=/"})
    server.script("/v1/print/printers/jobs", jobs, answer({"jobs": []}))
    cloud = make_client(CloudSection(server=server.url), SystemClock())
    cloud.jobs("T")
    cloud.jobs("T")
    cloud.close()
    assert [one.headers.get("Cookie") for one in server.asked()] == [None, "node=n1"]


HANDSHAKES = {
    "headers": (b"HTTP/1.1 101 Switching Protocols\r\n", b"X: y\r\n" * 1000),
    "a header": (b"HTTP/1.1 101 Switching Protocols\r\nX: ", BLOCK),
    "a refusal's body": (b"HTTP/1.1 403 No\r\nContent-Length: 99999999999\r\n\r\n", BLOCK),
    "a redirect's body": (MOVED + b"Content-Length: 99999999999\r\n\r\n", BLOCK),
}


@pytest.mark.parametrize("case", HANDSHAKES)
def test_an_endless_answer_to_a_websockets_handshake_is_given_up(case: str) -> None:
    with flood(HANDSHAKES[case]) as server:
        ear = Ear()
        transport = WebSocketTransport(server.url, ear, clock=time.monotonic)
        transport.send(ask())
        ear.wait(failures=1)
        transport.close(5)
    assert server.sent < TAKEN


def test_a_websockets_handshake_that_drips_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.faye.websocket.CONNECT_WAIT", 0.5)
    with trickling(b"HTTP/1.1 101 Switching Protocols\r\nX: ", b"y") as url:
        ear = Ear()
        transport = WebSocketTransport(url, ear, clock=time.monotonic)
        transport.send(ask())
        ear.wait(failures=1, within=3.0)
        transport.close(5)


def test_a_reply_that_drips_in_is_given_up() -> None:
    """Each byte counts as heard, so the protocol would wait for it for ever."""
    with trickling(CHUNKED + b"1\r\n[\r\n", b"1\r\n \r\n") as url:
        ear = Ear()
        transport = LongPolling(url, ear, clock=lambda: time.monotonic() * 300)
        transport.send(ask())
        ear.wait(failures=1, within=5.0)
        transport.close(5)
    assert ear.failures[0][0] == "the reply is slower than 500 bytes a second"


def test_a_page_of_printers_that_drips_in_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.server.member.CALL_LIMIT", 0.5)
    with (
        trickling(OK + b"Content-Length: 1000\r\n\r\n", b"x") as url,
        pytest.raises(UnavailableError, match="timed out"),
    ):
        member(url, tmp_path)

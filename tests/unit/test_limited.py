"""A call has a limit in all: a server that sends a byte now and then cannot hold it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.clock import SystemClock
from agent.cloud import Cloud
from agent.config import Cloud as CloudConfig
from agent.config import Config
from agent.errors import CloudError
from tests.support.http import scripted

TOKEN = "T" * 43
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@contextmanager
def trickling(before: bytes, drip: bytes) -> Iterator[str]:
    """A server that says `before` and then `drip` again and again, ten times a second; its URL."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = server.accept()
                except TimeoutError:
                    continue
                with client:
                    try:
                        client.recv(65536)
                        client.sendall(before)
                        while not stop.wait(0.1):
                            client.sendall(drip)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, name="trickling")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join(5)


@pytest.mark.parametrize(
    ("before", "drip"),
    [(b"", b"H"), (b"HTTP/1.1 200 OK\r\nX: ", b"a"), (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), (HEAD, b"x")],
    ids=["the status line", "one header", "headers", "the body"],
)
def test_a_trickling_answer_is_given_up_within_the_limit_of_the_call(before: bytes, drip: bytes) -> None:
    with trickling(before, drip) as url:
        config = Config(cloud=CloudConfig(server=url, connect_timeout_s=0.2, read_timeout_s=0.4))
        cloud = Cloud(config, SystemClock())
        began = time.monotonic()
        with pytest.raises(CloudError, match="no answer") as caught:
            cloud.post_status(TOKEN, b"{}")
        assert time.monotonic() - began < 2.0
        assert caught.value.status is None
        cloud.close()


def test_the_limit_is_each_calls_own() -> None:
    """A connection that is kept does not carry the first call's limit to the second."""
    with scripted() as server:
        cloud = Cloud(
            Config(cloud=CloudConfig(server=server.url, connect_timeout_s=0.2, read_timeout_s=0.3)), SystemClock()
        )
        cloud.post_status(TOKEN, b"{}")
        time.sleep(0.6)
        cloud.post_status(TOKEN, b"{}")
        assert len({str(one.connection) for one in server.asked()}) == 1
        cloud.close()

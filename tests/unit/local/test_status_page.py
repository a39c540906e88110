"""The status page's server: what it refuses, whom it does not wait for, where it listens."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError, UnavailableError
from agent.local.status_page import AT_ONCE, HEAD_LIMIT, StatusPage
from tests.rigs.page_rig import (
    TELEMETRY,
    CountingPulse,
    PageRig,
    a_print,
    local_api,
)


@pytest.fixture(scope="module")
def printing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRig]:
    with a_print(tmp_path_factory.mktemp("printing")) as running:
        yield running


@pytest.mark.parametrize("path", ["/x", "/metrics/", "/status.json/..", "/../etc/passwd", "/favicon.ico"])
def test_everything_else_is_not_found(path: str, printing: PageRig) -> None:
    code, _, text = printing.ask(path)
    assert (code, text) == (404, "404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_nothing_can_be_changed(method: str, printing: PageRig) -> None:
    code, headers, _ = printing.ask("/", method)
    assert (code, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics"])
def test_head_is_get_without_the_body(path: str, printing: PageRig) -> None:
    head, empty, body = printing.say(f"HEAD {path} HTTP/1.1\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert re.search(rb"\r\nContent-Length: [1-9]\d{2,}\r\n", head)
    assert (empty, body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/9.9.9\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_LIMIT - 18), b"431 Request Header Fields Too Large"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", b"404 Not Found"),
    ],
)
def test_a_request_that_is_none_gets_an_answer_and_harms_nobody(
    request_: bytes, answer: bytes, printing: PageRig
) -> None:
    assert answer in printing.say(request_)
    assert printing.ask("/")[0] == 200


def test_clients_that_say_nothing_stop_neither_others_nor_the_pulse(tmp_path: Path) -> None:
    """A browser opens connections ahead of time; systemd must not take the thread for dead."""
    api, store = local_api(tmp_path, TELEMETRY)
    with PageRig(api.status, deadline=60) as running:
        silent = [running.connect() for _ in range(AT_ONCE - 1)]
        assert running.ask("/")[0] == 200
        silent += [running.connect() for _ in range(2)]
        assert running.pulse.wait(2)
        for client in silent:
            client.close()
    store.close()


def test_a_request_that_drips_in_is_cut_off(tmp_path: Path) -> None:
    api, store = local_api(tmp_path, TELEMETRY)
    with PageRig(api.status, deadline=0.3) as running, running.connect() as client:
        client.settimeout(0.05)
        ended = False
        for _ in range(200):  # a byte each 0.05 s: never silent for the deadline
            try:
                client.send(b"x")
                ended = client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
            if ended:
                break
        assert ended
    store.close()


def test_a_state_that_cannot_be_read_is_said_and_passes() -> None:
    troubles: list[Exception] = [UnavailableError("the disk is full"), ZeroDivisionError()]

    def status() -> dict[str, Any]:
        raise troubles.pop(0)

    with PageRig(status) as running:
        code, _, text = running.ask("/")
        assert (code, text) == (503, "503 Service Unavailable: the disk is full\n")
        with pytest.raises(http.client.BadStatusLine):
            running.ask("/")  # a defect: in the log, not in the answer
        assert running.ask("/x")[0] == 404


@pytest.mark.parametrize(
    "address",
    [
        *("", "9101", ":9101", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1"),
        *("::1:80", "[127.0.0.1:80", "board.local:9101", "http://127.0.0.1:9101", "127.0.0.1:9101/", "1.2.3.256:80"),
    ],
)
def test_an_address_that_cannot_be_is_an_error_of_the_configuration(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^\[local\] status_page: '.*': expected ADDRESS:PORT"):
        StatusPage(address, dict, CountingPulse())


def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            UnavailableError, match=rf"^\[local\] status_page: {address}: cannot listen: Address already"
        ):
            StatusPage(address, dict, CountingPulse())


@pytest.mark.skipif(sys.platform != "linux", reason="IP_FREEBIND is Linux's")
@pytest.mark.parametrize("address", ["192.0.2.1:0", "[2001:db8::1]:0"])
def test_an_address_that_the_network_has_not_given_yet_does_not_keep_the_agent_from_starting(address: str) -> None:
    page = StatusPage(address, dict, CountingPulse())
    assert page.address.startswith(address[:-1])
    stop = threading.Event()
    stop.set()
    page.run(stop)


@pytest.mark.parametrize("address", ["localhost:0", "[::1]:0", "0.0.0.0:0"])
def test_it_listens_where_it_is_told(address: str) -> None:
    with PageRig(dict, address) as running:
        assert running.ask("/x")[0] == 404


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("{address}", 200),
        ("127.0.0.1", 200),
        ("localhost:9101", 200),
        ("LocalHost.", 200),
        ("Printer.LAN:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("10.0.0.1", 421),
        ("[::1]:9101", 421),
        ("[x]", 421),
        ("", 421),
        ("localhost\r\nHost: evil.example", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/x"])
def test_the_page_answers_only_to_its_own_names(host: str, code: int, path: str, tmp_path: Path) -> None:
    """Else a page of somebody else's reads it, once its name means this address (DNS rebinding)."""
    api, store = local_api(tmp_path, TELEMETRY)
    with PageRig(api.status, hosts=("printer.lan",)) as running:
        request = f"GET {path} HTTP/1.1\r\nHost: {host.format(address=running.page.address)}\r\n\r\n"
        answer = running.say(request.encode())
    store.close()
    expected = 404 if (path, code) == ("/x", 200) else code
    assert answer.startswith(f"HTTP/1.0 {expected} ".encode())
    assert code == 200 or TELEMETRY.firmware.encode() not in answer

"""`[cloud] ca_file` holds for each client, beside the authorities of the system; nothing is sent to a server without
a certificate that fits."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import AgentError, ConfigError, UnavailableError
from agent.faye.long_polling import LongPolling
from agent.files.fetch import RetryPolicy, download
from agent.http.client import HttpClient
from agent.http.session import NoAuth
from agent.server.member import pages
from agent.service.config import CloudSection, Config
from agent.service.system_clock import SystemClock
from tests.support.certificates import make_certificate, server_context
from tests.support.cloud_side import make_client, make_http
from tests.unit.faye.loopback import Ear, Loopback, Peer, ask


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def server(certificate: Path, asked: list[str]) -> Iterator[Loopback]:
    def play(peer: Peer) -> None:
        while True:
            asked.append(peer.request()[0].partition(" ")[0])
            peer.answer(b'{"printers":[],"jobs":[]}')

    made = Loopback(play, server_context(certificate))
    yield made
    made.close()


def rest(cloud: CloudSection, folder: Path) -> None:
    client = make_client(cloud, SystemClock())
    try:
        client.jobs("T")
    finally:
        client.close()


def member(cloud: CloudSection, folder: Path) -> None:
    list(pages(Config(cloud=cloud), "t", make_http(cloud, SystemClock()), limit=1, offset=0, every=False))


def file(cloud: CloudSection, folder: Path) -> None:
    with make_http(cloud, SystemClock()).transfers() as session:
        policy = RetryPolicy(attempts=1)
        download(f"{cloud.server}/a", folder / "a", session=session, max_bytes=100, allow_http=False, retry=policy)


def upload(cloud: CloudSection, folder: Path) -> None:
    with make_http(cloud, SystemClock()).transfers() as session:
        try:
            session.send(
                "PUT", f"{cloud.server}/l", body=b"x", headers={}, auth=NoAuth(), timeouts=(5, 5), total=9
            ).close()
        except OSError as error:
            raise UnavailableError("no upload") from error


def faye(cloud: CloudSection, folder: Path) -> None:
    ear, http = Ear(), make_http(cloud, SystemClock())
    transport = LongPolling(
        f"{cloud.server}/faye", ear, tls=http.tls, response_class=http.response_class, clock=time.monotonic
    )
    transport.send(ask())
    try:
        ear.wait_for_one()
    finally:
        transport.close(5)
    if ear.failures:
        raise UnavailableError(ear.failures[0][0])


CLIENTS: list[Callable[[CloudSection, Path], None]] = [rest, member, file, upload, faye]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_private_authority_is_trusted_where_it_is_configured(
    client: Callable[[CloudSection, Path], None],
    server: Loopback,
    asked: list[str],
    certificate: Path,
    tmp_path: Path,
) -> None:
    url = server.url.removesuffix("/faye")
    with pytest.raises(AgentError):
        client(CloudSection(server=url), tmp_path)
    assert asked == []
    client(CloudSection(server=url, ca_file=str(certificate)), tmp_path)
    assert len(asked) == 1


def test_a_private_authority_stands_beside_the_systems(certificate: Path) -> None:
    without = make_http(CloudSection(server="https://cloud.example"), SystemClock()).tls()
    http = make_http(CloudSection(server="https://cloud.example", ca_file=str(certificate)), SystemClock())
    context = http.tls()
    assert len(context.get_ca_certs()) == len(without.get_ca_certs()) + 1 > 50
    assert context is http.tls(), "one for all sessions"
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_file_that_holds_no_certificate_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not PEM")
    with pytest.raises(ConfigError, match=r"\[cloud\] ca_file: .*ca.pem: cannot be used"):
        HttpClient(
            CloudSection(server="https://cloud.example", ca_file=str(tmp_path / "ca.pem")),
            monotonic=time.monotonic,
            lookup=lambda *_: [],
        )


@contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that takes one CONNECT and passes bytes on, both ways; its URL, and what it was asked."""
    asked: list[str] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def play(peer: Peer) -> None:
        line, _, _ = peer.request()
        asked.append(line)
        host, _, port = line.split(" ")[1].rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            peer.link.sendall(b"HTTP/1.1 200 Connection established\r\nVia: a-proxy\r\n\r\n")
            back = threading.Thread(target=pump, args=(there, peer.link), name="tunnel", daemon=True)
            back.start()
            pump(peer.link, there)
            back.join(5)

    proxy = Loopback(play)
    try:
        yield f"http://127.0.0.1:{proxy.port}", asked
    finally:
        proxy.close()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_the_server_is_reached_through_a_proxys_tunnel(
    client: Callable[[CloudSection, Path], None],
    server: Loopback,
    asked: list[str],
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with tunnel() as (url, tunnelled):
        monkeypatch.setenv("https_proxy", url)
        client(CloudSection(server=server.url.removesuffix("/faye"), ca_file=str(certificate)), tmp_path)
    assert [line.rpartition(" ")[0] for line in tunnelled] == [f"CONNECT 127.0.0.1:{server.port}"]
    assert len(asked) == 1

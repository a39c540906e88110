"""Which addresses may be connected to when others name them. Nothing leaves loopback: names are answered by the test,
and a connection to anywhere else fails it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError, ConfigError, DataError
from agent.files.fetch import RetryPolicy, download
from agent.http.addresses import REFUSAL, AddressPolicy, destinations, is_public, literal_address
from agent.http.http_client import HttpClient
from agent.http.name_resolver import Lookup
from agent.service.config import CloudSection, load
from agent.service.system_clock import SystemClock
from tests.support.file_server import FileServer, reply
from tests.unit.faye.loopback import Loopback, Peer

BODY = b"G28\nG1 X1\n"
PUBLIC = "http://cloud.example"

LOCAL = [
    "127.0.0.1",
    "127.1",
    "127.200.3.4",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 asked for, not bound
    "0",
    "[::]",
    "10.0.0.1",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::1]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::1]",
    "[2001:db8::1]",
    "[100::1]",
]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were connected to; only loopback may be, and all of it stands for 127.0.0.1."""
    real, seen = socket.socket.connect, []

    def connect(self: socket.socket, address: Any) -> None:
        seen.append(address[0])
        if not address[0].startswith("127."):
            raise AssertionError(f"a packet to {address[0]}")
        real(self, ("127.0.0.1", address[1]))

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


class Names:
    """A name server in the test's hands; IP addresses are answered as the C library does."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *rest: int) -> list[Any]:
        self.asked.append(host)
        if host in self.names:
            return [each for text in self.names[host] for each in socket.getaddrinfo(text, port, *rest)]
        if not literal_address(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return socket.getaddrinfo(host, port, *rest)


@pytest.fixture
def files() -> Iterator[FileServer]:
    server = FileServer()
    server.answers = [reply(body=BODY)]
    yield server
    server.close()


Fetch = Callable[..., bytes]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    def run(url: str, names: Lookup, server: str = PUBLIC, allow: tuple[str, ...] = ()) -> bytes:
        cloud = CloudSection(server=server, allow_http=True, allow_addresses=allow)
        http = HttpClient(cloud, monotonic=SystemClock().monotonic, lookup=names)
        policy = RetryPolicy(attempts=1)
        with http.transfers() as session:
            return download(url, tmp_path / "a", session=session, max_bytes=100, retry=policy).path.read_bytes()

    return run


@pytest.mark.parametrize("host", LOCAL + NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_before_a_packet_leaves(
    host: str, fetch: Fetch, connected: list[str]
) -> None:
    with pytest.raises(AgentError) as caught:
        fetch(f"http://{host}:9/secret", Names(cloud_example=["203.0.113.7"]))
    assert connected == []
    assert isinstance(caught.value, DataError), caught.value
    assert str(caught.value) == REFUSAL


@pytest.mark.parametrize("host", LOCAL + NOT_PUBLIC)
def test_a_redirect_to_such_an_address_is_refused(
    host: str, fetch: Fetch, files: FileServer, connected: list[str]
) -> None:
    files.answers = [reply(302, headers={"Location": f"http://{host}:9/secret"})]
    port = files.url.rpartition(":")[2]
    names = Names(files_example=["127.0.0.9"])
    with pytest.raises(DataError, match=r"^http://files.example:\d+/a: redirected to an address that is not allowed$"):
        fetch(f"http://files.example:{port}/a", names, allow=("127.0.0.9/32",))
    assert set(connected) == {"127.0.0.9"}


def test_a_name_that_leads_to_loopback_is_refused_and_the_server_there_hears_nothing(
    fetch: Fetch, files: FileServer, connected: list[str]
) -> None:
    url = files.url.replace("127.0.0.1", "files.example")
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "::1"):
        with pytest.raises(DataError, match="not public"):
            fetch(url, Names(files_example=[address]))
    assert (files.paths, connected) == ([], [])


def test_what_is_connected_to_is_what_was_checked(fetch: Fetch, files: FileServer, connected: list[str]) -> None:
    """A name server that answers something else the second time is not asked a second time."""
    answers = iter(["127.0.0.5", "10.0.0.1"])

    def lookup(host: str, port: int, *rest: int) -> list[Any]:
        return socket.getaddrinfo(next(answers), port, *rest)

    assert fetch(files.url.replace("127.0.0.1", "files.example"), lookup, allow=("127.0.0.5",)) == BODY
    assert connected == ["127.0.0.5"]
    assert next(answers) == "10.0.0.1", "asked once"


def test_an_allowed_address_among_others_is_used(fetch: Fetch, files: FileServer, connected: list[str]) -> None:
    names = Names(files_example=["10.0.0.1", "127.0.0.1"])
    assert fetch(files.url.replace("127.0.0.1", "files.example"), names, allow=("127.0.0.1/32",)) == BODY
    assert connected == ["127.0.0.1"]


@pytest.mark.parametrize("server", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80", "http://127.1"])
def test_a_server_on_loopback_has_loopback_allowed_and_nothing_else(
    server: str, fetch: Fetch, files: FileServer, connected: list[str]
) -> None:
    names = Names(localhost=["127.0.0.1"])
    assert fetch(files.url, names, server=server) == BODY
    with pytest.raises(DataError, match="not public"):
        fetch("http://192.168.1.1/x", names, server=server)
    with pytest.raises(DataError, match="not public"):
        fetch("http://0.0.0.0/x", names, server=server)


def test_a_server_in_a_private_network_has_its_own_address_allowed() -> None:
    def resolve(name: str) -> list[str]:
        return {"cloud.lan": ["192.168.1.10"]}[name]

    policy = AddressPolicy("cloud.lan", [])
    policy.require_allowed("192.168.1.10", resolve)
    policy.require_allowed("::ffff:192.168.1.10", resolve)
    for other in ("192.168.1.11", "127.0.0.1"):
        with pytest.raises(DataError):
            policy.require_allowed(other, resolve)


def test_the_owners_networks_are_allowed() -> None:
    policy = AddressPolicy("cloud.example", [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::7"):
        policy.require_allowed(address, lambda _: [])
    for address in ("10.2.0.1", "fc00::1", "127.0.0.1"):
        with pytest.raises(DataError):
            policy.require_allowed(address, lambda _: [])


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_allowed_without_asking_for_the_servers(address: str) -> None:
    def resolve(name: str) -> list[str]:
        raise AssertionError(name)

    AddressPolicy("cloud.example", []).require_allowed(address, resolve)
    assert all(is_public(each) for each in destinations(address))


def test_a_server_whose_name_cannot_be_resolved_allows_nothing() -> None:
    def resolve(name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    with pytest.raises(DataError):
        AddressPolicy("cloud.example", []).require_allowed("127.0.0.1", resolve)


def test_a_proxy_is_the_owners_and_looks_up_the_names(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, connected: list[str]
) -> None:
    asked: list[str] = []

    def play(peer: Peer) -> None:
        asked.append(peer.request()[0])
        peer.answer(BODY)

    proxy = Loopback(play)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    names = Names()
    try:
        assert fetch("http://files.example/a", names) == BODY
        assert asked == ["GET http://files.example/a HTTP/1.1"]
        assert "files.example" not in names.asked
        for host in ("10.0.0.1", "2130706433", "[::1]"):
            with pytest.raises(DataError, match="not public"):
                fetch(f"http://{host}/a", names)
        assert len(asked) == 1
    finally:
        proxy.close()


def test_the_configuration_takes_networks_only() -> None:
    assert load(None, {}, ['cloud.allow_addresses=["10.0.0.0/8", "fd00::1"]']).cloud.allow_addresses == (
        "10.0.0.0/8",
        "fd00::1",
    )
    with pytest.raises(ConfigError, match=r"\[cloud\] allow_addresses: expected IP networks like 192.168.1.0/24"):
        load(None, {}, ['cloud.allow_addresses=["files.lan"]'])

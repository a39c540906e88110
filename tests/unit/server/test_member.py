"""`GET printers` as a member, against a real server: where the token comes from, pages, and what goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError, DataError, RejectedError, TokenError, UnavailableError
from agent.http.client import HttpClient
from agent.server.member import base, pages, table, token
from agent.service.config import CloudSection, Config, MemberSection
from agent.service.system_clock import SystemClock
from tests.rigs.server_rig import Reply, ScriptedServer, answer, scripted
from tests.support.cloud_side import make_http

TOKEN = "member-token-0001"
FIRST = "/v1/print/printers?limit=2&offset=0"
SECOND = "/v1/print/printers?limit=2&offset=2"


def page(*numbers: int, after: object = "") -> Reply:
    return answer({"printers": [{"printer_id": number} for number in numbers], "_link_next": after})


def http(config: Config) -> HttpClient:
    return make_http(config.cloud, SystemClock())


def fetch(server: ScriptedServer, *, every: bool = False, member: MemberSection | None = None) -> list[dict[str, Any]]:
    config = Config(cloud=CloudSection(server=server.url, read_timeout_s=5.0), member=member or MemberSection())
    return list(pages(config, TOKEN, http(config), limit=2, offset=0, every=every))


def test_one_page_is_asked_for_with_the_members_token(server: ScriptedServer) -> None:
    server.script(FIRST, page(1, 2, after="/print/printers?limit=2&offset=2"))
    assert [printer["printer_id"] for printer in fetch(server)[0]["printers"]] == [1, 2]
    (asked,) = server.asked()
    assert (asked.method, asked.path, asked.headers["Authorization"]) == ("GET", FIRST, f"Bearer {TOKEN}")


def test_all_pages_are_followed_to_the_end(server: ScriptedServer) -> None:
    server.script(FIRST, page(1, 2, after="/print/printers?limit=2&offset=2"))
    server.script(SECOND, page(3))
    found = [printer["printer_id"] for one in fetch(server, every=True) for printer in one["printers"]]
    assert found == [1, 2, 3]


def test_the_members_api_may_live_elsewhere(server: ScriptedServer) -> None:
    server.script("/ps/v1/print/printers?limit=2&offset=0", page(9))
    with scripted() as other:
        config = Config(
            cloud=CloudSection(server=other.url), member=MemberSection(server=server.url + "/", api_base="/ps/v1/")
        )
        assert base(config) == f"{server.url}/ps/v1"
        assert next(iter(pages(config, TOKEN, http(config), limit=2, offset=0, every=False)))["printers"] == [
            {"printer_id": 9}
        ]
        assert other.asked() == []


@pytest.mark.parametrize("link", ["https://evil.example.com/print/", "//evil/print/", "/other", 7])
def test_the_token_goes_nowhere_but_to_the_server(server: ScriptedServer, link: object) -> None:
    server.script(FIRST, page(1, after=link))
    with pytest.raises(DataError, match="_link_next is not a path under /print"):
        fetch(server, every=True)
    assert len(server.asked()) == 1


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    with scripted() as other:
        server.script(FIRST, Reply(302, headers={"Location": other.url}))
        with pytest.raises(UnavailableError, match="answered 302"):
            fetch(server)
        assert other.asked() == []


def test_a_netrc_does_not_put_another_token_in_place(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.script(FIRST, page(1))
    fetch(server)
    assert server.asked()[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (Reply(401), TokenError, "401"),
        (Reply(403), TokenError, "403"),
        (Reply(400, b"bad limit"), RejectedError, "400 bad limit"),
        (Reply(404), RejectedError, "404"),
        (Reply(422), RejectedError, "422"),
        (Reply(408), UnavailableError, "408"),
        (Reply(429), UnavailableError, "429"),
        (Reply(500), UnavailableError, "500"),
        (Reply(hang_up=True), UnavailableError, "did not answer"),
        (Reply(200, b"<html>"), DataError, "not as expected"),
        (answer([]), DataError, "not as expected"),
        (answer({"printers": {}}), DataError, "no list of printers"),
    ],
)
def test_what_goes_wrong_is_said_without_the_token(
    server: ScriptedServer, reply: Reply, kind: type[Exception], said: str
) -> None:
    server.script(FIRST, reply)
    with pytest.raises(kind, match=said) as caught:
        fetch(server)
    assert TOKEN not in str(caught.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = Config(cloud=CloudSection(server=f"http://127.0.0.1:{free.getsockname()[1]}"))
        with pytest.raises(UnavailableError, match=r"http://127.0.0.1:\d+/v1 did not answer: Connection refused"):
            list(pages(config, TOKEN, http(config), limit=1, offset=0, every=False))


def test_the_token_comes_from_the_file_then_the_credential_then_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    config = Config(member=MemberSection(token_file=str(file)))
    environ = {"PRINTER_AGENT_MEMBER_TOKEN": " from-env \n"}
    assert token(config, environ) == "from-env"
    (tmp_path / "member_token").write_text("from-credential\n")
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert token(config, environ) == "from-credential"
    file.write_text("from-file\n")
    assert token(config, environ) == "from-file"


@pytest.mark.parametrize("bad", [b"", b"\n", b"two words", b"two\nlines", b"\xff", "ä".encode()])
def test_a_token_that_cannot_be_one_is_not_shown(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "t").write_bytes(bad)
    with pytest.raises(ConfigError) as caught:
        token(Config(member=MemberSection(token_file=str(tmp_path / "t"))), {})
    assert str(caught.value).startswith(str(tmp_path / "t"))
    assert "two" not in str(caught.value)


def test_no_token_anywhere_says_where_it_could_be() -> None:
    with pytest.raises(ConfigError, match="PRINTER_AGENT_MEMBER_TOKEN"):
        token(Config(), {})


def test_the_table_is_aligned_and_obeys_no_name() -> None:
    lines = table(
        [
            {"printer_id": 1, "printer_name": "a\x1b]0;x\x07", "printer_last_health": "offline", "is_primary": True},
            {"printer_id": 1000, "printer_name": "Längerer Name"},
        ]
    ).splitlines()
    assert lines[0].split() == ["ID", "NAME", "LAST", "HEALTH", "FIRMWARE", "PRIMARY"]
    assert lines[1].split() == ["1", r"a\x1b]0;x\x07", "offline", "True"]
    assert {line.index(word) for line, word in zip(lines, ["NAME", r"a\x1b", "Längerer"], strict=True)} == {6}

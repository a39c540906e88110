"""`GET printers` as a member, against a real server: where the token comes from, pages, and what goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError, CloudError, ConfigError, RejectedError, TokenError, UnavailableError
from agent.http.http_client import HttpClient
from agent.server import member
from agent.server.member import base, pages, token
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


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/v1/print/printers",
        "//evil/print/printers",
        "/other",
        "/print/printers/../jobs",
        "/print/printers@evil",
        "/print/printers?x=1#y",
        "/print/printers?a b",
        "/print/printers?\n",
        "/print/printers?" + "x" * 2000,
        7,
        ["/print/printers"],
    ],
)
def test_the_token_goes_nowhere_but_to_the_server(server: ScriptedServer, link: object) -> None:
    server.script(FIRST, page(1, after=link))
    with pytest.raises(UnavailableError, match="_link_next is not a path under /print/printers"):
        fetch(server, every=True)
    assert len(server.asked()) == 1


@pytest.mark.parametrize("start", ["", "/v1", "{url}/v1"])
def test_a_link_may_have_the_base_in_it(server: ScriptedServer, start: str) -> None:
    server.script(FIRST, page(1, 2, after=f"{start.format(url=server.url)}/print/printers?limit=2&offset=2"))
    server.script(SECOND, page(3, after=None))
    assert len(fetch(server, every=True)) == 2


def test_a_link_that_loops_is_noticed(server: ScriptedServer) -> None:
    server.script(FIRST, page(1, 2, after="/print/printers?limit=2&offset=2"))
    server.script(SECOND, page(3, after="/v1/print/printers?limit=2&offset=0"))
    with pytest.raises(UnavailableError, match="leads back to a page that was read already"):
        fetch(server, every=True)
    assert len(server.asked()) == 2


def test_links_without_an_end_are_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "PAGE_LIMIT", 2)
    server.script(FIRST, page(1, 2, after="/print/printers?limit=2&offset=2"))
    server.script(SECOND, page(3, after="/print/printers?limit=2&offset=4"))
    with pytest.raises(UnavailableError, match="more than 2 pages"):
        fetch(server, every=True)


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    with scripted() as other:
        server.script(FIRST, Reply(302, headers={"Location": other.url}))
        with pytest.raises(UnavailableError, match="redirects are not followed"):
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
        (Reply(401), TokenError, "does not take the member's token: it is wrong, or it has expired (401)"),
        (Reply(403, b"<html>login"), TokenError, "may not do this, or something on the way refuses it (403)"),
        (Reply(400, b"bad limit"), RejectedError, "cannot read the request (400, it says: bad limit)"),
        (Reply(404), RejectedError, "no such call: check [member] server and api_base (404)"),
        (
            answer({"error": {"code": 422, "message": f"no {TOKEN}\x1b"}}, 422),
            RejectedError,
            r"refuses a value of the request, such as limit or offset (422, it says: no …\x1b)",
        ),
        (Reply(408), CloudError, "(408)"),
        (Reply(418), RejectedError, "refuses the request (418)"),
        (Reply(429), CloudError, "too many requests (429); try again later"),
        (Reply(429, headers={"Retry-After": "30"}), CloudError, "too many requests (429); try again in 30 s"),
        (Reply(429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), CloudError, "try again in 1 s"),
        (answer({"message": "lost"}, 500), CloudError, "an error in the server: try again later (500, it says: lost)"),
        (Reply(503, headers={"Retry-After": "7"}), CloudError, "does not work now: try again later (503); try again"),
        (Reply(204), CloudError, "no content that could be shown (204)"),
        (Reply(hang_up=True), UnavailableError, "did not answer"),
        (Reply(200, b"<html>"), UnavailableError, "not as expected"),
        (answer([]), UnavailableError, "not as expected"),
        (answer({"printers": {}}), UnavailableError, "no list of printers"),
    ],
)
def test_what_goes_wrong_is_said_without_the_token(
    server: ScriptedServer, reply: Reply, kind: type[AgentError], said: str
) -> None:
    server.script(FIRST, reply)
    with pytest.raises(kind) as caught:
        fetch(server)
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.exit_code == 69


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

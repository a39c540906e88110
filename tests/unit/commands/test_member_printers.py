"""`printer-agent printers`, from its arguments to its exit code, at a server that answers anything at all."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import main
from tests.rigs.server_rig import Reply, ScriptedServer, answer, scripted

FIRST = "/v1/print/printers?limit=10&offset=0"
SECOND = "/v1/print/printers?limit=10&offset=10"
NEXT = "/print/printers?limit=10&offset=10"
OWN = {"printer_id": 1, "printer_name": "mine", "is_primary": True}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("PRINTER_AGENT_MEMBER_TOKEN", "member-token-0001")
    with scripted() as made:
        yield made


def run(server: ScriptedServer, *words: str) -> int:
    return main(["printers", *words, "--set", f"cloud.server={server.url}"])


def test_a_page_that_fails_leaves_those_that_were_read(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script(FIRST, answer({"printers": [OWN, {"printer_id": 2}], "_link_next": NEXT}))
    server.script(SECOND, Reply(429, headers={"Retry-After": "30"}))
    assert run(server, "--all") == 69
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [["1", "mine"], ["2", "-"]]
    assert said.err == (
        "printer-agent: printers from 2 on are missing: GET printers: too many requests (429); try again in 30 s\n"
    )


def test_as_json_the_pages_come_before_the_error(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script(FIRST, answer({"printers": [OWN], "_link_next": "https://elsewhere/print/printers"}))
    assert run(server, "--all", "--json") == 69
    page, error = map(json.loads, capsys.readouterr().out.splitlines())
    assert page["printers"] == [OWN]
    assert error["exit_code"] == 69
    assert "_link_next is not a path" in error["error"]


def test_entries_that_are_no_printers_are_counted(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script(FIRST, answer({"printers": [5, OWN, None]}))
    assert run(server) == 69
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == ["1", "mine", "-", "-", "owner"]
    assert said.err == "printer-agent: 2 of the entries in the server's answer are no printers\n"


def test_a_member_without_printers_is_told_so(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script(FIRST, answer({"printers": []}))
    assert run(server) == 0
    assert capsys.readouterr().out == "no printers\n"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503, 302, 418])
def test_every_refusal_is_a_sentence_and_unavailable(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    server.script(FIRST, Reply(status))
    assert run(server) == 69
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("printer-agent: GET printers: ")
    assert f"({status})" in said.err
    assert len(said.err.splitlines()) == 1


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
KEYS = ("printer_id", "printer_name", "printer_last_health", "firmware", "is_primary", "is_job_scoped")
printer = values | st.dictionaries(st.sampled_from(KEYS), values)
printers = st.lists(printer, max_size=4) | values
links = values | st.sampled_from((NEXT, "/v1" + NEXT, "/print/printers?x=\x00", "//x/print/printers"))
pages = st.fixed_dictionaries({"printers": printers}, optional={"_link_next": links, "count": values}) | values
bodies = st.builds(msgspec.json.encode, pages) | st.binary(max_size=60)
replies = st.builds(
    Reply,
    st.just(200) | st.sampled_from((200, 201, 204, 301, 400, 401, 403, 404, 422, 429, 500, 599)),
    bodies,
    st.dictionaries(
        st.just("Retry-After"), st.sampled_from(("1", "x", "-5", "9" * 40, "Fri, 31 Dec 1999 23:59:59 GMT"))
    ),
)
listed = st.builds(
    Reply,
    st.just(200),
    st.builds(
        msgspec.json.encode,
        st.fixed_dictionaries({"printers": st.lists(printer, max_size=4)}, optional={"_link_next": links}),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=listed | replies, second=replies, words=st.sampled_from(([], ["--json"], ["--all"], ["--all", "--json"])))
def test_no_answer_of_a_server_ends_it_with_a_traceback(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str], first: Reply, second: Reply, words: list[str]
) -> None:
    server.script(FIRST, first)
    server.script(SECOND, second)
    code = run(server, *words)
    said = capsys.readouterr()
    assert code in (0, 69)
    assert bool(said.err) == (code == 69)
    assert (said.out + said.err).replace("\n", "").isprintable()
    if "--json" in words:
        assert all(isinstance(json.loads(line), dict) for line in said.out.splitlines())

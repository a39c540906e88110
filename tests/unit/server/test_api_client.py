"""The REST client against a real server on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from agent.errors import CloudError, RejectedError, TokenError
from agent.http.describe_error import describe
from agent.server.api_client import ANSWER_LIMIT, MAX_JOB_VALUES, TOKEN_HEADER, ApiClient
from agent.service.config import CloudSection
from agent.testing import FakeClock
from tests.rigs.server_rig import Reply, ScriptedServer, answer, scripted
from tests.support.cloud_side import make_client

TOKEN = "T" * 43
CODE = "/v1/print/printers/registration_code"
JOBS = "/v1/print/printers/jobs"
STATUS = "/v1/print/printers/status"
REGISTERED = {"printer_id": 7, "auth_token": TOKEN, "registration_code": "CODE", "registered": False}


@pytest.fixture
def cloud(server: ScriptedServer) -> Iterator[ApiClient]:
    made = make_client(CloudSection(server=server.url + "/", read_timeout_s=5.0), FakeClock())
    yield made
    made.close()


def test_the_first_registration_has_no_token_and_a_later_one_has(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(CODE, answer(REGISTERED))
    assert cloud.register({"firmware": "f"}, None).auth_token == TOKEN
    cloud.register({"firmware": "f"}, TOKEN)
    first, second = server.asked(CODE)
    assert first.method == "POST"
    assert first.json == {"firmware": "f"}
    assert TOKEN_HEADER not in first.headers
    assert second.headers[TOKEN_HEADER] == TOKEN


@pytest.mark.parametrize(
    "more",
    [{"registration_code": None, "registration_url": None, "registered": True}, {"unknown": [1]}, {"auth_token": None}],
)
def test_what_does_not_apply_may_be_null(server: ScriptedServer, cloud: ApiClient, more: dict[str, object]) -> None:
    server.script(CODE, answer({**REGISTERED, **more}))
    assert cloud.register({}, TOKEN).printer_id == 7


@pytest.mark.parametrize(
    "bad",
    [
        Reply(200, b""),
        Reply(200, b"<html>"),
        Reply(200, b"\xff"),
        answer([]),
        answer({}),
        answer({**REGISTERED, "printer_id": "7"}),
        answer({**REGISTERED, "printer_id": 2**80}),
        answer({**REGISTERED, "auth_token": ""}),
        answer({**REGISTERED, "auth_token": f"{TOKEN}\r\nX: y"}),
        answer({**REGISTERED, "auth_token": "ä"}),
    ],
)
def test_a_registration_that_makes_no_sense_is_tried_again(
    server: ScriptedServer, cloud: ApiClient, bad: Reply
) -> None:
    server.script(CODE, bad)
    with pytest.raises(CloudError, match=r"^registration: ") as caught:
        cloud.register({}, None)
    assert TOKEN not in str(caught.value)


def test_a_report_goes_to_its_task_with_its_key(server: ScriptedServer, cloud: ApiClient) -> None:
    cloud.post_report(TOKEN, "a~b.c", b'{"progress":0}', "key-1")
    (asked,) = server.asked()
    assert (asked.method, asked.path) == ("POST", "/v1/print/printers/command/a~b.c")
    assert (asked.headers["Idempotency-Key"], asked.headers[TOKEN_HEADER]) == ("key-1", TOKEN)
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.body == b'{"progress":0}'


def test_older_servers_have_another_base(server: ScriptedServer) -> None:
    cloud = make_client(CloudSection(server=server.url, api_base="/api/v1/"), FakeClock())
    cloud.post_status(TOKEN, b"{}")
    cloud.close()
    assert server.asked()[0].path == "/api/v1/print/printers/status"


def test_one_connection_is_kept_for_many_calls(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(), answer({"ok": 1}), Reply(500, b"x" * 1000), Reply(422, b"no"), Reply())
    for _ in range(5):
        with contextlib.suppress(CloudError, RejectedError):
            cloud.post_status(TOKEN, b"{}")
    assert len({str(one.connection) for one in server.asked()}) == 1


@pytest.mark.parametrize(
    "body", [{"jobs": [{"task_id": "t"}, "x"]}, [{"task_id": "t"}, "x"]], ids=["an object", "a list"]
)
def test_lost_jobs_come_as_a_list_in_either_form(server: ScriptedServer, cloud: ApiClient, body: object) -> None:
    server.script(JOBS, answer(body))
    assert cloud.jobs(TOKEN) == [{"task_id": "t"}, "x"]
    assert server.asked()[0].method == "GET"


@pytest.mark.parametrize("bad", [answer({}), answer({"jobs": 7}), answer("x"), Reply(200, b"{"), Reply(204)])
def test_lost_jobs_that_make_no_sense_are_asked_for_again(server: ScriptedServer, cloud: ApiClient, bad: Reply) -> None:
    server.script(JOBS, bad)
    with pytest.raises(CloudError, match="printers/jobs: the answer"):
        cloud.jobs(TOKEN)


def test_missed_jobs_of_too_many_values_are_refused_undecoded(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(JOBS, answer([{}] * (MAX_JOB_VALUES // 2 + 1)))
    with pytest.raises(CloudError, match="more than 20000 values"):
        cloud.jobs(TOKEN)


def test_a_server_without_the_endpoint_says_404(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(JOBS, Reply(404))
    with pytest.raises(RejectedError) as caught:
        cloud.jobs(TOKEN)
    assert caught.value.status == 404


def test_a_refusal_has_the_beginning_of_the_answer(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(422, ("ä" * 5000).encode()))
    with pytest.raises(RejectedError, match="POST printers/status: 422 ä") as caught:
        cloud.post_status(TOKEN, b"{}")
    assert (caught.value.status, caught.value.answer) == (422, "ä" * 300)


@pytest.mark.parametrize("status", [401, 403])
def test_a_dead_token_is_not_shown(server: ScriptedServer, cloud: ApiClient, status: int) -> None:
    server.script(STATUS, Reply(status, f"bad token {TOKEN}".encode()))
    with pytest.raises(TokenError) as caught:
        cloud.post_status(TOKEN, b"{}")
    assert str(caught.value) == f"POST printers/status: {status}, the token is refused"


def test_later_has_the_status_and_what_the_server_asked_for(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(503, b"tired", {"Retry-After": "12"}))
    with pytest.raises(CloudError, match="503 tired") as caught:
        cloud.post_status(TOKEN, b"{}")
    assert (caught.value.status, caught.value.retry_after) == (503, 12)


def test_the_token_does_not_follow_a_redirect(server: ScriptedServer, cloud: ApiClient) -> None:
    with scripted() as other:
        server.script(STATUS, Reply(307, headers={"Location": other.url + STATUS}))
        with pytest.raises(CloudError):
            cloud.post_status(TOKEN, b"{}")
        assert other.asked() == []


def test_an_answer_without_end_is_not_read_to_it(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(200, b"x" * (ANSWER_LIMIT + 100_000)))
    cloud.post_status(TOKEN, b"{}")
    assert len(server.asked()) == 1


def test_no_answer_has_no_status_and_a_plain_reason(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(hang_up=True))
    with pytest.raises(CloudError, match=r"^POST printers/status: no answer: [\w ]+$") as caught:
        cloud.post_status(TOKEN, b"{}")
    assert caught.value.status is None


def test_a_server_that_is_silent_is_given_up(server: ScriptedServer, cloud: ApiClient) -> None:
    server.script(STATUS, Reply(hold=True))
    cloud.set_timeouts((0.5, 0.05))
    with pytest.raises(CloudError, match="no answer: timed out"):
        cloud.post_status(TOKEN, b"{}")


def test_a_port_where_nobody_listens_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cloud = make_client(CloudSection(server=f"http://127.0.0.1:{free.getsockname()[1]}"), FakeClock())
        with pytest.raises(CloudError, match="no answer: Connection refused") as caught:
            cloud.post_status(TOKEN, b"{}")
        cloud.close()
    assert caught.value.status is None


def test_a_reason_is_found_behind_all_others_even_in_a_circle() -> None:
    inner = OSError(113, os.strerror(113))
    outer = ValueError(inner)
    assert describe(outer) == os.strerror(113)
    assert describe(TimeoutError()) == "timed out"
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert describe(first) in ("ValueError", "KeyError")


DEEP = b"[" * 5_000 + b"]" * 5_000


def test_an_answer_that_nests_too_deeply_is_a_failure_for_now(server: ScriptedServer, cloud: ApiClient) -> None:
    """It raised RecursionError, which ended the process at each start."""
    server.script(
        "/v1/print/printers/registration_code", Reply(200, b'{"printer_id":7,"auth_token":"t","x":%b}' % DEEP)
    )
    server.script("/v1/print/printers/jobs", Reply(200, b'{"jobs":[],"x":%b}' % DEEP))
    with pytest.raises(CloudError, match="registration: the answer is not as expected"):
        cloud.register({}, None)
    with pytest.raises(CloudError, match="printers/jobs: the answer is not JSON"):
        cloud.jobs(TOKEN)

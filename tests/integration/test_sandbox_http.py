"""The local cloud over real sockets: both sides of the API, delivery through held polls, restart and stop."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from agent.errors import ConfigError, RejectedError, TokenError, UnavailableError
from agent.sandbox.accounts import Accounts
from agent.sandbox.member_client import SandboxMember
from agent.sandbox.records_file import RecordsFile
from agent.sandbox.serve import serve
from tests.rigs.cloud_rig import LIMIT_S, TYPE_ID, HeldPoll, RunningCloud, RunningPrinter

DONE = {"progress": 1, "data": {"state": "completed"}}
URL = "http://127.0.0.1:1/cube.gcode"


def error_of(answer: requests.Response) -> str:
    """The message of an error; every error has one, as JSON."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    body = answer.json()["error"]
    assert body["code"] == answer.status_code
    return str(body["message"])


def test_a_printer_gets_a_code_and_a_token_and_learns_that_it_is_registered(cloud: RunningCloud) -> None:
    printer = cloud.printer(registered=False)
    assert printer.identity["registered"] is False
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", printer.token)
    assert printer.identity["registration_url"].startswith(cloud.url)
    poll = HeldPoll(cloud, printer.listen())
    cloud.member.register("shed", printer.code)
    _, event = poll.replies()
    said = {"registration": "success", "type": "primary", "printer_id": printer.printer_id}
    assert event["channel"] == f"/printers/{printer.printer_id}/users"
    assert event["data"] == said | {"member_id": cloud.member.printers()["member_id"]}
    again = printer.post("printers/registration_code", {"firmware": "1.2"}).json()
    assert (again["registered"], again["auth_token"]) == (True, printer.token)
    assert cloud.seen("registered")[-1]["printer_id"] == printer.printer_id


def test_registration_asks_for_what_is_missing(cloud: RunningCloud, printer: RunningPrinter) -> None:
    def ask(body: object, **headers: str) -> tuple[int, str]:
        answer = requests.post(f"{cloud.api}/printers/registration_code", json=body, headers=headers, timeout=LIMIT_S)
        return answer.status_code, error_of(answer)

    assert ask({"type_id": TYPE_ID}) == (422, "firmware is required")
    assert ask({"firmware": "1"}) == (422, "type_id is required")
    assert ask({"firmware": "1", "type_id": "cube"}) == (422, "type_id must be a UUID")
    assert ask({"firmware": "1"}, **{"X-Printer-Auth-Token": "x" * 43})[0] == 401
    with pytest.raises(RejectedError, match="no printer shows this registration_code"):
        cloud.member.register("mine", "NOPE")


def test_a_command_reaches_a_held_poll_and_its_reports_make_the_record(
    cloud: RunningCloud, printer: RunningPrinter
) -> None:
    poll = HeldPoll(cloud, printer.listen())
    task_id = cloud.member.command(printer.printer_id, "pause", job_id="j1")
    reply, event = poll.replies()
    assert reply["successful"] is True
    assert event["data"] == {"command": "pause", "task_id": task_id, "job_id": "j1"}
    assert set(event) == {"channel", "data", "id"}
    assert cloud.member.task(task_id)["progress"] == 0
    for body in ({"progress": 0}, {"progress": 0.5}, DONE):
        assert printer.report(task_id, body).status_code == 204
    assert [report["body"] for report in cloud.member.reports(task_id)] == [{"progress": 0}, {"progress": 0.5}, DONE]
    last = cloud.member.task(task_id)
    assert (last["progress"], last["command"]) == (1, "pause")
    assert re.fullmatch(r"[A-Z][a-z]+ \d{1,2}, \d{4} \d\d:\d\d:\d\d", last["status_update_time"])
    event = cloud.seen("report")[-1]
    assert event["path"] == f"/v1/print/printers/command/{task_id}"
    assert (event["body"], event["status"]) == (DONE, 204)


def test_a_report_that_comes_again_with_its_key_is_taken_and_not_recorded(
    cloud: RunningCloud, printer: RunningPrinter
) -> None:
    task_id = cloud.member.command(printer.printer_id, "home")
    for key in ("k1", "k1", "k2"):
        assert printer.report(task_id, DONE, Idempotency_Key=key).status_code == 204
    assert len(cloud.member.reports(task_id)) == 2
    assert len([event for event in cloud.seen("report") if event["task_id"] == task_id]) == 2


def test_a_bad_report_is_refused_and_told_why(cloud: RunningCloud, printer: RunningPrinter) -> None:
    task_id = cloud.member.command(printer.printer_id, "home")
    other = cloud.printer()
    path = f"{cloud.api}/printers/command/{task_id}"

    def raw(data: str, kind: str = "application/json") -> requests.Response:
        headers = {"X-Printer-Auth-Token": printer.token, "Content-Type": kind}
        return requests.post(path, data=data, headers=headers, timeout=LIMIT_S)

    answers = [
        (raw("{"), 400, "not JSON"),
        (raw('{"progress": NaN}'), 400, "not JSON"),
        (raw('{"progress": 0, "x": "\\ud800"}'), 400, "not JSON"),
        (raw("[" * 100_000), 400, "not JSON"),
        (raw('{"progress": 0}', "text/plain"), 400, "Content-Type"),
        (raw('"' + "x" * 1024 * 1024 + '"'), 413, "at most 1048576"),
        (raw("[]"), 422, "JSON object"),
        (printer.report(task_id, {}), 422, "progress is required"),
        (printer.report(task_id, {"progress": 2}), 422, "progress must be from 0 to 1"),
        (printer.report(task_id, {"progress": 0, "data": {"x": "y" * 5000}}), 422, "data has"),
        (printer.report("6ace3ef1-2fa0-4231-8288-0c64d7481e08", DONE), 404, "no such task"),
        (other.report(task_id, DONE), 404, "no such task"),
        (printer.report(task_id, DONE, X_Printer_Auth_Token="x" * 43), 401, "X-Printer-Auth-Token"),
        (printer.report(task_id, DONE, X_Printer_Auth_Token=""), 401, "X-Printer-Auth-Token"),
    ]
    for answer, status, says in answers:
        assert answer.status_code == status, answer.text
        assert says in error_of(answer)
        assert printer.token not in answer.text
    assert cloud.member.reports(task_id) == []
    refused = [event["status"] for event in cloud.seen("report") if event["task_id"] == task_id]
    assert refused == [400, 400, 400, 400, 400, 413, 422, 422, 422, 422, 404, 401, 401]


def test_a_job_waits_for_a_printer_that_did_not_listen_until_it_is_reported_on(
    cloud: RunningCloud, printer: RunningPrinter
) -> None:
    job = cloud.member.submit_job(printer.printer_id, URL, "cube", {"speed": 1})
    assert (job["printer_id"], job["status"]) == (printer.printer_id, "sent")
    (message,) = printer.waiting_jobs()
    assert abs(message.pop("sent_at") - time.time()) < 60, "when it was sent, so that no old job starts by itself"
    assert message == {
        "command": "print_data",
        "task_id": job["task_id"],
        "job_id": job["job_id"],
        "file_url": URL,
        "job_name": "cube",
        "settings": {"speed": 1},
        "status": "sent",
    }
    printer.report(job["task_id"], {"progress": 0, "data": {"state": "received"}})
    assert printer.waiting_jobs() == []
    assert cloud.member.job(job["job_id"])["job_status"] == "sent"
    printer.report(job["task_id"], {"progress": 0.1, "job_status": "printing"})
    assert cloud.member.job(job["job_id"])["job_status"] == "printing"
    printer.post("printers/status", {"printer_status": "ready", "job_id": job["job_id"], "job_status": "completed"})
    done = cloud.member.job(job["job_id"])
    assert (done["job_status"], done["local_job"]) == ("completed", False)


def test_a_heartbeat_puts_the_printer_online(cloud: RunningCloud, printer: RunningPrinter) -> None:
    assert cloud.member.printer_status(printer.printer_id)["printer_availability"] == "offline"
    local = {"printer_status": "printing", "job_id": "local_1", "job_status": "printing"}
    assert printer.post("printers/status", local).status_code == 204
    status = cloud.member.printer_status(printer.printer_id)
    assert (status["printer_availability"], status["last_reported_state"]) == ("online", "printing")
    assert abs(status["last_check_in"] / 1000 - time.time()) < LIMIT_S
    assert cloud.member.job("local_1")["local_job"] is True
    assert cloud.seen("status")[-1]["body"] == local
    assert printer.post("printers/status", {"printer_status": "asleep"}).status_code == 422


def test_printers_are_listed_a_page_at_a_time(tmp_path: Path) -> None:
    with RunningCloud(tmp_path) as cloud:
        ids = [cloud.printer().printer_id for _ in range(3)]
        empty = requests.get(f"{cloud.api}/printers", headers={"Authorization": "bearer x"}, timeout=LIMIT_S)
        assert (empty.status_code, error_of(empty)[:13]) == (401, "Authorization")
        page = cloud.member.printers(limit=2)
        keys = ["count", "limit", "offset", "_link_prev", "_link_next", "_link", "member_id", "printers"]
        assert list(page) == keys
        assert page["_link_next"] == "/print/printers?limit=2&offset=2"
        headers = {"Authorization": f"Bearer {cloud.member_token}"}
        rest = requests.get(f"{cloud.url}/v1{page['_link_next']}", headers=headers, timeout=LIMIT_S).json()
        assert [each["printer_id"] for each in page["printers"] + rest["printers"]] == ids
        assert (rest["count"], rest["_link_prev"], rest["_link_next"]) == (1, "/print/printers?limit=2&offset=0", "")
        assert cloud.member.printers(limit=-1)["count"] == 3
        for query, status in (("limit=x", 400), ("limit=0", 422), ("limit=-2", 422), ("offset=-1", 422)):
            answer = requests.get(f"{cloud.api}/printers?{query}", headers=headers, timeout=LIMIT_S)
            assert answer.status_code == status
            assert error_of(answer)


def test_what_a_member_may_not_or_cannot_do_is_refused(cloud: RunningCloud, printer: RunningPrinter) -> None:
    with SandboxMember(cloud.url, "wrong") as stranger, pytest.raises(TokenError):
        stranger.printers()
    refusals: list[tuple[Callable[[], object], int]] = [
        (lambda: cloud.member.command(10**17, "home"), 404),
        (lambda: cloud.member.command(printer.printer_id, "rm -rf"), 422),
        (lambda: cloud.member.command(printer.printer_id, "print_data"), 422),
        (lambda: cloud.member.command(printer.printer_id, "settings", settings=[1]), 422),
        (lambda: cloud.member.command(printer.printer_id, "settings"), 422),
        (lambda: cloud.member.command(printer.printer_id, "settings", settings={}), 422),
        (lambda: cloud.member.command(printer.printer_id, "firmware_upgrade"), 422),
        (lambda: cloud.member.command(printer.printer_id, "respond"), 422),
        (lambda: cloud.member.command(printer.printer_id, "firmware_upgrade", package_url="file:///etc/passwd"), 422),
        (lambda: cloud.member.submit_job(printer.printer_id, "not a url"), 422),
        (lambda: cloud.member.task("nothing"), 404),
        (lambda: cloud.member.job("nothing"), 404),
    ]
    for ask, status in refusals:
        with pytest.raises(RejectedError) as refused:
            ask()
        assert refused.value.status == status
        assert refused.value.answer
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/print/printers", 405),
        ("GET", "/faye", 405),
    ):
        answer = requests.request(method, cloud.url + path, timeout=LIMIT_S)
        assert answer.status_code == status
        assert error_of(answer)


def test_a_second_member_commands_jobs_alone_and_sees_no_printer_that_is_not_registered(tmp_path: Path) -> None:
    records = RecordsFile(tmp_path)
    Accounts(records).first_member()
    second_id, second_token = Accounts(records).add_member()
    records.close()
    with RunningCloud(tmp_path) as cloud, SandboxMember(cloud.url, second_token) as second:
        printer = cloud.printer()
        job = cloud.member.submit_job(printer.printer_id, URL)
        asks: list[Callable[[], object]] = [
            lambda: second.command(printer.printer_id, "pause"),
            lambda: second.submit_job(printer.printer_id, URL),
            lambda: second.printer_status(printer.printer_id),
            lambda: second.task(job["task_id"]),
            lambda: second.reports(job["task_id"]),
            lambda: second.job(job["job_id"]),
        ]
        for ask in asks:
            with pytest.raises(TokenError, match="401"):
                ask()
        assert second.printers()["printers"] == []

        code = printer.post("printers/registration_code", {"firmware": "1.2"}).json()["registration_code"]
        second.register("my friend's printer", code)
        assert cloud.seen("registered")[-1]["type"] == "secondary"
        (listed,) = second.printers()["printers"]
        assert [listed[key] for key in ("is_primary", "is_printer_scoped", "is_job_scoped")] == [False, False, True]
        assert second.printers()["member_id"] == second_id
        assert second.job(job["job_id"])["job_status"] == "sent"
        assert second.command(printer.printer_id, "pause")
        with pytest.raises(TokenError, match="401: home needs is_printer_scoped"):
            second.command(printer.printer_id, "home")


def test_everything_is_there_after_a_restart_except_faye_sessions(tmp_path: Path) -> None:
    with RunningCloud(tmp_path) as cloud:
        printer = cloud.printer()
        client_id, task_id, token = (
            printer.listen(),
            cloud.member.command(printer.printer_id, "home"),
            cloud.member_token,
        )
    with RunningCloud(tmp_path) as cloud:
        printer.cloud = cloud
        assert cloud.member_token == token
        assert printer.report(task_id, DONE).status_code == 204
        assert cloud.member.task(task_id)["command"] == "home"
        (reply,) = cloud.faye({"channel": "/meta/connect", "clientId": client_id, "connectionType": "long-polling"})
        assert reply["error"] == f"401:{client_id}:Unknown client"
        assert reply["advice"]["reconnect"] == "handshake"


@pytest.mark.parametrize(
    "listen", ["", "8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "no.such.host.invalid:0"]
)
def test_a_bad_address_is_named(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match="sandbox"):
        serve(listen=listen, state=tmp_path, emit=lambda _: None, stop=threading.Event())


def test_a_busy_address_is_named_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=f"cannot listen on {listen}"):
            serve(listen=listen, state=tmp_path, emit=lambda _: None, stop=threading.Event())
    assert threading.active_count() == before

"""Members of one printer through HTTP: what each may do, who gives it, and the limit of calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agent.errors import CloudError, TokenError
from agent.sandbox.accounts import Accounts
from agent.sandbox.member_client import SandboxMember
from agent.sandbox.records_file import RecordsFile
from tests.rigs.cloud_rig import LIMIT_S, RunningCloud, RunningPrinter

URL = "http://127.0.0.1/cube.gcode"


class Household:
    """A printer of two members: `cloud.member` owns it, `second` was added."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.printer: RunningPrinter = cloud.printer()
        self.second_id, self.second_token = (cloud.members[1][key] for key in ("member_id", "member_token"))
        self.second = SandboxMember(cloud.url, self.second_token)
        code = self.printer.post("printers/registration_code", {"firmware": "1.2"}).json()["registration_code"]
        self.second.register("theirs", code)

    def members(self, method: str, token: str, member_id: str = "", body: object = None) -> requests.Response:
        """A call of the rights API."""
        url = f"{self.cloud.api}/printers/{self.printer.printer_id}/members{member_id and '/' + member_id}"
        return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=LIMIT_S)

    def give(self, **rights: object) -> requests.Response:
        """The owner sets the second member's rights."""
        return self.members("PUT", self.cloud.member_token, self.second_id, rights)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    with RunningCloud(tmp_path, members=2) as cloud:
        made = Household(cloud)
        yield made
        made.second.close()


def test_the_owner_gives_and_takes_rights(house: Household) -> None:
    number = house.printer.printer_id
    with pytest.raises(TokenError, match="401: home needs is_printer_scoped"):
        house.second.command(number, "home")
    assert house.give(is_printer_scoped=True).json() == {
        "member_id": house.second_id,
        "is_primary": False,
        "is_printer_scoped": True,
        "is_job_scoped": True,
    }
    assert house.second.command(number, "home")
    assert house.give(is_printer_scoped=False, is_job_scoped=False).status_code == 200
    for ask in (lambda: house.second.command(number, "pause"), lambda: house.second.submit_job(number, URL)):
        with pytest.raises(TokenError, match="401"):
            ask()
    (listed,) = house.second.printers()["printers"]
    assert [listed[key] for key in ("is_primary", "is_printer_scoped", "is_job_scoped")] == [False] * 3


def test_another_members_job_is_cancelled_with_the_right_for_the_printer_alone(house: Household) -> None:
    number = house.printer.printer_id
    job = house.cloud.member.submit_job(number, URL)
    for body in ({"job_id": job["job_id"]}, {}):
        with pytest.raises(TokenError, match="cancel of another member's job needs is_printer_scoped"):
            house.second.command(number, "cancel", **body)
    own = house.second.submit_job(number, URL)
    assert house.second.command(number, "cancel", job_id=own["job_id"])
    house.give(is_printer_scoped=True)
    assert house.second.command(number, "cancel", job_id=job["job_id"])


def test_only_the_owner_sees_and_changes_rights(house: Household) -> None:
    owner = house.cloud.member_token
    listed: dict[str, Any] = house.members("GET", owner).json()
    assert [member["is_primary"] for member in listed["members"]] == [True, False]
    for method, member_id in (("GET", ""), ("PUT", house.second_id), ("DELETE", house.second_id)):
        assert house.members(method, house.second_token, member_id, {}).status_code == 401
        assert house.members(method, "wrong", member_id, {}).status_code == 401
    owner_id = house.cloud.members[0]["member_id"]
    assert house.members("DELETE", owner, owner_id).status_code == 422
    assert house.members("PUT", owner, "NOBODY", {}).status_code == 404
    assert house.give(is_job_scoped="yes").status_code == 422
    assert house.members("DELETE", owner, house.second_id).status_code == 204
    with pytest.raises(TokenError, match="401: this member has registered no printer"):
        house.second.printer_status(house.printer.printer_id)
    assert house.second.printers()["printers"] == []


def test_a_records_file_of_before_gets_the_rights(tmp_path: Path) -> None:
    RecordsFile(tmp_path).close()
    with sqlite3.connect(tmp_path / "sandbox.sqlite3") as old:
        for table, name in (("owners", "is_printer_scoped"), ("owners", "is_job_scoped"), ("jobs", "member_id")):
            old.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    old.close()
    records = RecordsFile(tmp_path)
    accounts = Accounts(records)
    (first, _), (second, _) = accounts.first_members(2)
    printer, _ = accounts.add_printer("1", "t", "")
    accounts.register(first, "mine", printer.code, 1.0)
    accounts.register(second, "theirs", accounts.known_printer(printer.printer_id, "1").code, 2.0)
    assert [member.is_job_scoped for member in accounts.members_of(printer.printer_id)] == [True, True]
    records.close()


def test_beyond_the_limit_a_caller_is_told_when_to_come_again(tmp_path: Path) -> None:
    with RunningCloud(tmp_path, rate_limit=(2, 30.0)) as cloud:
        cloud.member.printers()
        cloud.member.printers()
        with pytest.raises(CloudError, match="429: the rate limit is exceeded"):
            cloud.member.printers()
        headers = {"Authorization": f"Bearer {cloud.member_token}"}
        answer = requests.get(f"{cloud.api}/printers", headers=headers, timeout=LIMIT_S)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
        assert requests.get(f"{cloud.url}/", timeout=LIMIT_S).status_code == 200
        assert cloud.printer(registered=False).printer_id, "another caller"


def test_the_first_simulators_forms_are_taken(tmp_path: Path) -> None:
    with RunningCloud(tmp_path) as cloud:
        form = {"firmware": "1.1.1.1", "type_id": "7FAF097F-DB2E-45DC-9395-A30210E789AA"}
        printer = RunningPrinter(
            cloud, requests.post(f"{cloud.api}/printers/registration_code", data=form, timeout=LIMIT_S).json()
        )
        cloud.member.register("browser", printer.code)
        task_id = cloud.member.command(printer.printer_id, "log")
        headers = {"X-Printer-Auth-Token": printer.token}
        report = {"progress": "1", "printer_status": "ready", "data": '{"url":"http://logs.example.com/1"}'}
        path = f"{cloud.api}/printers/command/{task_id}"
        assert requests.post(path, data=report, headers=headers, timeout=LIMIT_S).status_code == 204
        assert cloud.member.task(task_id)["data"] == {"url": "http://logs.example.com/1"}
        assert printer.report(task_id, {"progress": 1, "error_code": None, "error_message": None}).status_code == 204
        status = f"{cloud.api}/printers/status"
        beat = {"printer_status": "printing", "job_status": "", "data[layer]": "4"}
        assert requests.post(status, data=beat, headers=headers, timeout=LIMIT_S).status_code == 204
        assert cloud.seen("status")[-1]["body"] == {"printer_status": "printing", "data": {"layer": 4}}
        assert cloud.member.printer_status(printer.printer_id)["last_reported_state"] == "printing"

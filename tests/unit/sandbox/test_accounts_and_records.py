"""What the local cloud keeps, on a real SQLite file."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import UnavailableError
from agent.sandbox.accounts import Accounts
from agent.sandbox.records_file import RecordsFile
from agent.sandbox.task_records import TaskRecords

TYPE_ID = "7FAF097F-DB2E-45DC-9395-A30210E789AA"


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RecordsFile]:
    opened = RecordsFile(tmp_path / "state")
    yield opened
    opened.close()


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    records = RecordsFile(tmp_path / "state")
    accounts, tasks = Accounts(records), TaskRecords(records)
    member = accounts.first_member()
    printer, token = accounts.add_printer("1.1", TYPE_ID, "SN")
    accounts.register(member[0], "mine", printer.code, 100.0)
    tasks.add_task(printer.printer_id, {"command": "home", "task_id": "t1"}, 1.0)
    tasks.add_task(printer.printer_id, {"command": "print_data", "task_id": "t2", "job_id": "j"}, 2.0, job_of="m")
    tasks.add_report("t1", {"progress": 0}, 3.0, "key")
    records.close()

    records = RecordsFile(tmp_path / "state")
    accounts, tasks = Accounts(records), TaskRecords(records)
    assert accounts.first_member() == member
    assert accounts.member_of(member[1]) == member[0]
    assert accounts.token_fits(printer.printer_id, token)
    assert [each.name for each in accounts.all_owned(member[0])] == ["mine"]
    assert [report.body for report in tasks.reports("t1")] == [{"progress": 0}]
    assert not tasks.add_report("t1", {"progress": 0}, 4.0, "key")
    assert [message["job_id"] for message in tasks.waiting_jobs(printer.printer_id)] == ["j"]
    records.close()


def test_only_this_user_may_read_it(records: RecordsFile, tmp_path: Path) -> None:
    Accounts(records).first_member()
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_printers_token_is_43_characters_and_not_in_the_file(records: RecordsFile, tmp_path: Path) -> None:
    _, token = Accounts(records).add_printer("1.1", TYPE_ID, "")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert all(token.encode() not in file.read_bytes() for file in (tmp_path / "state").iterdir())


def test_a_second_sandbox_in_the_same_folder_is_told_so(records: RecordsFile, tmp_path: Path) -> None:
    Accounts(records).first_member()
    with pytest.raises(UnavailableError, match="another sandbox"):
        RecordsFile(tmp_path / "state")


def test_a_folder_that_cannot_be_made_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="state folder"):
        RecordsFile(tmp_path / "file" / "state")


def test_the_first_owner_is_primary_and_the_second_is_not(records: RecordsFile) -> None:
    accounts = Accounts(records)
    one, other = accounts.add_member()[0], accounts.add_member()[0]
    printer, _ = accounts.add_printer("1.1", TYPE_ID, "")
    assert accounts.register(one, "mine", printer.code, 1.0) == (printer.printer_id, True)
    assert accounts.register(other, "too", printer.code, 1.0) is None  # a code works once
    code = accounts.known_printer(printer.printer_id, "1.2").code
    assert accounts.register(other, "too", code.lower(), 2.0) == (printer.printer_id, False)
    assert [each.is_primary for each in accounts.all_owned(one) + accounts.all_owned(other)] == [True, False]


def test_a_code_stays_the_same_until_it_is_used(records: RecordsFile) -> None:
    accounts = Accounts(records)
    printer, _ = accounts.add_printer("1.1", TYPE_ID, "")
    again = accounts.known_printer(printer.printer_id, "1.2")
    assert (again.code, again.firmware) == (printer.code, "1.2")


def test_the_state_of_the_printer_is_the_last_it_said(records: RecordsFile) -> None:
    accounts = Accounts(records)
    printer, token = accounts.add_printer("1.1", TYPE_ID, "")
    accounts.record_contact(printer.printer_id, "ready", 5.0)
    accounts.record_contact(printer.printer_id, "", 6.0)
    found = accounts.printer_of(token)
    assert found is not None
    assert (found.last_seen, found.last_state) == (6.0, "ready")


def test_a_job_that_was_reported_on_no_longer_waits(records: RecordsFile) -> None:
    tasks = TaskRecords(records)
    printer, _ = Accounts(records).add_printer("1.1", TYPE_ID, "")
    for name in ("a", "b"):
        message = {"command": "print_data", "task_id": f"task-{name}", "job_id": name}
        tasks.add_task(printer.printer_id, message, 1.0, job_of="m")
    tasks.add_report("task-a", {"progress": 0}, 2.0)
    assert [message["job_id"] for message in tasks.waiting_jobs(printer.printer_id)] == ["b"]


def test_a_job_that_ended_does_not_come_back_to_life(records: RecordsFile) -> None:
    tasks = TaskRecords(records)
    printer, _ = Accounts(records).add_printer("1.1", TYPE_ID, "")
    tasks.add_task(printer.printer_id, {"command": "print_data", "task_id": "t", "job_id": "j"}, 1.0, job_of="m")
    for status in ("printing", "completed", "printing"):
        tasks.update_job(printer.printer_id, "j", status, 5.0)
    tasks.update_job(printer.printer_id + 1, "j", "failed", 6.0)
    (job,) = tasks.jobs("j")
    assert (job.status, job.local) == ("completed", False)


def test_a_print_started_at_the_printer_is_a_local_job(records: RecordsFile) -> None:
    tasks = TaskRecords(records)
    printer, _ = Accounts(records).add_printer("1.1", TYPE_ID, "")
    tasks.update_job(printer.printer_id, "local_1", "printing", 5.0)
    tasks.update_job(printer.printer_id, "local_1", "completed", 6.0)
    tasks.update_job(printer.printer_id, "not-ours", "printing", 5.0)
    (job,) = tasks.jobs("local_1")
    assert (job.status, job.local, job.created, job.changed) == ("completed", True, 5.0, 6.0)
    assert tasks.jobs("not-ours") == []

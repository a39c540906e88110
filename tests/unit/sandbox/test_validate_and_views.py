"""The bodies of the REST API: what is taken, and what a member is answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.sandbox.accounts import OwnedPrinter, PrinterAccount
from agent.sandbox.task_records import RecordedReport, SentTask
from agent.sandbox.validate import is_uuid, report_problem, status_problem
from agent.sandbox.views import date, printer_status, printers_page, task_status

TYPE_ID = "7FAF097F-DB2E-45DC-9395-A30210E789AA"

# The example of the public reference, as it is.
EXAMPLE_REPORT: dict[str, object] = {
    "progress": 0.5,
    "error_code": 404,
    "error_message": "unknown command",
    "job_id": "121333sdsd",
    "job_status": "paused",
    "job_progress": 0.5,
    "data": {
        "state": "printing",
        "change": " ",
        "ui_sub_state": "",
        "is_error": False,
        "error_code": 123,
        "error": 123,
        "error_message": "lorem ipsum",
        "layer": 14,
        "total_layers": 23,
        "seconds_left": 3643,
        "temperature": 71,
        "job_id": 123,
    },
}


def test_the_references_own_report_is_taken() -> None:
    assert report_problem(EXAMPLE_REPORT) == ""


@pytest.mark.parametrize("progress", [0, 1, 0.0, 1.0, 0.5])
def test_progress_may_be_a_float_or_an_int(progress: float) -> None:
    assert report_problem({"progress": progress, "unknown": None}) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"progress": None}, "progress must be a number, it is null"),
        ({"progress": True}, "progress must be a number, it is a bool"),
        ({"progress": "0.5"}, "progress must be a number, it is a string"),
        ({"progress": 1.01}, "progress must be from 0 to 1"),
        ({"progress": -0.1}, "progress must be from 0 to 1"),
        ({"error_code": 1.5}, "error_code must be an int, it is a float"),
        ({"error_code": True}, "error_code must be an int"),
        ({"error_message": 5}, "error_message must be a string, it is an int"),
        ({"job_id": [123]}, "job_id must be a string"),
        ({"job_status": "sent"}, "job_status must be one of received, printing"),
        ({"job_status": ["paused"]}, "job_status must be one of"),
        ({"job_progress": 2}, "job_progress must be from 0 to 1"),
        ({"printer_status": "asleep"}, "printer_status must be one of ready"),
        ({"data": [1]}, "data must be an object, it is an array"),
    ],
)
def test_a_wrong_attribute_is_named_with_what_was_expected(change: dict[str, object], says: str) -> None:
    assert report_problem(EXAMPLE_REPORT | change).startswith(says)


def test_data_may_have_5000_characters_as_json_and_not_one_more() -> None:
    assert report_problem({"progress": 0, "data": {"x": "ä" * 4992}}) == ""
    assert report_problem({"progress": 0, "data": {"x": "ä" * 4993}}).startswith("data has 5001 characters")


def test_what_is_required_is_asked_for() -> None:
    assert report_problem({}) == "progress is required"
    assert status_problem({"progress": 1}) == "printer_status is required"
    assert status_problem({"printer_status": "ready", "data": {}}) == ""


def test_a_uuid_is_known_by_its_form() -> None:
    assert is_uuid(TYPE_ID)
    assert not is_uuid(TYPE_ID + "\n")
    assert not is_uuid(TYPE_ID.replace("-", ""))
    assert not is_uuid(5)


def seconds(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


def test_a_date_is_written_as_the_reference_writes_it() -> None:
    assert date(seconds(2015, 3, 27, 12, 22, 54)) == "March 27, 2015 12:22:54"
    assert date(seconds(2016, 12, 1, 0, 5, 9) + 0.9) == "December 1, 2016 00:05:09"


def owned(printer_id: int, name: str, day: int, *, primary: bool = True, seen: float | None = None) -> OwnedPrinter:
    printer = PrinterAccount(printer_id, "1.1.1.1", TYPE_ID, "", seen, "")
    return OwnedPrinter(printer, name, seconds(2015, 3, day, 12, 22, 54), primary)


def test_the_references_example_page_comes_out_key_by_key() -> None:
    printers = [owned(1469, "my new printer", 27), owned(1500, "my friend's printer", 31, primary=False)]
    page = printers_page(printers, "FPEJMQHAG3NXE", 10, 0)
    assert page == {
        "count": 2,
        "limit": 10,
        "offset": 0,
        "_link_prev": "",
        "_link_next": "",
        "_link": "/print/printers?limit=10&offset=0",
        "member_id": "FPEJMQHAG3NXE",
        "printers": [
            {
                "printer_id": 1469,
                "printer_name": "my new printer",
                "printer_registered_date": "March 27, 2015 12:22:54",
                "printer_last_health": "offline",
                "firmware": "1.1.1.1",
                "type_id": TYPE_ID,
                "is_primary": True,
                "is_printer_scoped": True,
                "is_job_scoped": True,
            },
            {
                "printer_id": 1500,
                "printer_name": "my friend's printer",
                "printer_registered_date": "March 31, 2015 12:22:54",
                "printer_last_health": "offline",
                "firmware": "1.1.1.1",
                "type_id": TYPE_ID,
                "is_primary": False,
                "is_printer_scoped": False,
                "is_job_scoped": True,
            },
        ],
    }


LINK = "/print/printers?limit={}&offset={}".format


@pytest.mark.parametrize(
    ("limit", "offset", "ids", "before", "after"),
    [
        (2, 0, [0, 1], "", LINK(2, 2)),
        (2, 2, [2, 3], LINK(2, 0), LINK(2, 4)),
        (2, 4, [4], LINK(2, 2), ""),
        (2, 1, [1, 2], LINK(2, 0), LINK(2, 3)),
        (5, 0, [0, 1, 2, 3, 4], "", ""),
        (2, 9, [], LINK(2, 7), ""),
        (-1, 0, [0, 1, 2, 3, 4], "", ""),
        (-1, 3, [0, 1, 2, 3, 4], "", ""),
    ],
)
def test_pages_link_to_their_neighbours(limit: int, offset: int, ids: list[int], before: str, after: str) -> None:
    page = printers_page([owned(number, "p", 1) for number in range(5)], "M", limit, offset)
    found = page["printers"]
    assert isinstance(found, list)
    assert [each["printer_id"] for each in found] == ids
    assert page["count"] == len(ids)
    assert (page["_link_prev"], page["_link_next"]) == (before, after)


def test_a_printer_heard_of_shows_when_and_is_offline_after_60_seconds_of_silence() -> None:
    seen = seconds(2015, 3, 27, 12, 22, 54)
    page = printers_page([owned(1, "p", 1, seen=seen)], "M", 10, 0)
    assert page["printers"][0]["printer_last_health"] == "March 27, 2015 12:22:54"  # type: ignore[index]
    printer = PrinterAccount(1, "", TYPE_ID, "", seen, "ready")
    assert printer_status(printer, seen + 60)["printer_availability"] == "online"
    assert printer_status(printer, seen + 60.1)["printer_availability"] == "offline"
    assert printer_status(printer, seen)["last_check_in"] == round(seen * 1000)


def test_a_tasks_status_is_its_last_report_with_the_command() -> None:
    task = SentTask("t", 1, {"command": "home", "task_id": "t"})
    reports = [RecordedReport({"progress": 0}, 1.0), RecordedReport({"progress": 1, "command": "spoofed"}, 2.0)]
    assert task_status(task, reports) == {
        "progress": 1,
        "task_id": "t",
        "command": "home",
        "status_update_time": "January 1, 1970 00:00:02",
    }
    assert task_status(task, []) == {"progress": 0, "task_id": "t", "command": "home", "status_update_time": ""}

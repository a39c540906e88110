"""Bodies of the interface's first clients: forms, null, texts of JSON, and what is none of them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from agent.sandbox.original_bodies import form_object, plain_report
from agent.sandbox.validate import report_problem, status_problem

JOB = "5f1c6c9d-1d55-4d35-b6ef-2d3b2a3b9f6e"


def test_the_form_of_a_browser_is_a_report() -> None:
    form = {
        "printer_status": "printing",
        "progress": "0.5",
        "job_id": JOB,
        "job_progress": "0.5",
        "job_status": "printing",
        "data[job_status]": "printing",
        "data[total_layers]": "50",
        "data[layer]": "25",
        "data[seconds_left]": "500",
    }
    body = plain_report(form_object(urlencode(form).encode()))
    assert report_problem(body) == ""
    assert body["progress"] == 0.5
    assert body["data"] == {"job_status": "printing", "total_layers": 50, "layer": 25, "seconds_left": 500}


def test_data_may_be_a_text_of_json() -> None:
    body = plain_report(form_object(b"progress=1&data=%7B%22url%22%3A%22http%3A%2F%2Fx%2F%22%7D"))
    assert body == {"progress": 1, "data": {"url": "http://x/"}}
    assert report_problem(plain_report({"progress": 1, "data": "{"})).startswith("data must be an object")


def test_what_does_not_apply_is_left_out() -> None:
    sent = {
        "progress": 1.0,
        "error_code": None,
        "error_message": None,
        "job_id": "",
        "job_status": "",
        "job_progress": None,
        "printer_status": None,
        "data": None,
        "mine": None,
    }
    assert plain_report(sent) == {"progress": 1.0, "mine": None}
    assert plain_report({"progress": 0, "error_message": "", "job_id": 123}) == {
        "progress": 0,
        "error_message": "",
        "job_id": "123",
    }


@pytest.mark.parametrize("body", [{"progress": None}, {"progress": ""}, {"progress": "half"}, {}])
def test_what_is_required_is_not_made_up(body: dict[str, object]) -> None:
    assert report_problem(plain_report(body)).startswith("progress")
    assert status_problem(plain_report({"printer_status": None})) == "printer_status is required"


@pytest.mark.parametrize("form", [b"a=1&a[x]=2", b"a[x=2", b"&".join(b"a%d=1" % n for n in range(300)), b"\xff=1"])
def test_what_is_no_form_is_refused(form: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        form_object(form)

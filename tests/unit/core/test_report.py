"""Bodies of reports and of the heartbeat: progress that never goes back, `data` of at most 5,000 characters."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core import printer_status, report, report_bodies
from agent.core.command import Command, Name
from agent.core.driver import HeatCurve, Heater, Link, PrinterState, Prompt, Telemetry
from agent.core.job import JobState, JobView
from agent.core.printer_status import INSTALLING, TAKING_OVER, printer_state
from agent.core.report_bodies import Body, Result, SituationData
from agent.core.shrink import LEFT_OUT, SHRINK_ORDER, length, shrink

PRINT = Command(task_id="t", name=Name.PRINT_DATA, raw_name="print_data", job_id="j")
JOB = JobView(
    job_id="j",
    task_id="t",
    state=JobState.PRINTING,
    name="cube",
    progress=0.5,
    line=50,
    total_lines=100,
    layer=3,
    total_layers=6,
    seconds_left=60,
)
IDLE = Telemetry(state=PrinterState.IDLE)
HOT = Telemetry(state=PrinterState.PRINTING, heaters=(Heater("bed", 59.94, 60.0), Heater("tool0", 209.6, 210.0)))

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3000)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=40), inner, max_size=5),
    max_leaves=10,
)
long_text = st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=20), st.integers(1, 1500))
json_objects = st.dictionaries(
    st.sampled_from([*SHRINK_ORDER, "state", "layer"]) | st.text(max_size=40),
    long_text | json_values,
    max_size=8,
)


def wire(body: Body) -> dict[str, Any]:
    """The body as the server reads it."""
    found: dict[str, Any] = json.loads(report_bodies.encode(body))
    return found


def receipt(command: Command) -> dict[str, Any]:
    return wire(report.receipt(command, "ready"))


def progress(value: float, job: JobView, telemetry: Telemetry, message: str = "") -> dict[str, Any]:
    return wire(report.progress(PRINT, value, job, telemetry, message))


def completed(job: JobView | None, **result: Any) -> dict[str, Any]:
    return wire(report.completed(PRINT, job, Result(**result), "ready"))


def failed(code: int, message: str, job: JobView | None = None) -> dict[str, Any]:
    return wire(report.failed(PRINT, code, message, job, printer_status="ready"))


def heartbeat(job: JobView | None, telemetry: Telemetry) -> dict[str, Any]:
    return wire(report.heartbeat(job, telemetry))


def units(value: object) -> int:
    """UTF-16 units of the compact text, counted another way than the code does."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return sum(2 if ord(c) > 0xFFFF else 1 for c in text)


@given(st.floats(0, report.BEFORE_THE_END), st.floats())
@example(0.5, math.nan)
@example(0.5, math.inf)
@example(0.5, -math.inf)
@example(0.0, 1.0)
@example(0.0, 0.99999999)
def test_progress_never_goes_back_and_is_1_only_at_the_end(previous: float, value: float) -> None:
    found = report.advance(previous, value)
    assert previous <= found < 1
    assert report.advance(previous, value, end=True) == 1
    if previous <= value <= 0.99:
        assert found == pytest.approx(value, abs=0.0001)


@given(st.lists(st.floats(), max_size=30))
def test_a_whole_task_reports_a_rising_row(row: list[float]) -> None:
    told = list(itertools.accumulate(row, report.advance, initial=0.0))
    assert told == sorted(told)
    assert all(0 <= value < 1 for value in told)


@given(json_objects)
@example({"state": "s" * 4000, "x": "y" * 4000})
@example({"error_message": "\U0001f525" * 4000})
@example({"error_message": '"\\\n' * 4000})
def test_data_of_any_size_fits_and_says_nothing_new(data: dict[str, Any]) -> None:
    before = msgspec.json.encode(data)
    found = shrink(data)
    assert units(found) <= 5000
    assert msgspec.json.decode(msgspec.json.encode(found)) == found
    left_out = found.pop(LEFT_OUT, []) if LEFT_OUT not in data else []
    assert set(left_out) <= set(data) - set(found)
    assert set(found) <= set(data)
    assert msgspec.json.encode(data) == before, "the caller's object was changed"
    for key, value in found.items():
        cut = isinstance(value, str) and value.endswith("…") and str(data[key]).startswith(value[:-1])
        assert value == data[key] or cut
    if units(data) <= 5000:
        assert found == data


@given(json_objects, st.text(max_size=100))
def test_the_state_outlives_everything_else(data: dict[str, Any], state: str) -> None:
    found = shrink({**data, "state": state})
    assert found["state"] == state


others = st.text(max_size=6).filter(lambda key: key != "state")


@given(st.dictionaries(others, st.text(min_size=3, max_size=9), min_size=3), st.integers(30, 60))
@example({"a": "abcdefghi", "statf": "abcdefghi"}, 30)
def test_a_state_as_long_as_the_others_still_goes_last(data: dict[str, str], limit: int) -> None:
    assert shrink({"state": "abcdefghi", **data}, limit)["state"] == "abcdefghi"


def test_a_long_message_is_cut_and_the_rest_stays() -> None:
    data = {"state": "failed", "error_code": 500, "error_message": "x" * 9000, "job_id": "j"}
    found = shrink(data)
    assert found == {**data, "error_message": found["error_message"]}
    assert 4000 < len(found["error_message"]) < 5000


def test_settings_go_before_any_text_is_cut() -> None:
    data = {"state": "completed", "message": "m" * 100, "settings": {"a": "x" * 6000}}
    assert shrink(data) == {"state": "completed", "message": "m" * 100, "left_out": ["settings"]}


@given(st.dictionaries(st.text(max_size=40), json_values, max_size=5), long_text, long_text)
def test_encode_shrinks_the_data_and_nothing_else(settings: dict[str, Any], message: str, url: str) -> None:
    found = completed(JOB, settings=settings, message=message, url=url)
    whole = {"state": "completed", "command": "print_data", "is_error": False, "job_id": "j", "job_name": "cube"}
    whole |= {"layer": 3, "total_layers": 6, "line": 50, "total_lines": 100, "seconds_left": 60}
    whole |= {"settings": settings, "message": message, "url": url}
    assert found.pop("data") == shrink(whole)
    assert found == {
        "progress": 1.0,
        "printer_status": "ready",
        "job_id": "j",
        "job_status": "printing",
        "job_progress": 0.5,
    }


OFFLINE = Telemetry(state=PrinterState.OFFLINE, reason="no port")
POSITION = b'"job_id":"j","job_name":"cube","layer":3,"total_layers":6,"line":50,"total_lines":100,"seconds_left":60'
TEMPERATURES = (
    b'"temperature":210,"temperatures":{"bed":{"actual":59.9,"target":60.0},"tool0":{"actual":209.6,"target":210.0}}'
)
RUNNING = b'"job_id":"j","job_status":"printing","job_progress":0.5'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            report.receipt(PRINT, "ready"),
            (
                b'{"progress":0.0,"printer_status":"ready",'
                b'"data":{"state":"received","command":"print_data","is_error":false,"job_id":"j","message":""},'
                b'"job_id":"j"}'
            ),
        ),
        (
            report.progress(PRINT, 0.5, JOB, HOT, "slow"),
            b'{"progress":0.5,"printer_status":"printing",'
            + RUNNING
            + b',"data":{"command":"print_data","state":"printing","change":"",'
            b'"ui_sub_state":"",' + POSITION + b"," + TEMPERATURES + b',"is_error":false,"message":"slow"}}',
        ),
        (
            report.completed(PRINT, JOB, Result(settings={"a": None}, message="m"), "busy"),
            b'{"progress":1.0,"printer_status":"busy",'
            + RUNNING
            + b',"data":{"state":"completed","command":"print_data","is_error":false,'
            + POSITION
            + b',"settings":{"a":null},"message":"m"}}',
        ),
        (
            report.failed(PRINT, 409, "no", JOB, printer_status="printing"),
            b'{"progress":1.0,"printer_status":"printing","error_code":409,"error_message":"no",'
            + RUNNING
            + b',"data":{"state":"failed",'
            b'"command":"print_data","is_error":true,"error_code":409,"error":409,"error_message":"no",'
            + POSITION
            + b',"message":"no"}}',
        ),
        (
            report.heartbeat(None, OFFLINE, "", "disk: full"),
            (
                b'{"printer_status":"error","error_code":503,"error_message":"no port","data":{"state":"error",'
                b'"change":"","ui_sub_state":"no port","is_error":true,"message":"disk: full","error_code":503,'
                b'"error":503,"error_message":"no port"}}'
            ),
        ),
        (
            report.heartbeat(JOB, msgspec.structs.replace(HOT, link=Link(lines=4, starved=0)), TAKING_OVER),
            b'{"printer_status":"busy",' + RUNNING + b',"data":{"state":"busy","change":"",'
            b'"ui_sub_state":"taking over the print",' + POSITION + b"," + TEMPERATURES + b',"is_error":false,'
            b'"link":{"resend_rate":0.0,"starved":0}}}',
        ),
    ],
)
def test_the_bytes_on_the_wire_are_these(body: Body, expected: bytes) -> None:
    assert report_bodies.encode(body) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", 3), ("ä", 3), ("\u20ac", 3), ("\U0001f525", 4), ("\n", 4), ("\x01", 8)],
)
def test_length_counts_as_a_javascript_server_does(text: str, expected: int) -> None:
    assert length(text) == expected


def test_the_receipt_says_received_with_progress_0() -> None:
    assert receipt(PRINT) == {
        "progress": 0.0,
        "printer_status": "ready",
        "job_id": "j",
        "data": {"state": "received", "command": "print_data", "is_error": False, "job_id": "j", "message": ""},
    }
    assert "job_id" not in receipt(Command(task_id="t", name=Name.HOME, raw_name="home"))


def test_a_report_on_the_way_says_where_the_print_is() -> None:
    body = progress(0.5, JOB, HOT)
    assert (body["progress"], body["job_id"], body["job_status"], body["job_progress"]) == (0.5, "j", "printing", 0.5)
    data = body["data"]
    assert (data["layer"], data["total_layers"], data["seconds_left"]) == (3, 6, 60)
    assert data["temperature"] == 210, "the tool's, a whole number of °C"
    assert data["temperatures"]["bed"] == {"actual": 59.9, "target": 60.0}
    assert data["state"] == "printing"


def test_a_job_whose_file_is_not_here_has_no_status_yet() -> None:
    job = msgspec.structs.replace(JOB, state=JobState.ACCEPTED)
    body = progress(0.0, job, IDLE)
    assert body["job_id"] == "j"
    assert not {"job_status", "job_progress"} & set(body)


def test_the_end_of_a_task_says_completed() -> None:
    job = msgspec.structs.replace(JOB, state=JobState.COMPLETED, progress=1.0)
    body = completed(job, url="u")
    assert (body["progress"], body["job_status"], body["job_progress"]) == (1.0, "completed", 1.0)
    assert (body["data"]["state"], body["data"]["url"], body["data"]["is_error"]) == ("completed", "u", False)
    assert "error_code" not in body


@pytest.mark.parametrize("end", [completed(None), failed(409, "no")])
def test_an_end_without_a_running_job_names_the_job_that_the_command_named(end: dict[str, Any]) -> None:
    assert end["job_id"] == PRINT.job_id != ""


def test_a_failure_says_what_and_why_in_both_places() -> None:
    body = failed(422, "e" * 900, JOB)
    assert (body["progress"], body["error_code"], body["error_message"]) == (1.0, 422, "e" * 500)
    data = body["data"]
    assert (data["state"], data["is_error"], data["error_code"], data["error"]) == ("failed", True, 422, 422)
    assert data["error_message"] == "e" * 500
    assert data["command"] == "print_data"


def test_a_heat_alarm_has_its_curve() -> None:
    points = tuple((-2.0 * n, 24.0, 210.0) for n in range(40, 0, -1))
    body = report.failed(
        PRINT,
        500,
        "heat alarm",
        JOB,
        printer_status="ready",
        heat_curve=HeatCurve("tool0", "no_rise", points),
    )
    data = msgspec.json.decode(report_bodies.encode(body))["data"]
    assert data["heat_curve"] == {"heater": "tool0", "kind": "no_rise", "points": [list(point) for point in points]}
    assert len(str(data)) < 2000


STATUS = {
    "offline": "error",
    "recovering": "error",
    "error": "error",
    "idle": "ready",
    "busy": "busy",
    "printing": "printing",
    "pausing": "printing",
    "paused": "paused",
    "resuming": "paused",
    "cancelling": "busy",
}


@pytest.mark.parametrize("state", list(PrinterState))
def test_the_heartbeat_has_a_word_of_the_protocol_for_each_state(state: PrinterState) -> None:
    body = heartbeat(None, Telemetry(state=state, reason="why"))
    assert body["printer_status"] == body["data"]["state"] == STATUS[state]
    assert ("error_code" in body) == (STATUS[state] == "error") == body["data"]["is_error"]
    assert body.get("error_message") == body["data"].get("error_message") == ("why" if "error_code" in body else None)


@pytest.mark.parametrize("state", list(PrinterState))
def test_during_an_upgrade_the_printer_is_in_maintenance_unless_it_is_in_error(state: PrinterState) -> None:
    found = printer_state(None, Telemetry(state=state), "firmware_upgrade")
    assert found == ("error" if STATUS[state] == "error" else "maintenance")


@pytest.mark.parametrize("state", list(PrinterState))
def test_while_a_firmware_is_installed_the_printer_is_in_maintenance_whatever_it_says(state: PrinterState) -> None:
    telemetry = Telemetry(state=state, reason="why", released="/dev/ttyUSB0")
    body = wire(report.heartbeat(None, telemetry, INSTALLING))
    assert body["printer_status"] == "maintenance"
    assert (body["data"]["is_error"], body["data"]["ui_sub_state"]) == (False, "the firmware is being installed")


def test_a_printer_that_is_about_to_print_is_busy_not_ready() -> None:
    accepted = msgspec.structs.replace(JOB, state=JobState.ACCEPTED)
    ended = msgspec.structs.replace(JOB, state=JobState.COMPLETED)
    assert printer_state(accepted, IDLE) == "busy"
    assert printer_state(None, IDLE, "print_data") == "busy"
    assert printer_state(ended, IDLE) == "ready"


def test_the_heartbeat_of_a_print_tells_the_job() -> None:
    body = heartbeat(JOB, HOT)
    assert (body["job_id"], body["job_status"], body["job_progress"]) == ("j", "printing", 0.5)
    assert body["data"]["layer"] == 3


@given(st.lists(st.builds(Heater, st.sampled_from(["tool0", "tool1", "bed"]), st.floats(), st.floats())))
def test_a_broken_thermistor_breaks_no_report(heaters: list[Heater]) -> None:
    body = report.heartbeat(None, Telemetry(state=PrinterState.IDLE, heaters=tuple(heaters)))
    assert "null" not in report_bodies.encode(body).decode()


def test_the_temperature_is_the_tools_else_the_first_that_is_known() -> None:
    bed, tool = Heater("bed", 60.4), Heater("tool1", 199.5)
    assert printer_status.temperatures([bed, tool])[0] == 200
    assert printer_status.temperatures([bed])[0] == 60
    assert printer_status.temperatures([Heater("tool0", math.nan), bed])[0] == 60
    assert printer_status.temperatures([]) == (msgspec.UNSET, msgspec.UNSET)


def test_the_heartbeat_tells_how_well_the_link_does_once_a_line_was_sent() -> None:
    assert "link" not in heartbeat(JOB, HOT)["data"]
    link = Link(lines=1000, resends=25, latency_p50_ms=1.5, latency_p99_ms=9.25, starved=3)
    data = heartbeat(JOB, msgspec.structs.replace(HOT, link=link))["data"]
    assert data["link"] == {"resend_rate": 0.025, "latency_p50_ms": 1.5, "latency_p99_ms": 9.25, "starved": 3}
    unknown = printer_status.link(Link(lines=1))
    assert msgspec.to_builtins(unknown) == {"resend_rate": 0.0}, "what is not known is left out"


def test_warnings_of_the_file_are_bounded_in_the_report() -> None:
    body = progress(0.0, JOB, HOT, "M600 waits for a person (line 3); " * 1000)
    assert body["data"]["message"].startswith("M600 waits")
    assert len(body["data"]["message"]) <= 500
    assert progress(0.0, JOB, HOT)["data"]["message"] == ""


def test_a_print_that_is_refused_is_a_failed_job() -> None:
    """Else a server shows the job as sent for ever (docs/protocol.md, «The life of a task»)."""
    body = failed(409, "the printer is busy")
    assert (body["job_id"], body["job_status"], body["job_progress"]) == (PRINT.job_id, "failed", 0)


def test_a_print_without_a_job_id_is_refused_under_its_task_id() -> None:
    """docs/protocol.md «A command message»: the task_id serves as the job_id."""
    body = wire(report.failed(msgspec.structs.replace(PRINT, job_id=""), 409, "no", printer_status="busy"))
    assert (body["job_id"], body["job_status"], body["job_progress"]) == ("t", "failed", 0)


def test_every_report_has_the_printers_status_and_a_message_as_the_original_client_s_had() -> None:
    printing = progress(0.5, JOB, msgspec.structs.replace(HOT, waiting="heating"))
    assert (printing["printer_status"], printing["data"]["message"]) == ("printing", "heating")
    assert (receipt(PRINT)["printer_status"], receipt(PRINT)["data"]["message"]) == ("ready", "")
    assert completed(JOB, message="canceled")["data"]["message"] == "canceled"
    refused = failed(409, "e" * 900)
    assert (refused["printer_status"], refused["data"]["message"]) == ("ready", "e" * 500)


def test_a_file_that_comes_is_told_in_the_report_and_the_heartbeat() -> None:
    job = msgspec.structs.replace(JOB, state=JobState.ACCEPTED, transfer="downloading 37 %, 4 of 11 MB")
    told = progress(0.0, job, IDLE)
    assert told["data"]["ui_sub_state"] == told["data"]["message"] == "downloading 37 %, 4 of 11 MB"
    assert (told["printer_status"], told["data"]["state"]) == ("busy", "received")
    assert heartbeat(job, IDLE)["data"]["ui_sub_state"] == "downloading 37 %, 4 of 11 MB"


def test_a_report_tells_what_changed_since_the_one_before() -> None:
    first = report.progress(PRINT, 0.5, JOB, HOT).data
    assert isinstance(first, SituationData)
    assert first.change == "", "nothing was before it"
    assert wire(report.progress(PRINT, 0.5, JOB, HOT, before=first))["data"]["change"] == ""
    paused = msgspec.structs.replace(JOB, state=JobState.PAUSED, layer=4, line=60, seconds_left=50)
    asks = msgspec.structs.replace(HOT, prompt=Prompt(1, "p" * 99))
    then = wire(report.progress(PRINT, 0.6, paused, asks, before=first))["data"]["change"]
    assert then == f"state: printing → paused; layer: 3 → 4; prompt: - → {'p' * 60}…"
    status = report.heartbeat(None, IDLE).data
    offline = wire(report.heartbeat(None, OFFLINE, before=status))["data"]["change"]
    assert offline == (
        "state: ready → error; ui_sub_state: - → no port; error_code: - → 503; error_message: - → no port"
    )

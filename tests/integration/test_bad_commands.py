"""Commands that cannot be done, through the real channel: each has the error code that the protocol has for it, and a
print that is refused is a failed job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.agent_rig import PATIENCE, AgentRig, agent_rig
from tests.support.bad_commands import IDLE, ONE_BY_ONE, PRINTING, UNANSWERED, Bad
from tests.support.hostile_front import HostileFront, hostile_front
from tests.support.prints import check_record, gcode_file

LONG = "G28\nG1 Z5 F600\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(5000))
AGAIN_S = 3.0  # seconds after which what has no report is sent again
PREFIX = "bad-"  # of the task_ids


def taken(handler: BaseHTTPRequestHandler) -> None:
    """A server that takes a report."""
    handler.send_response(204)
    handler.end_headers()


class Publisher:
    """Publishes on the printer's channel what no portal would, and has the reports on it."""

    def __init__(self, rig: AgentRig, front: HostileFront) -> None:
        self.rig = rig
        self._front = front
        self.reports: dict[str, list[dict[str, Any]]] = {}
        front.instead(self._record, taken)

    def publish(self, messages: Sequence[Any]) -> None:
        """Have the agent receive these with one reply of the Faye server."""
        channel = f"/printers/{self.rig.printer_id}/command"
        self._front.add([json.dumps({"channel": channel, "data": message}).encode() for message in messages])
        self.rig.command("request_settings")  # a held connect is answered now
        self.rig.until("a reply has carried the messages", lambda: not self._front.waiting())

    def check(self, name: str, commands: Sequence[Bad]) -> None:
        """Publish commands at once; each has its end. What was dropped in the flood (docs/bounds.md) is sent again."""
        sent = {f"{PREFIX}{name}-{number}": bad for number, bad in enumerate(commands)}
        end = time.monotonic() + PATIENCE
        while unheard := [task_id for task_id in sent if task_id not in self.reports]:
            assert time.monotonic() < end, f"not heard: {unheard}"
            self.publish([{"task_id": task_id, **self._fields(sent[task_id])} for task_id in unheard])
            again = time.monotonic() + AGAIN_S
            self.rig.until("they are heard, or are sent again", partial(self._heard, unheard, again))
        self.rig.until(f"all of {name} have ended", lambda: all(map(self._ended, sent)))
        wrong = [problem for task_id, bad in sent.items() if (problem := self._problem(task_id, bad))]
        assert not wrong, "\n".join(wrong)

    def _fields(self, bad: Bad) -> dict[str, Any]:
        url = bad.fields.get("file_url")
        if isinstance(url, str) and url.startswith("SANDBOX"):
            return {**bad.fields, "file_url": url.replace("SANDBOX", self.rig.url)}
        return bad.fields

    def _heard(self, task_ids: Sequence[str], until: float) -> bool:
        return all(task_id in self.reports for task_id in task_ids) or time.monotonic() >= until

    def _ended(self, task_id: str) -> bool:
        return any(body["progress"] == 1 for body in self.reports.get(task_id, ()))

    def _problem(self, task_id: str, bad: Bad) -> str:
        bodies = self.reports[task_id]
        end = bodies[-1]
        name, job_id = bad.fields["command"], bad.fields.get("job_id")
        expected: dict[str, Any] = {"error_code": bad.code}
        if bad.code != 404:
            check_record(bodies)
        if name == "print_data":
            known = isinstance(job_id, str) and len(job_id) <= 256 and job_id.isprintable()
            expected |= {"job_status": "failed", "job_progress": 0, "job_id": (job_id or task_id) if known else None}
        data = end["data"]
        found = {key: end.get(key) for key in expected}
        if found != expected or bad.text not in end["error_message"]:
            return (
                f"{str(bad.fields)[:200]}: expected {expected} with {bad.text!r}, got {found} {end['error_message']!r}"
            )
        same = data["error_code"] == bad.code and data["message"] == data["error_message"] == end["error_message"]
        return "" if same and data["state"] == "failed" and end["printer_status"] else f"{bad.fields}: {end}"

    def _record(self, path: str, body: bytes) -> bool:
        task_id = path.rpartition("/printers/command/")[2]
        if not task_id.startswith(PREFIX):
            return False
        self.reports.setdefault(task_id, []).append(json.loads(body))
        return True


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    """The printer takes its time: 20 times real time."""
    with hostile_front() as front, agent_rig(tmp_path_factory.mktemp("bad"), speed="20", front=front.behind) as rig:
        yield Publisher(rig, front)


def test_there_are_enough_of_them() -> None:
    commands = [*IDLE, *PRINTING, *ONE_BY_ONE]
    assert len(commands) >= 120
    assert {bad.code for bad in commands} == {400, 404, 409, 410, 422, 501}


def test_an_idle_printer_refuses_each_with_its_code(publisher: Publisher) -> None:
    publisher.check("idle", IDLE)


def test_a_print_that_fails_before_it_begins_is_a_failed_job(publisher: Publisher) -> None:
    for number, bad in enumerate(ONE_BY_ONE):
        publisher.check(f"one-{number}", [bad])


def test_a_printing_printer_refuses_each_with_its_code_and_prints_on(publisher: Publisher, tmp_path: Path) -> None:
    rig = publisher.rig
    job = rig.submit(gcode_file(tmp_path, LONG))
    rig.job_is(job["job_id"], "printing")
    publisher.check("printing", PRINTING)
    assert rig.status()["job_status"] == "printing"
    assert rig.do("cancel", job_id=job["job_id"])["data"]["state"] == "completed"


def test_what_has_no_task_gets_no_answer_and_costs_nothing(publisher: Publisher) -> None:
    before = len(publisher.reports)
    publisher.publish(UNANSWERED)
    assert publisher.rig.do("pause")["error_code"] == 409, "which no flood keeps out"
    assert len(publisher.reports) == before

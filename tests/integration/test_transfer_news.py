"""While a file comes, the server and the person at the printer hear how far it is, and why it does not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core.command import Name
from agent.core.conditions import Conditions
from agent.core.driver import PrinterState as S
from agent.local.page_html import page
from agent.local.status_text import status_lines, summary
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import FILE, RunnerRig
from tests.support.file_server import FileServer, reply
from tests.support.store import open_store

PATIENCE = 20.0
BODY = FILE + b"G1 X3\n" * 400_000


class Fetching:
    """A print whose file comes from a server that gives half of it, and the rest when `go` is set."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.files = FileServer()
        self.go = threading.Event()
        self.clock = FakeClock()
        self.rig = RunnerRig(folder, store, "job.bed=free", f"cloud.server={self.files.url}", clock=self.clock)
        self.store = store

    def half(self, request: BaseHTTPRequestHandler) -> None:
        """The answer in two halves."""
        request.send_response(200)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[: len(BODY) // 2])
        request.wfile.flush()
        assert self.go.wait(PATIENCE)
        request.wfile.write(BODY[len(BODY) // 2 :])

    def begin(self, *answers: Callable[[BaseHTTPRequestHandler], None]) -> str:
        self.files.answers = list(answers)
        return self.rig.task(Name.PRINT_DATA, "p", url=f"{self.files.url}/a.gcode", job_id="j", job_name="cube")

    def until(self, what: str, look: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.rig.runner.step()
            if look():
                return
            self.clock.advance(1.0)
            self.rig.woken.wait(0.01)
        raise AssertionError(f"{what}: {self.rig.said('p')}")

    def shows(self, text: str) -> bool:
        return str(self.status()["data"]["ui_sub_state"]).startswith(text)

    def status(self) -> dict[str, Any]:
        """The heartbeat, as the server and the status page have it."""
        found: dict[str, Any] = msgspec.to_builtins(self.rig.board.read().body())
        return found

    def close(self) -> None:
        self.go.set()
        self.rig.stop()
        self.files.close()


@pytest.fixture
def fetching(tmp_path: Path) -> Iterator[Fetching]:
    store = open_store(tmp_path / "agent.db", FakeClock())
    made = Fetching(tmp_path, store)
    yield made
    made.close()
    store.close()


def test_a_file_on_its_way_is_told_in_report_heartbeat_and_status(fetching: Fetching) -> None:
    task_id = fetching.begin(fetching.half)
    fetching.until("half of it is here", lambda: fetching.shows("downloading 50 %, 1 of 2 MB"))
    status = fetching.status()
    assert (status["printer_status"], status["job_id"]) == ("busy", "j")
    assert "job_status" not in status, "received is only said when the file is completely here"
    fetching.until("it is reported", lambda: "50 %" in str(fetching.rig.said(task_id)[-1]))
    told = fetching.rig.said(task_id)[-1]
    assert told["data"]["ui_sub_state"] == told["data"]["message"] == "downloading 50 %, 1 of 2 MB"
    assert (told["progress"], told["printer_status"], told["data"]["state"]) == (0, "busy", "received")
    assert "file      downloading 50 %, 1 of 2 MB" in status_lines(status)
    assert summary(fetching.rig.board.read(), Conditions()) == "idle cube: downloading 50 %, 1 of 2 MB"
    fetching.go.set()
    fetching.until("it prints", lambda: fetching.rig.printer.slot.state is S.PRINTING)
    assert not fetching.shows("downloading")


def test_a_try_that_failed_is_told_at_once_with_the_servers_status(fetching: Fetching) -> None:
    task_id = fetching.begin(reply(503, headers={"Retry-After": "30"}))
    fetching.until("the first try failed", lambda: fetching.shows("try 2 in 30 s: the server answered 503"))
    told = fetching.rig.said(task_id)[-1]
    assert told["data"]["message"] == "try 2 in 30 s: the server answered 503 Service Unavailable"
    assert "127.0.0.1" not in told["data"]["message"]


def test_another_kind_of_news_wakes_the_heartbeat_and_a_percent_more_does_not(fetching: Fetching) -> None:
    fetching.begin(fetching.half)
    fetching.until("half of it is here", lambda: fetching.shows("downloading 50 %"))
    situation = fetching.rig.board.read()
    assert situation.job is not None

    def key(text: str) -> tuple[object, ...]:
        assert situation.job is not None
        job = msgspec.structs.replace(situation.job, transfer=text)
        return msgspec.structs.replace(situation, job=job).change_key()

    assert key("downloading 51 %, 1 of 2 MB") == situation.change_key()
    assert key("try 2 in 8 s: the server cannot be reached") != situation.change_key()


def test_a_report_says_what_changed_since_the_one_that_the_server_had(fetching: Fetching) -> None:
    """A report that a newer one took the place of was never seen."""
    task_id = fetching.begin(fetching.half)
    fetching.until("it is reported", lambda: len(fetching.rig.said(task_id)) > 1)
    fetching.go.set()
    fetching.until("it prints", lambda: fetching.rig.printer.slot.state is S.PRINTING)
    fetching.rig.runner.step()
    while heads := fetching.store.outbox.heads():
        fetching.store.outbox.acknowledge(heads[0])
    for state, change in (
        (S.PAUSED, "state: printing → paused"),
        (S.PRINTING, ""),
        (S.PAUSED, "state: printing → paused"),
    ):
        fetching.rig.printer.now(state=state, task_id=task_id)
        fetching.rig.runner.step()
        assert fetching.rig.said(task_id)[-1]["data"]["change"] == change, "the ones before it were not sent"


def test_the_status_page_shows_the_file_on_its_way(fetching: Fetching) -> None:
    fetching.begin(fetching.half)
    fetching.until("half of it is here", lambda: fetching.shows("downloading 50 %"))
    link = msgspec.to_builtins(fetching.rig.printer.slot.link)
    assert "<th>File</th><td>downloading 50 %, 1 of 2 MB</td>" in page(
        {**fetching.status(), "link": link, "registration": {}, "waiting_reports": 0}
    )

"""A file that is here already is not fetched again, and never an old one printed for a new one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Name
from agent.core.driver import Outcome
from agent.core.driver import PrinterState as S
from agent.errors import NoSpaceError
from agent.files import spool
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import FILE, RunnerRig
from tests.support.file_server import Answer, FileServer, reply
from tests.support.store import open_store

OTHER = FILE + b"G1 X9\n"
SHA256 = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "agent.db", FakeClock())
    yield made
    made.close()


@pytest.fixture
def files() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


class Prints:
    """Prints one after the other, of what the file server answers."""

    def __init__(self, folder: Path, store: Store, files: FileServer, *settings: str, task: str = "p") -> None:
        self.rig = RunnerRig(folder, store, "job.bed=free", f"cloud.server={files.url}", *settings)
        self._files = files
        self._task, self._number = task, 0

    def __call__(self, *answers: Answer, path: str = "/a.gcode", **more: Any) -> dict[str, Any]:
        """Print it; the terminal report."""
        self._number += 1
        self._files.answers = list(answers)
        self._files.paths.clear()
        self._files.headers.clear()
        task_id = self.rig.task(Name.PRINT_DATA, f"{self._task}{self._number}", url=self._files.url + path, **more)
        for _ in range(50):
            self.rig.woken.clear()
            self.rig.runner.step()
            if self.rig.printer.slot.state is S.PRINTING:
                self.rig.printer.ends(Outcome.COMPLETED)
            elif (told := self.rig.said(task_id)) and told[-1].get("progress") == 1:
                return told[-1]
            else:
                self.rig.woken.wait(5)
        raise AssertionError("the print did not end")

    @property
    def asked(self) -> list[str]:
        """The If-None-Match of each request for the last print, empty for none."""
        return [headers.get("If-None-Match", "") for headers in self._files.headers]


@pytest.fixture
def prints(tmp_path: Path, store: Store, files: FileServer) -> Prints:
    return Prints(tmp_path, store, files)


def unchanged(request: BaseHTTPRequestHandler) -> None:
    """The answer to an If-None-Match that matches."""
    assert request.headers["If-None-Match"] == '"v1"'
    reply(304, length=None)(request)


def completed(end: dict[str, Any], lines: int) -> bool:
    return bool((end["job_status"], end["data"]["total_lines"]) == ("completed", lines))


V1 = {"ETag": '"v1"'}


def test_a_file_that_the_server_says_is_the_same_is_not_fetched_again(prints: Prints) -> None:
    assert completed(prints(reply(200, FILE, V1)), 4)
    assert prints.asked == [""]
    assert completed(prints(unchanged), 4)
    assert prints.asked == ['"v1"']
    assert list(prints.rig.jobs.iterdir()) == [], "the jobs' own files go as before"


def test_a_file_that_has_changed_is_fetched(prints: Prints) -> None:
    prints(reply(200, FILE, V1))
    assert completed(prints(reply(200, OTHER, {"ETag": '"v2"'})), 5)
    assert prints.asked == ['"v1"']


def test_a_file_at_another_address_is_fetched_whatever_its_etag(prints: Prints) -> None:
    prints(reply(200, FILE, V1), path="/f?id=1")
    assert completed(prints(reply(200, OTHER, V1), path="/f?id=2"), 5)
    assert prints.asked == [""]


def test_without_a_strong_etag_a_file_is_fetched_again(prints: Prints) -> None:
    for headers in ({"ETag": 'W/"v1"'}, {"Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}, {}):
        prints(reply(200, FILE, headers))
        assert completed(prints(reply(200, OTHER, headers)), 5)
        assert prints.asked == [""]


def test_a_file_is_known_by_the_digest_that_the_command_names(prints: Prints) -> None:
    prints(reply(200, FILE))
    assert completed(prints(reply(500), path="/other?token=1", digest=f"sha-256={SHA256}"), 4)
    assert prints.asked == [], "nothing was asked for"
    digest = f"sha-256={hashlib.sha256(OTHER).hexdigest()}"
    assert completed(prints(reply(200, OTHER), digest=digest), 5)


def test_a_file_is_known_by_the_digest_that_the_server_names(prints: Prints) -> None:
    prints(reply(200, FILE))
    value = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    answer = reply(200, FILE, {"Repr-Digest": f"sha-256=:{value}:"}, cut=0)
    assert completed(prints(answer, path="/signed?key=2"), 4)


def test_a_digest_of_another_kind_is_checked_on_what_is_fetched(prints: Prints) -> None:
    prints(reply(200, FILE, V1))
    md5 = hashlib.md5(FILE, usedforsecurity=False).hexdigest()
    assert completed(prints(reply(200, FILE, V1), digest=f"md5={md5}"), 4)
    assert prints.asked == [""]
    end = prints(reply(200, OTHER, V1), digest=f"md5={md5}")
    assert (end["job_status"], end["error_code"]) == ("failed", 422)


def test_a_redirect_that_leads_elsewhere_now_is_followed_to_the_end(prints: Prints, files: FileServer) -> None:
    def to(path: str) -> Answer:
        return reply(302, headers={"Location": files.url + path})

    prints(to("/1"), reply(200, FILE, V1))
    assert completed(prints(to("/1"), unchanged), 4)
    assert completed(prints(to("/2"), unchanged, to("/2"), reply(200, OTHER, V1)), 5)


def test_a_kept_file_that_is_damaged_is_fetched(prints: Prints) -> None:
    prints(reply(200, FILE, V1))
    (prints.rig.kept / f"{SHA256}.gcode").write_bytes(b"G92\n")
    assert completed(prints(unchanged, reply(200, OTHER, V1)), 5)


def test_a_kept_file_is_held_to_the_limits_of_today(tmp_path: Path, store: Store, files: FileServer) -> None:
    hot = FILE + b"M104 S250\n"
    assert completed(Prints(tmp_path, store, files)(reply(200, hot, V1), path="/h"), 5)
    stricter = Prints(tmp_path, store, files, "job.max_temperature={tool=200.0}", task="stricter")
    end = stricter(unchanged, path="/h")
    assert (end["job_status"], end["error_code"]) == ("failed", 422)
    assert "250" in end["error_message"]


def test_with_0_nothing_is_kept(tmp_path: Path, store: Store, files: FileServer) -> None:
    prints = Prints(tmp_path, store, files, "job.keep_files_mb=0")
    prints(reply(200, FILE, V1))
    assert list(prints.rig.kept.iterdir()) == []


def test_kept_files_go_when_a_new_one_needs_their_space(prints: Prints, monkeypatch: pytest.MonkeyPatch) -> None:
    prints(reply(200, FILE, V1))
    real, calls = spool.SpoolFile.set_total, []

    def full_once(self: spool.SpoolFile, total: int) -> None:
        calls.append(total)
        if len(calls) == 1:
            raise NoSpaceError("no space for the file")
        real(self, total)

    monkeypatch.setattr(spool.SpoolFile, "set_total", full_once)
    assert completed(prints(reply(200, OTHER, V1), path="/new"), 5)
    assert not (prints.rig.kept / f"{SHA256}.gcode").exists()

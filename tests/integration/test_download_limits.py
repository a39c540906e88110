"""How long a download waits, what it asks for again, and what it takes up of a process that was killed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.errors import DataError, UnavailableError
from agent.files import fetch
from agent.files.fetch import MIN_GAIN, RetryPolicy, download
from agent.files.resume import Origin, load_origin, origin_path, save_origin
from agent.files.spool import SPARE
from agent.http.http_session import HttpSession
from agent.server.retry import delay
from agent.service.config import CloudSection
from agent.service.system_clock import SystemClock
from tests.support.cloud_side import make_http
from tests.support.file_server import BODY, STRONG, Answer, FileServer, reply


@pytest.fixture
def server() -> Iterator[FileServer]:
    made = FileServer()
    yield made
    made.close()


def transfers(server: FileServer) -> HttpSession:
    """A session as the agent's downloads have."""
    return make_http(CloudSection(server=server.url), SystemClock()).transfers()


def run(server: FileServer, folder: Path, *answers: Answer) -> list[float]:
    """Download BODY; the seconds that were waited, between two requests each."""
    server.answers = list(answers)
    waits: list[float] = []
    asked = [0]

    def sleep(seconds: float) -> None:
        if asked[0] != len(server.paths):
            asked[0] = len(server.paths)
            waits.append(0.0)
        waits[-1] += seconds

    with transfers(server) as used:
        done = download(
            server.url + "/f",
            folder / "a",
            session=used,
            max_bytes=10_000_000,
            retry=RetryPolicy(attempts=5, sleep=sleep),
        )
    assert done.path.read_bytes() == BODY
    return [round(wait, 3) for wait in waits]


def test_each_failure_in_a_row_doubles_the_wait_and_new_bytes_begin_it_anew(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    first, second, third = (round(delay(attempt), 3) for attempt in (1, 2, 3))
    assert first < second < third
    some = reply(body=BODY, headers=STRONG, cut=MIN_GAIN)
    waits = run(server, tmp_path, reply(503), reply(503), reply(503), some, reply(503), reply(body=BODY))
    assert waits == [first, second, third, first, first]


def test_the_time_for_the_headers_is_not_that_of_the_body(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "HEADERS_TIMEOUT", 0.4)

    def slowly(request: BaseHTTPRequestHandler) -> None:
        reply(body=BODY[:1000], length=len(BODY))(request)
        for start in range(1000, len(BODY), 200_000):
            threading.Event().wait(0.15)
            request.wfile.write(BODY[start : start + 200_000])

    assert run(server, tmp_path, slowly) == []
    assert len(server.paths) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_when_its_rest_is_asked_for_ends_the_download(
    server: FileServer, tmp_path: Path, status: int
) -> None:
    with pytest.raises(DataError, match=str(status)):
        run(server, tmp_path, reply(body=BODY, headers=STRONG, cut=1000), reply(status))
    assert server.headers[1]["Range"].startswith("bytes=")
    assert len(server.paths) == 2


def disk(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """The bytes that are free, each time that somebody asks; the last number from then on."""
    left = list(free)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=left.pop(0) if len(left) > 1 else left[0])
    )


def test_a_file_whose_size_was_told_has_its_space_from_the_beginning(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others write meanwhile does not end it, as long as the disk takes it."""
    disk(monkeypatch, SPARE + 10_000_000, SPARE - 1)
    body = BODY * 3
    server.answers = [reply(body=body)]
    with transfers(server) as session:
        assert download(server.url, tmp_path / "a", session=session, max_bytes=10_000_000).path.read_bytes() == body


def test_a_file_of_unknown_size_ends_when_the_space_does(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, SPARE, SPARE - 1)
    server.answers = [reply(body=BODY * 4, length=None)]
    with transfers(server) as session, pytest.raises(UnavailableError, match="no space"):
        download(server.url, tmp_path / "a", session=session, max_bytes=10_000_000, retry=RetryPolicy(attempts=1))


def test_what_says_where_a_part_comes_from_is_the_owners_alone(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    save_origin(part, Origin("boot", '"v1"', {}))
    assert origin_path(part).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("stored", "resumed"),
    [
        (b'{"boot":"this","validator":"\\"v1\\""}', True),
        (b'{"boot":"this","validator":""}', False),
        (b'{"boot":"that","validator":"\\"v1\\""}', False),
        (b'{"boot":"","validator":"\\"v1\\""}', False),
        (b"[]", False),
    ],
)
def test_a_part_is_resumed_only_when_it_can_be_compared_with_the_servers_file(
    tmp_path: Path, stored: bytes, resumed: bool
) -> None:
    part = tmp_path / "a.part"
    origin_path(part).write_bytes(stored)
    assert load_origin(part, "this") is None, "there is no part"
    part.touch()
    assert (load_origin(part, "this") is not None) is resumed
    assert load_origin(part, "") is None

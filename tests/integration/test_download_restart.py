"""A download whose process is killed: the next process of the same boot goes on where it was."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from agent.errors import ChangedError, DataError
from agent.files.fetch import download
from agent.files.resume import load_origin, origin_path
from agent.files.spool import Downloaded
from agent.service.config import CloudSection
from agent.service.system_clock import SystemClock
from tests.support.cloud_side import make_http
from tests.support.file_server import BODY, Answer, FileServer, ranged, reply

HERE = 400_000  # bytes that the first process gets

FIRST = """
import sys
from pathlib import Path
from agent.files.fetch import download
from agent.service.config import CloudSection
from agent.service.system_clock import SystemClock
from tests.support.cloud_side import make_http
session = make_http(CloudSection(server=sys.argv[1]), SystemClock()).transfers()
download(sys.argv[1], Path(sys.argv[2]), session=session, max_bytes=10_000_000, boot="this")
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


def stalls(sent: threading.Event, release: threading.Event, etag: str, digest: str) -> Answer:
    """Gives HERE bytes, and then nothing until `release`."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if etag:
            request.send_header("ETag", etag)
        if digest:
            request.send_header("Repr-Digest", digest)
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[:HERE])
        sent.set()
        release.wait(20)

    return answer


def sha256(body: bytes) -> str:
    """The digest of a whole file, as a header gives it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def killed(server: FileServer, target: Path, etag: str = '"v1"', digest: str = "") -> None:
    """A process that has HERE bytes of the file when it is killed."""
    sent, release = threading.Event(), threading.Event()
    server.answers = [stalls(sent, release, etag, digest)]
    part = target.with_name(target.name + ".part")
    process = subprocess.Popen([sys.executable, "-c", FIRST, server.url + "/f", str(target)])
    try:
        assert sent.wait(20)
        end = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size == HERE):
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
        release.set()
    server.headers.clear()
    server.paths.clear()


def again(server: FileServer, target: Path, *answers: Answer, boot: str = "this") -> tuple[Downloaded, bytes]:
    """The next process's download; what its sink saw."""
    sunk = bytearray()
    server.answers = list(answers)
    with make_http(CloudSection(server=server.url), SystemClock()).transfers() as session:
        done = download(server.url + "/f", target, session=session, max_bytes=10_000_000, sink=sunk.extend, boot=boot)
    return done, bytes(sunk)


def test_the_next_process_asks_for_the_rest_and_its_sink_sees_all_of_it(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "a.gcode"
    killed(server, target)
    assert origin_path(tmp_path / "a.gcode.part").stat().st_mode & 0o777 == 0o600
    done, sunk = again(server, target, ranged())
    assert server.headers[0]["Range"] == f"bytes={HERE}-"
    assert sunk == target.read_bytes() == BODY
    assert done.size == len(BODY)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("why", ["another boot", "no validator", "a damaged note"])
def test_what_cannot_be_trusted_is_fetched_from_the_beginning(server: FileServer, tmp_path: Path, why: str) -> None:
    target = tmp_path / "a.gcode"
    killed(server, target, etag="" if why == "no validator" else '"v1"')
    if why == "a damaged note":
        origin_path(tmp_path / "a.gcode.part").write_bytes(b"{")
    _, sunk = again(server, target, ranged(), boot="another" if why == "another boot" else "this")
    assert "Range" not in server.headers[0]
    assert sunk == target.read_bytes() == BODY
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_is_another_one_by_now_is_not_mixed_with_the_old_one(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "a.gcode"
    killed(server, target)
    with pytest.raises(Exception, match="changed while it was fetched"):
        again(server, target, reply(body=BODY[::-1], headers={"ETag": '"v2"'}))
    assert list(tmp_path.iterdir()) == []


def rest(digest: str) -> Answer:
    """The rest of the file, its last byte damaged on the way."""
    place = {"ETag": '"v1"', "Content-Range": f"bytes {HERE}-{len(BODY) - 1}/{len(BODY)}"}
    damaged = BODY[HERE:-1] + bytes([BODY[-1] ^ 1])
    return reply(206, damaged, {**place, "Repr-Digest": digest} if digest else place)


@pytest.mark.parametrize(("first", "second"), [(sha256(BODY), ""), ("", sha256(BODY))], ids=["first", "second"])
def test_the_checksum_that_the_server_gave_to_either_process_is_checked(
    server: FileServer, tmp_path: Path, first: str, second: str
) -> None:
    target = tmp_path / "a.gcode"
    killed(server, target, digest=first)
    with pytest.raises(DataError, match="arrived damaged: its sha-256 is not the expected one"):
        again(server, target, rest(second))
    assert server.headers[0]["Range"] == f"bytes={HERE}-"
    assert list(tmp_path.iterdir()) == []


def test_a_checksum_that_changed_between_two_processes_is_another_file(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "a.gcode"
    killed(server, target, digest=sha256(BODY))
    with pytest.raises(ChangedError, match="its checksum is another one now"):
        again(server, target, rest(sha256(BODY[::-1])))


def test_a_part_without_a_note_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x")
    assert load_origin(tmp_path / "a.part", "this") is None

"""File hosting over real sockets: what is put comes back whole, in parts, and only to whom it may."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.rigs.cloud_rig import LIMIT_S, HeldPoll, RunningCloud

CONTENT = bytes(range(256)) * 4096  # 1 MiB: more than one chunk, and more than the server keeps in memory


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files-cloud")


@pytest.fixture(scope="module")
def cloud(folder: Path) -> Iterator[RunningCloud]:
    with RunningCloud(folder) as running:
        yield running


@pytest.fixture(scope="module")
def url(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("source") / "my cube (1).gcode"
    path.write_bytes(CONTENT)
    return cloud.member.upload(path)


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): each for name, each in headers.items()}, timeout=LIMIT_S)


def test_a_file_comes_back_whole_with_length_and_tag(url: str) -> None:
    assert url.endswith("/my_cube__1_.gcode")
    answer = get(url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Content-Type"] == "application/octet-stream"
    head = requests.head(url, timeout=LIMIT_S)
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(CONTENT)), answer.headers["ETag"])


def test_a_download_goes_on_where_it_broke_off(url: str) -> None:
    etag = get(url).headers["ETag"]
    answer = get(url, Range="bytes=1000-", If_Range=etag)
    assert (answer.status_code, answer.content) == (206, CONTENT[1000:])
    assert answer.headers["Content-Range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert get(url, Range="bytes=5-9").content == CONTENT[5:10]
    assert get(url, Range="bytes=-3").content == CONTENT[-3:]


def test_a_part_of_another_file_is_answered_with_the_whole(url: str) -> None:
    answer = get(url, Range="bytes=1000-", If_Range='"another"')
    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_part_beyond_the_end_is_refused_with_the_size(url: str) -> None:
    answer = get(url, Range=f"bytes={len(CONTENT)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


def test_a_file_the_client_has_is_not_sent_again(url: str) -> None:
    assert get(url, If_None_Match=get(url).headers["ETag"]).status_code == 304


def put(cloud: RunningCloud, name: str, token: str, data: bytes = b"G28\n") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.put(f"{cloud.url}/files/{name}", data=data, headers=headers, timeout=LIMIT_S).status_code


@pytest.mark.parametrize(
    "name", ["..", ".hidden", "-rf", "a%2Fb", "..%2Fx", "a%00b", "%C3%A4", "a" * 129, "a%0A", "a b"]
)
def test_a_name_that_is_no_plain_name_is_refused(cloud: RunningCloud, folder: Path, name: str) -> None:
    before = sorted(folder.rglob("*"))
    assert put(cloud, name, cloud.member_token) in {404, 405, 422}
    assert sorted(folder.rglob("*")) == before


def test_only_a_member_may_put_a_file(cloud: RunningCloud) -> None:
    assert put(cloud, "cube.gcode", "wrong") == 401


@pytest.mark.parametrize(
    "path", ["files/x/cube.gcode", "files/" + "A" * 32 + "/cube.gcode", "files/%2e%2e/sandbox.sqlite3"]
)
def test_what_is_not_there_is_not_found(cloud: RunningCloud, path: str) -> None:
    assert get(f"{cloud.url}/{path}").status_code == 404


def test_only_this_user_may_read_the_files_and_none_is_left_half_written(url: str, folder: Path) -> None:
    assert list((folder / "partial").iterdir()) == []
    for path in (folder / "files").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_file_too_large_is_refused_before_it_is_sent(cloud: RunningCloud) -> None:
    host, port = cloud.url.removeprefix("http://").split(":")
    request = (
        f"PUT /files/big.gcode HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {cloud.member_token}\r\n"
        f"Content-Length: {3 * 1024**3}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), LIMIT_S) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_logs_go_to_a_place_that_only_the_member_reads(cloud: RunningCloud) -> None:
    printer = cloud.printer()
    poll = HeldPoll(cloud, printer.listen())
    cloud.member.command(printer.printer_id, "logs")
    upload_url = poll.replies()[1]["data"]["upload_url"]
    member = {"Authorization": f"Bearer {cloud.member_token}"}
    assert requests.get(upload_url, headers=member, timeout=LIMIT_S).status_code == 404
    for content in (b"old", b"new logs"):
        assert requests.put(upload_url, data=content, timeout=LIMIT_S).status_code == 204
    assert requests.get(upload_url, timeout=LIMIT_S).status_code == 401
    assert requests.get(upload_url, headers=member, timeout=LIMIT_S).content == b"new logs"
    assert requests.put(f"{cloud.url}/uploads/{'A' * 32}", data=b"x", timeout=LIMIT_S).status_code == 404

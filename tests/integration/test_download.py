"""Downloads from a real HTTP server on the loopback that misbehaves on request."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import io
import re
import shutil
import socket
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from agent.errors import CancelledError, ChangedError, CloudError, DataError, UnavailableError
from agent.files.fetch import RetryPolicy, download
from agent.files.spool import SPARE, Downloaded, spool
from agent.gcode import Scanner
from agent.service.config import CloudSection
from agent.service.system_clock import SystemClock
from tests.rigs.server_rig import trickling
from tests.support.cloud_side import make_http
from tests.support.file_server import BODY, STRONG, Answer, FileServer, ranged, reply
from tests.support.system_calls import record_disk_calls


class Fetcher:
    """`download` with what the tests look at: the bytes the sink saw, the naps."""

    def __init__(self, server: FileServer, folder: Path) -> None:
        self.target = folder / "a.gcode"
        self.server = server
        self.session = make_http(CloudSection(server=server.url), SystemClock()).transfers()
        self.sunk = bytearray()
        self.naps: list[float] = []
        self.now = 0.0

    def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def __call__(
        self,
        *answers: Answer,
        path: str = "/f/a.gcode",
        url: str = "",
        max_bytes: int = 10_000_000,
        attempts: int = 4,
        allow_http: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
        sink: Callable[[bytes], None] | None = None,
        digest: str = "",
    ) -> Downloaded:
        self.server.answers = list(answers)
        return download(
            url or self.server.url + path,
            self.target,
            session=self.session,
            max_bytes=max_bytes,
            allow_http=allow_http,
            cancelled=cancelled,
            sink=sink or self.sunk.extend,
            retry=RetryPolicy(attempts=attempts, sleep=self.nap, monotonic=lambda: self.now),
            digest=digest,
        )

    def assert_whole(self, done: Downloaded, body: bytes = BODY) -> None:
        assert (done.path, done.size, done.sha256) == (self.target, len(body), hashlib.sha256(body).hexdigest())
        assert self.target.read_bytes() == body
        assert bytes(self.sunk) == body
        assert list(self.target.parent.iterdir()) == [self.target]

    def assert_nothing_left(self) -> None:
        assert list(self.target.parent.iterdir()) == []


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def fetch(server: FileServer, tmp_path: Path) -> Iterator[Fetcher]:
    fetcher = Fetcher(server, tmp_path)
    yield fetcher
    fetcher.session.close()


def test_a_file_arrives_whole_and_private(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(reply(body=BODY)))
    assert fetch.target.stat().st_mode & 0o777 == 0o600
    assert fetch.server.headers[0]["Accept-Encoding"] == "identity"


def test_a_body_without_a_length_arrives(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(reply(body=BODY, length=None)))


def test_a_chunked_body_that_breaks_off_is_noticed(fetch: Fetcher) -> None:
    def chunked(whole: bool) -> Answer:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"%x\r\n%b\r\n" % (len(BODY), BODY) + (b"0\r\n\r\n" if whole else b""))

        return answer

    fetch.assert_whole(fetch(chunked(False), chunked(True)))
    assert len(fetch.server.paths) == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_says_later_is_asked_again(fetch: Fetcher, status: int) -> None:
    fetch.assert_whole(fetch(reply(status), reply(status), reply(body=BODY)))
    assert len(fetch.server.paths) == 3


def test_retry_after_is_obeyed(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(reply(503, headers={"Retry-After": "17"}), reply(body=BODY)))
    assert sum(fetch.naps) >= 17
    assert max(fetch.naps) <= 0.5  # a cancel is heard in between


def test_a_server_that_never_recovers_is_given_up_after_the_attempts(fetch: Fetcher) -> None:
    with pytest.raises(UnavailableError, match="503 Service Unavailable"):
        fetch(reply(503), attempts=3)
    assert len(fetch.server.paths) == 3
    fetch.assert_nothing_left()


def test_nobody_there_is_unavailable(fetch: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a?secret=7"
    with pytest.raises(UnavailableError, match="Connection refused") as caught:
        fetch(url=url)
    assert "secret" not in str(caught.value)
    fetch.assert_nothing_left()


def test_what_the_server_says_of_its_status_is_not_repeated(fetch: Fetcher) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(404, "s3cret of the inside")
        request.send_header("Content-Length", "0")
        request.end_headers()

    with pytest.raises(DataError, match=r"the server answered 404 Not Found$"):
        fetch(answer)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 451])
def test_a_final_answer_is_an_error_at_once_that_hides_the_secrets(fetch: Fetcher, status: int) -> None:
    url = fetch.server.url.replace("//", "//user:pa55@") + "/f/a.gcode?token=53cret#frag"
    with pytest.raises(DataError, match=f"/f/a.gcode: the server answered {status}") as caught:
        fetch(reply(status, length=0), url=url)
    assert len(fetch.server.paths) == 1
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert not any(secret in shown for secret in ("pa55", "53cret", "user", "frag"))
    fetch.assert_nothing_left()


def test_a_broken_transfer_goes_on_where_it_broke(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(ranged(cut=200_000), ranged(cut=100_000), ranged()))
    assert [headers.get("Range") for headers in fetch.server.headers] == [None, "bytes=200000-", "bytes=300000-"]
    assert fetch.server.headers[1]["If-Range"] == '"v1"'


def test_last_modified_serves_as_a_validator(fetch: Fetcher) -> None:
    date = {"Last-Modified": "Fri, 27 Mar 2015 12:22:54 GMT"}
    rest = {"Content-Range": f"bytes 200000-{len(BODY) - 1}/{len(BODY)}"}
    fetch.assert_whole(fetch(reply(body=BODY, headers=date, cut=200_000), reply(206, BODY[200_000:], rest)))
    assert fetch.server.headers[1]["If-Range"] == date["Last-Modified"]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}])
def test_without_a_strong_validator_the_file_comes_again_and_the_sink_sees_each_byte_once(
    fetch: Fetcher, headers: dict[str, str]
) -> None:
    fetch.assert_whole(fetch(reply(body=BODY, headers=headers, cut=123_456), reply(body=BODY, headers=headers)))
    assert "Range" not in fetch.server.headers[1]


def test_a_server_that_ignores_ranges_may_send_everything_again(fetch: Fetcher) -> None:
    again = reply(body=BODY, headers=STRONG)
    fetch.assert_whole(fetch(ranged(cut=200_000), reply(body=BODY, headers=STRONG, cut=90_000), again))


def test_a_file_that_changed_meanwhile_is_refused(fetch: Fetcher) -> None:
    other = b"x" + BODY[1:]
    with pytest.raises(ChangedError, match="its beginning is another one"):
        fetch(ranged(cut=200_000), ranged(other, '"v2"'))
    fetch.assert_nothing_left()


def test_a_file_that_changed_its_length_meanwhile_is_refused(fetch: Fetcher) -> None:
    with pytest.raises(ChangedError, match="700002 bytes, before it had 700001"):
        fetch(ranged(cut=200_000), ranged(BODY + b"x", '"v2"'))
    assert bytes(fetch.sunk) == BODY[:200_000]


def test_a_shorter_file_of_unknown_length_is_refused(fetch: Fetcher) -> None:
    def broken(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"5\r\nG28\nG\r\n")

    with pytest.raises(ChangedError, match="shorter"):
        fetch(broken, reply(body=b"G28\n", length=None))


@pytest.mark.parametrize("place", ["bytes 5-9/10", "nonsense", "bytes 0-1/*", ""])
def test_another_range_than_asked_for_is_not_believed(fetch: Fetcher, place: str) -> None:
    wrong = reply(206, b"wrong", {"Content-Range": place})
    fetch.assert_whole(fetch(ranged(cut=200_000), wrong, ranged()))
    assert "Range" not in fetch.server.headers[2]


def test_a_server_that_sends_less_than_the_rest_is_asked_for_more(fetch: Fetcher) -> None:
    part = {**STRONG, "Content-Range": f"bytes 200000-299999/{len(BODY)}"}
    fetch.assert_whole(fetch(ranged(cut=200_000), reply(206, BODY[200_000:300_000], part), ranged()))
    assert fetch.server.headers[2]["Range"] == "bytes=300000-"


def test_a_range_that_cannot_be_had_leads_to_the_whole(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(ranged(cut=200_000), reply(416), ranged()))


def test_a_partial_answer_that_nobody_asked_for_is_refused(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match="206"):
        fetch(reply(206, b"x"))


def test_a_length_that_is_never_reached_is_given_up(fetch: Fetcher) -> None:
    with pytest.raises(UnavailableError, match="broke off"):
        fetch(reply(body=BODY, length=len(BODY) + 1), attempts=3)
    assert len(fetch.server.paths) == 4  # one that brought something, three that did not
    fetch.assert_nothing_left()


def test_a_transfer_that_keeps_breaking_but_moves_on_gets_there(fetch: Fetcher) -> None:
    fetch.assert_whole(fetch(ranged(cut=50_000), attempts=2))
    assert len(fetch.server.paths) == 15


def test_the_tries_end_when_the_time_is_over(fetch: Fetcher) -> None:
    with pytest.raises(CloudError):
        fetch(reply(503, headers={"Retry-After": "3600"}), attempts=1_000)
    assert len(fetch.server.paths) == 7  # six hours


def test_too_large_is_refused_before_a_byte_is_taken(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match="too large: 700001 bytes, allowed are 700000"):
        fetch(reply(body=BODY), max_bytes=700_000)
    assert fetch.sunk == b""
    fetch.assert_nothing_left()


def test_too_large_is_refused_on_the_way_where_no_length_was_given(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match="too large: allowed are 300000"):
        fetch(reply(body=BODY, length=None), max_bytes=300_000)
    assert len(fetch.sunk) <= 300_000
    fetch.assert_nothing_left()


def test_a_full_disk_is_noticed_before(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 17_000_000))
    with pytest.raises(UnavailableError, match="no space for the file: 700001 bytes"):
        fetch(reply(body=BODY))
    fetch.assert_nothing_left()


def test_a_disk_that_fills_up_meanwhile_is_unavailable(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.files.spool.os.write", full)
    with pytest.raises(UnavailableError, match="no space left"):
        fetch(reply(body=BODY))
    monkeypatch.undo()
    fetch.assert_nothing_left()


def test_a_file_of_unknown_length_leaves_the_spare_free(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    body = bytes(3 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 0, SPARE + 1 - 2 * len(fetch.sunk)))
    with pytest.raises(UnavailableError, match="no space for the file"):
        fetch(reply(body=body, length=None))
    fetch.assert_nothing_left()


def test_headers_that_drip_in_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.files.fetch.HEADERS_TIMEOUT", 0.3)
    with (
        trickling(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n") as url,
        make_http(CloudSection(server=url), SystemClock()).transfers() as session,
        pytest.raises(CloudError),
    ):
        download(
            f"{url}/x",
            tmp_path / "x",
            session=session,
            max_bytes=99,
            retry=RetryPolicy(attempts=2, sleep=lambda _: None),
        )


def test_a_cancel_is_heard_while_a_slow_server_sends(fetch: Fetcher) -> None:
    go_on, cancel = threading.Event(), threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        reply(body=b"G28\n", length=1_000_000)(request)
        request.wfile.flush()
        go_on.wait(10)

    def sink(block: bytes) -> None:
        assert block == b"G28\n"  # what is there is handed on, however little
        cancel.set()
        go_on.set()

    with pytest.raises(CancelledError):
        fetch(slow, cancelled=cancel.is_set, sink=sink)
    fetch.assert_nothing_left()


def test_a_cancel_is_heard_between_two_tries(fetch: Fetcher) -> None:
    with pytest.raises(CancelledError):
        fetch(reply(503, headers={"Retry-After": "600"}), cancelled=lambda: fetch.now >= 2)
    assert fetch.now < 3
    fetch.assert_nothing_left()


def test_a_cancel_is_heard_to_the_very_end(fetch: Fetcher) -> None:
    with pytest.raises(CancelledError):
        fetch(reply(body=BODY), cancelled=lambda: len(fetch.sunk) == len(BODY))
    fetch.assert_nothing_left()


def test_what_the_sink_refuses_ends_the_download(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match="HTML page"):
        fetch(reply(body=b"<html>\n" * 100), sink=Scanner().feed)
    fetch.assert_nothing_left()


def test_an_earlier_file_stays_when_the_new_one_fails(fetch: Fetcher) -> None:
    fetch.target.write_bytes(b"old")
    with pytest.raises(DataError):
        fetch(reply(404))
    assert fetch.target.read_bytes() == b"old"
    fetch.assert_whole(fetch(reply(body=BODY)))


def test_redirects_are_followed_without_handing_on_credentials(fetch: Fetcher) -> None:
    url = fetch.server.url.replace("//", "//me:pa55@") + "/start"
    fetch.assert_whole(fetch(reply(302, headers={"Location": "/b?x=1"}), reply(body=BODY), url=url))
    assert fetch.server.paths == ["/start", "/b?x=1"]
    assert fetch.server.headers[0]["Authorization"].startswith("Basic ")
    assert "Authorization" not in fetch.server.headers[1]


def test_the_body_of_a_redirect_is_not_read(fetch: Fetcher) -> None:
    endless = reply(302, b"x", {"Location": "/b"}, length=1 << 40)
    asked = threading.Event()

    def hold(request: BaseHTTPRequestHandler) -> None:
        endless(request)
        request.wfile.flush()
        asked.wait(10)

    def second(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        reply(body=BODY)(request)

    fetch.assert_whole(fetch(hold, second))


def test_redirects_have_an_end(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match="more than 5 redirects"):
        fetch(reply(302, headers={"Location": "/again"}))
    assert len(fetch.server.paths) == 6


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://[bad/"])
def test_redirects_lead_to_http_only(fetch: Fetcher, place: str) -> None:
    with pytest.raises(DataError, match=r"redirected to an address that is not allowed|not a usable address") as caught:
        fetch(reply(302, headers={"Location": place + "?s3cret"}))
    assert place not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("place", ["http://files.invalid/b?secret", "//files.invalid/b"])
def test_a_redirect_does_not_lead_to_plain_http_where_that_is_forbidden(fetch: Fetcher, place: str) -> None:
    with pytest.raises(DataError, match="redirected to an address that is not allowed"):
        fetch(reply(302, headers={"Location": place}), allow_http=False)
    with pytest.raises(DataError, match="redirected to an address that is not allowed"):
        fetch(reply(302, headers={"Location": "/again"}), reply(302, headers={"Location": place}), allow_http=False)
    fetch.assert_nothing_left()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://h/x", "", "a.gcode", "http://", "http://[::1", "http://h:99999/", "http://a..b/"],
)
def test_only_http_addresses_are_fetched(fetch: Fetcher, url: str) -> None:
    with pytest.raises(DataError, match=r"not an http or https address|not a usable address"):
        fetch(url=url or " ")
    fetch.assert_nothing_left()


def test_plain_http_can_be_forbidden_except_to_this_machine(fetch: Fetcher) -> None:
    with pytest.raises(DataError, match=r"plain http is not allowed here: http://files.invalid/a"):
        fetch(url="http://files.invalid/a?b", allow_http=False)
    fetch.assert_whole(fetch(reply(body=BODY), allow_http=False))


def test_nothing_of_ours_is_sent(fetch: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path.parent / f"{tmp_path.name}.netrc"
    netrc.write_text("machine 127.0.0.1 login me password pa55\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetch.session.headers.update({"X-Printer-Auth-Token": "t0ken", "Authorization": "Bearer t0ken"})
    fetch.assert_whole(fetch(reply(body=BODY)))
    assert not {"X-Printer-Auth-Token", "Authorization", "Cookie"} & set(fetch.server.headers[0])


@pytest.mark.parametrize("cut", [None, 300_000])
def test_a_compressed_body_is_unpacked_even_if_it_breaks_off(fetch: Fetcher, cut: int | None) -> None:
    packed = gzip.compress(BODY)
    headers = {"Content-Encoding": "gzip", **STRONG}
    fetch.assert_whole(fetch(reply(body=packed, headers=headers, cut=cut), reply(body=packed, headers=headers)))
    assert all("Range" not in headers for headers in fetch.server.headers)


def test_a_compressed_body_of_unknown_length_that_breaks_off_is_noticed(fetch: Fetcher) -> None:
    packed, headers = gzip.compress(BODY), {"Content-Encoding": "gzip"}
    cut = reply(body=packed, headers=headers, cut=300_000, length=None)
    fetch.assert_whole(fetch(cut, reply(body=packed, headers=headers, length=None)))


def test_a_compression_bomb_is_stopped(fetch: Fetcher) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(DataError, match="too large"):
        fetch(reply(body=bomb, headers={"Content-Encoding": "gzip"}), max_bytes=1_000_000)


@pytest.mark.parametrize(("encoding", "message"), [("br", "unknown Content-Encoding$"), ("gzip", "damaged")])
def test_an_encoding_that_cannot_be_undone_is_refused(fetch: Fetcher, encoding: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(reply(body=b"G28\n", headers={"Content-Encoding": encoding}))


def b64(name: str, body: bytes) -> str:
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


CHECKSUMS = [
    {"Repr-Digest": f"unknown=:AAAA:, sha-256=:{b64('sha256', BODY)}:"},
    {"Content-Digest": f"sha-512=:{b64('sha512', BODY)}:"},
    {"Digest": f"SHA-256={b64('sha256', BODY)},md5=bad"},
    {"Content-MD5": b64("md5", BODY)},
]


@pytest.mark.parametrize("headers", CHECKSUMS, ids=lambda value: next(iter(value)))
def test_a_file_with_the_servers_checksum_arrives_and_a_damaged_one_does_not(
    fetch: Fetcher, headers: dict[str, str]
) -> None:
    fetch.assert_whole(fetch(reply(body=BODY, headers=headers)))
    with pytest.raises(DataError, match=r"arrived damaged: its (sha-256|sha-512|md5) is not the expected one$"):
        fetch(reply(body=BODY[:-1] + b"x", headers=headers))
    assert fetch.target.read_bytes() == BODY, "the earlier file stays"


@pytest.mark.parametrize("name", ["sha-256", "md5"])
def test_a_commands_own_checksum_is_checked(fetch: Fetcher, name: str) -> None:
    right = f"{name}={hashlib.new(name.replace('-', ''), BODY).hexdigest()}"
    fetch.assert_whole(fetch(reply(body=BODY), digest=right))
    fetch.target.unlink()
    with pytest.raises(DataError, match="arrived damaged"):
        fetch(reply(body=BODY[::-1]), digest=right)
    fetch.assert_nothing_left()


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_used(
    fetch: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record_disk_calls(monkeypatch)
    fetch.assert_whole(fetch(reply(body=BODY)))
    folder = fetch.target.parent.name
    assert calls == [("sync", "a.gcode.part", len(BODY)), ("rename", "a.gcode", len(BODY)), ("sync", folder, -1)]


@pytest.mark.parametrize("value", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_retry_after_of_nothing_is_no_leave_to_try_at_once(fetch: Fetcher, value: str) -> None:
    with pytest.raises(CloudError):
        fetch(reply(503, headers={"Retry-After": value}), attempts=8)
    assert len(fetch.server.paths) == 8
    assert len(fetch.naps) >= 7
    assert all(nap > 0 for nap in fetch.naps)
    assert sum(fetch.naps) > 5, "the back-off: a minute, on average"


def test_a_checksum_of_the_whole_holds_for_a_file_that_came_in_parts(fetch: Fetcher) -> None:
    def parts(request: BaseHTTPRequestHandler) -> None:
        start = int((re.findall(r"\d+", request.headers.get("Range", "")) or ["0"])[0])
        headers = {**STRONG, **CHECKSUMS[0], "Content-Digest": f"sha-256=:{b64('sha256', BODY[start:])}:"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        reply(206 if start else 200, BODY[start:], headers, cut=None if start else 300_000)(request)

    fetch.assert_whole(fetch(parts))
    assert len(fetch.server.paths) == 2


@pytest.mark.parametrize("value", ["sha-256=:!!!:", "sha-256=:AAAA:", "", ":::", "sha-256", "crc32=:AAAA:"])
def test_a_checksum_that_says_nothing_costs_no_file(fetch: Fetcher, value: str) -> None:
    fetch.assert_whole(fetch(reply(body=BODY, headers={"Repr-Digest": value, "Content-MD5": "x"})))


def test_a_spooled_file_arrives_over_a_socket(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=theirs.sendall, args=(BODY,), name="sender")
    sender.start()
    sunk = bytearray()
    with ours, theirs, ours.makefile("rb") as stream:
        done = spool(stream, len(BODY), tmp_path / "a", max_bytes=10**6, sink=sunk.extend)
    sender.join(5)
    assert done == Downloaded(tmp_path / "a", len(BODY), hashlib.sha256(BODY).hexdigest())
    assert bytes(sunk) == (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize(
    ("size", "max_bytes", "kind", "message"),
    [
        (11, 100, DataError, "broke off after 10 of 11 bytes"),
        (101, 100, DataError, "too large: 101 bytes"),
        (1 << 60, 1 << 62, UnavailableError, "no space for the file"),
    ],
)
def test_a_spooled_file_that_cannot_be_taken_leaves_nothing(
    tmp_path: Path, size: int, max_bytes: int, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        spool(io.BytesIO(b"0123456789"), size, tmp_path / "a", max_bytes=max_bytes)
    assert list(tmp_path.iterdir()) == []


def test_a_spooled_file_takes_no_byte_beyond_its_size(tmp_path: Path) -> None:
    stream = io.BytesIO(b"G28\nthe rest is another request")
    assert spool(stream, 4, tmp_path / "a", max_bytes=100).size == 4
    assert stream.read() == b"the rest is another request"


def test_a_silent_sender_is_given_up_by_the_sockets_own_limit(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.05)
    with ours, theirs, ours.makefile("rb") as stream, pytest.raises(UnavailableError, match="broke off after 0 of 5"):
        spool(stream, 5, tmp_path / "a", max_bytes=100)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No such file or directory"):
        spool(io.BytesIO(b""), 0, tmp_path / "no" / "a", max_bytes=1)

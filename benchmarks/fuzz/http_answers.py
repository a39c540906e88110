"""Answers over HTTP from the status line on, to each client that there is: the REST API, the member's API, a file, a
reply of Faye. Each ends with a result or its documented error (agent/http, agent/server, agent/files)."""

from __future__ import annotations

import gzip
import random
import re
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import AgentError, CloudError, DataError, RejectedError, TokenError, UnavailableError
from agent.faye.long_polling import LongPolling
from agent.files.fetch import RetryPolicy, download
from agent.server.member import pages
from agent.service.config import CloudSection, Config
from agent.service.system_clock import SystemClock
from benchmarks.fuzz.answering_server import AnsweringServer, answering
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import Target, Trial, parser, require_text
from tests.support.cloud_side import make_client, make_http
from tests.unit.faye.loopback import Ear, ask

OK = b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 18:00:00 GMT\r\n"
BODY = b'{"jobs":[{"task_id":"1","command":"pause"}],"printers":[{"printer_id":7}],"_link_next":"/print/printers?o=1"}'
REGISTRATION = b'{"printer_id":7,"auth_token":"' + b"t" * 43 + b'","registration_code":"K7","registered":false}'
EXAMPLES = (
    OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    OK + b"Content-Length: %d\r\n\r\n%b" % (len(REGISTRATION), REGISTRATION),
    OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n[{"ch\r\n10;x=y\r\nannel":"/a"}   ]\r\n0\r\nX: y\r\n\r\n',
    OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(BODY),
    OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(BODY),
    OK
    + b'ETag: "v"\r\nContent-Length: 4\r\nRepr-Digest: sha-256=:'
    + b"A" * 43
    + b"=:\r\nContent-MD5: AAAA\r\n\r\nG28\n",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\n\r\nG28\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Later\r\nRetry-After: 7\r\nSet-Cookie: a=b; Max-Age=9\r\n\r\nno",
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 401 No\r\n\r\n",
    b"HTTP/1.1 422 Never\r\nContent-Length: 9\r\n\r\nbad\xff\x1b[31m",
)
TOKENS = (
    *JSON,
    *(
        b"\r\n",
        b"\r\n\r\n",
        b": ",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99\r\n",
        b"Content-Length: 1, 2\r\n",
        b"0\r\n\r\n",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: br\r\n",
        b"Content-Encoding: gzip, gzip\r\n",
        b"ffffffffffffffff\r\n",
    ),
    *(
        b"Location: http://[::\r\n",
        b"Location: //x\r\n",
        b"Location: http://a\x00b/\r\n",
        b"Location: \xff\r\n",
        b"Date: x\r\n",
    ),
    *(
        b"Retry-After: 99999999999999999999\r\n",
        b"Retry-After: -1\r\n",
        b"Set-Cookie: \xff=\x00; Expires=x\r\n",
        b"Set-Cookie: =\r\n",
    ),
    *(
        b"HTTP/9.9",
        b"HTTP/1.1 204 \r\n",
        b"HTTP/1.1 304 x\r\n",
        b"HTTP/1.1 101 x\r\n",
        b" folded\r\n",
        b"Date: Thu, 01 Jan 1970\r\n",
    ),
    *(
        b"Digest: SHA-256=x\r\n",
        b"ETag: \xff\r\n",
        b"Content-Type: x; charset=\xff\r\n",
        b"Content-Range: bytes 0-1/*\r\n",
    ),
)
ERROR_LIMIT = 2_000
TOKEN = "T" * 43
TOKEN_VALUE = re.compile("[!-~]{1,1024}")
Call = Callable[[random.Random], None]


_ANSWERS = Mutator(EXAMPLES, TOKENS)
_BODIES = Mutator((BODY, REGISTRATION, b'{"url":"https://a.example/l"}', b"[]"), (*JSON, b'"printer_id":'))


def _make(choose: random.Random) -> bytes:
    """A whole answer that is damaged anywhere, or a sound one with a damaged body."""
    if choose.random() < 0.5:
        return _ANSWERS(choose)
    body = _BODIES(choose)
    status = choose.choice((b"200 OK", b"200 OK", b"422 No"))
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@contextmanager
def _prepare() -> Iterator[Trial]:
    with answering() as server, tempfile.TemporaryDirectory() as folder:
        calls = (_rest(server), _rest(server), _member(server), _file(server, Path(folder)), _faye(server))

        def check(data: bytes, choose: random.Random) -> None:
            server.answer = data
            choose.choice(calls)(choose)

        yield parser(_make, check)


def _require_error(error: AgentError) -> None:
    """Judge an error: short, with a wait that is one. It may quote the answer: whoever shows it makes it printable."""
    assert len(str(error)) < ERROR_LIMIT
    wait = error.retry_after if isinstance(error, CloudError) else None
    assert wait is None or 0 <= wait < 1e7


def _rest(server: AnsweringServer) -> Call:
    section = CloudSection(server=server.url, connect_timeout_s=1.0, read_timeout_s=1.0)

    def call(choose: random.Random) -> None:
        api = make_client(section, SystemClock())
        try:
            match choose.randrange(4):
                case 0:
                    answer = api.register({}, choose.choice((TOKEN, None)))
                    assert 0 <= answer.printer_id < 1 << 63
                    assert not answer.auth_token or TOKEN_VALUE.fullmatch(answer.auth_token)
                case 1:
                    assert isinstance(api.jobs(TOKEN), list)
                case 2:
                    api.post_status(TOKEN, b"{}")
                case _:
                    api.post_report(TOKEN, "1", b"{}", "k")
        except (CloudError, RejectedError, TokenError) as error:
            _require_error(error)
        finally:
            api.close()

    return call


def _member(server: AnsweringServer) -> Call:
    config = Config(cloud=CloudSection(server=server.url, connect_timeout_s=1.0, read_timeout_s=1.0))
    http = make_http(config.cloud, SystemClock())

    def call(_choose: random.Random) -> None:
        try:
            for page, _ in zip(pages(config, "token", http, limit=1, offset=0, every=True), range(3), strict=False):
                assert isinstance(page["printers"], list)
        except (UnavailableError, TokenError, RejectedError, DataError) as error:
            _require_error(error)

    return call


def _file(server: AnsweringServer, folder: Path) -> Call:
    session = make_http(CloudSection(server=server.url), SystemClock()).transfers()
    target = folder / "a"

    def call(_choose: random.Random) -> None:
        policy = RetryPolicy(attempts=2, sleep=lambda _: None)
        try:
            done = download(f"{server.url}/a?secret", target, session=session, max_bytes=5_000, retry=policy)
            assert done.size == target.stat().st_size <= 5_000
        except (DataError, UnavailableError) as error:
            _require_error(error)
            require_text(str(error).replace("secret", "\n"), ERROR_LIMIT)
        assert {path.name for path in folder.iterdir()} <= {"a"}
        target.unlink(missing_ok=True)

    return call


def _faye(server: AnsweringServer) -> Call:
    http = make_http(CloudSection(server=server.url), SystemClock())

    def call(_choose: random.Random) -> None:
        ear = Ear()
        transport = LongPolling(
            server.url,
            ear,
            tls=http.tls,
            response_class=http.response_class,
            resolve=http.resolver().resolve,
            clock=time.monotonic,
        )
        try:
            transport.send(ask())
            ear.wait_for_one(5)
        finally:
            transport.close(5)
        for reason, _, wait in ear.failures:
            require_text(reason, ERROR_LIMIT)
            assert 0 <= wait <= 300

    return call


TARGET = Target("http_answers", 5_000, _prepare)

"""Client of the printer's REST API (docs/protocol.md), on requests.

One `ApiClient` belongs to one thread: it holds a keep-alive session. No redirect is followed, because the token would
go with it. Every call has a limit for connecting, one for each read and one in all, the sum of the two. A call that
fails raises one of three errors: CloudError (retry later), RejectedError (never), TokenError (401, 403: see Registrar).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import requests
import urllib3

from agent import __version__
from agent.core.answer import Answer, classify, retry_after
from agent.core.clock import Clock
from agent.core.command import count_values
from agent.errors import CloudError, RejectedError, TokenError
from agent.http.describe_error import describe
from agent.http.http_client import HttpClient
from agent.http.http_session import NoAuth, read_body
from agent.server.server_clock import ServerClock
from agent.service.config import Config, need_server

TOKEN_HEADER = "X-Printer-Auth-Token"  # noqa: S105 a header's name
ANSWER_LIMIT = 1 << 20  # bytes of an answer that are read
MAX_JOB_VALUES = 20_000  # values in the answer to `jobs`; a value takes up to 240 bytes
EXCERPT = 300  # characters of an answer in an error
SLACK = 5.0  # seconds beyond its limits after which a call counts as hung: encoding, a slow processor


class Registration(msgspec.Struct, frozen=True):
    """Answer of `POST printers/registration_code`. What does not apply may be absent or null."""

    printer_id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    auth_token: str | None = None
    registration_code: str | None = None
    registered: bool | None = None
    registration_url: str | None = None

    def __repr__(self) -> str:
        return f"Registration(printer_id={self.printer_id}, registered={self.registered})"


class ApiClient:
    """Calls to one server as one printer. Tokens are arguments: they may change between two calls.

    `server_clock` is set by the `Date` of each answer. `beat` is called before a call with the seconds that it may
    take, and with 0 after it.
    """

    def __init__(
        self,
        config: Config,
        *,
        http: HttpClient,
        clock: Clock,
        server_clock: ServerClock,
        beat: Callable[[float], None],
    ) -> None:
        self._base = f"{need_server(config)}{config.cloud.api_base.rstrip('/')}/print"
        self._timeout = (config.cloud.connect_timeout_s, config.cloud.read_timeout_s)
        self._clock = clock
        self._server_clock = server_clock
        self._beat = beat
        self._session = http.calls()
        self._session.headers["User-Agent"] = f"printer-agent/{__version__}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def set_timeouts(self, timeouts: tuple[float, float]) -> None:
        """Use these limits (connect, read; seconds) from the next call on. Any thread."""
        self._timeout = timeouts

    def register(self, body: dict[str, Any], token: str | None) -> Registration:
        """`POST printers/registration_code`; without a token the first time.

        Raises CloudError, RejectedError, TokenError; CloudError also for an answer that cannot be used.
        """
        answer = self._call("POST", "printers/registration_code", token, msgspec.json.encode(body))
        try:
            registration = msgspec.json.decode(answer, type=Registration)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CloudError(f"registration: the answer is not as expected: {error}") from None
        if not registration.auth_token and not token:
            raise CloudError("registration: the answer has no auth_token")
        if registration.auth_token and not re.fullmatch("[!-~]{1,1024}", registration.auth_token):
            raise CloudError("registration: the answer's auth_token cannot be the value of a header")
        return registration

    def post_report(self, token: str, task_id: str, body: bytes, key: str) -> None:
        """`POST printers/command/:task_id`. Raises CloudError, RejectedError, TokenError."""
        self._call("POST", f"printers/command/{quote(task_id, safe='')}", token, body, {"Idempotency-Key": key})

    def post_status(self, token: str, body: bytes) -> None:
        """`POST printers/status`. Raises CloudError, RejectedError, TokenError."""
        self._call("POST", "printers/status", token, body)

    def jobs(self, token: str) -> list[object]:
        """`GET printers/jobs`: command messages that the Faye channel may have lost.

        Raises CloudError, TokenError, and RejectedError with status 404 where the server has no such endpoint.
        """
        answer = self._call("GET", "printers/jobs", token)
        if count_values(answer) > MAX_JOB_VALUES:
            raise CloudError(f"printers/jobs: the answer has more than {MAX_JOB_VALUES} values")
        try:
            body = msgspec.json.decode(answer)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CloudError(f"printers/jobs: the answer is not JSON: {error}") from None
        jobs = body.get("jobs") if isinstance(body, dict) else body
        if not isinstance(jobs, list):
            raise CloudError("printers/jobs: the answer has no list of jobs")
        return jobs

    def _call(
        self,
        method: str,
        path: str,
        token: str | None,
        body: bytes | None = None,
        extra_headers: dict[str, str] | None = None,
    ) -> bytes:
        headers: dict[str, str | None] = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= extra_headers or {}
        if token:
            headers[TOKEN_HEADER] = token
        call = f"{method} {path}"
        self._beat(sum(self._timeout) + SLACK)
        try:
            with self._session.send(
                method,
                f"{self._base}/{path}",
                body=body,
                headers=headers,
                auth=NoAuth(),
                timeouts=self._timeout,
                total=sum(self._timeout),
            ) as response:
                answer = read_body(response, ANSWER_LIMIT)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise CloudError(f"{call}: no answer: {describe(error)}") from None
        finally:
            self._beat(0.0)
        self._server_clock.observe(response.headers.get("Date"))
        self._raise_for_status(call, response, answer)
        return answer

    def _raise_for_status(self, call: str, response: requests.Response, answer: bytes) -> None:
        status = response.status_code
        excerpt = answer[: EXCERPT * 4].decode("utf-8", "replace")[:EXCERPT]
        match classify(status):
            case Answer.TAKEN:
                return
            case Answer.NEVER:
                raise RejectedError(f"{call}: {status} {excerpt}".rstrip(), status=status, answer=excerpt)
            case Answer.TOKEN_DEAD:
                raise TokenError(f"{call}: {status}, the token is refused", status=status)
            case Answer.LATER:
                now = self._server_clock.now()  # from this answer's Date, where it has one
                wait = retry_after(response.headers.get("Retry-After"), self._clock.wall() if now is None else now)
                raise CloudError(f"{call}: {status} {excerpt}".rstrip(), status=status, retry_after=wait)

"""Transfers on a thread of their own; `logs`: the agent's log, gzipped, PUT to the given URL."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from msgspec import UNSET

from agent.core.driver import Telemetry
from agent.core.report_bodies import Result
from agent.errors import AgentError, CancelledError, DataError, RefusedError, UnavailableError
from agent.files.address import check_download_url
from agent.http.describe_error import describe
from agent.http.http_session import HttpSession, read_body
from agent.runner.activity import Context
from agent.runner.worker import Worker
from agent.state.store import Task

UPLOAD_MAY_TAKE = 300.0  # seconds
URL_ANSWER_LIMIT = 64 << 10  # bytes of the answer to an upload that are read
MAX_ANSWERED_URL = 2000  # characters of `data.url`
LOOKUP_MAY_TAKE = 10.0  # seconds, to check where `data.url` leads


class TransferActivity:
    """Blocking work on a thread: its result joins `data` of the terminal report."""

    outlives = False

    def __init__(
        self,
        context: Context,
        task: Task,
        work: Callable[[Callable[[], bool]], Result],
        *,
        exclusive: bool,
    ) -> None:
        self._context = context
        self.task = task
        self.exclusive = exclusive
        self.busy = task.command.raw_name if exclusive else ""
        self.ended = self.canceled = False
        self._worker: Worker[Result] = Worker(task.command.raw_name[:15], work, context.wake, task.command.task_id)

    def step(self, telemetry: Telemetry) -> None:  # noqa: ARG002 the printer has no part in it
        """End when the work has ended."""
        if not self._worker.done:
            return
        try:
            result = self._worker.result()
        except RefusedError as refusal:
            self._context.fail(self.task, refusal.code, f"{self.task.command.raw_name}: {refusal}")
        except CancelledError as error:
            self.canceled = True
            self._context.fail(self.task, 409, f"{self.task.command.raw_name}: canceled ({error})")
        except AgentError as error:
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {error}")
        else:
            self._context.complete(self.task, result=result)
        self.ended = True

    def cancel(self) -> None:
        """Request the end of the work: it ends where it looks next."""
        self._worker.cancel()

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Cancel the work and fail: the agent goes down."""
        self._worker.end(timeout=2.0)
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True


def upload_logs(context: Context, task: Task) -> TransferActivity:
    """`logs`: upload the log; the URL where it is then is `data.url`."""
    url = task.command.url
    cloud = context.config.cloud

    def work(cancelled: Callable[[], bool]) -> Result:
        address, auth = check_download_url(url, allow_http=cloud.allow_http)
        body = _UploadBody(gzip.compress(context.logs()), context.clock.monotonic, cancelled)
        try:
            with (
                context.http.transfers() as session,
                session.send(
                    "PUT",
                    address,
                    body=body,
                    headers={"Content-Type": "application/gzip"},
                    auth=auth,
                    timeouts=(cloud.connect_timeout_s, cloud.read_timeout_s),
                    total=UPLOAD_MAY_TAKE,
                ) as answer,
            ):
                if not 200 <= answer.status_code < 300:
                    raise UnavailableError(f"the server for the logs answered {answer.status_code}")
                content = read_body(answer, URL_ANSWER_LIMIT)
                place = _usable_url(_answered_url(content), session, allow_http=cloud.allow_http)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"the server for the logs did not answer: {describe(error)}") from None
        place = place or urlunsplit(urlsplit(address)._replace(query=""))
        return Result(url=place if len(place) <= MAX_ANSWERED_URL else UNSET)

    return TransferActivity(context, task, work, exclusive=False)


class _UploadBody(io.BytesIO):
    """Body of an upload, read piece by piece: it ends when the upload is cancelled or has taken too long."""

    def __init__(self, content: bytes, monotonic: Callable[[], float], cancelled: Callable[[], bool]) -> None:
        super().__init__(content)
        self._monotonic, self._cancelled = monotonic, cancelled
        self._deadline = monotonic() + UPLOAD_MAY_TAKE

    def read(self, size: int | None = -1, /) -> bytes:
        """The next piece. Raises CancelledError, UnavailableError."""
        if self._cancelled():
            raise CancelledError("the upload was cancelled")
        if self._monotonic() >= self._deadline:
            raise UnavailableError(f"the logs were not taken within {UPLOAD_MAY_TAKE:.0f} s")
        return super().read(size)


def _answered_url(answer: bytes) -> str:
    """The URL in the server's answer; empty without one."""
    try:
        url = msgspec.json.decode(answer, type=dict[str, object]).get("url")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return url if isinstance(url, str) else ""


def _usable_url(url: str, session: HttpSession, *, allow_http: bool) -> str:
    """The URL if it could be fetched from here; else empty: whatever else the answer held is not told."""
    if not url.isascii() or not url.isprintable() or len(url) > MAX_ANSWERED_URL or set(url) & set(' "<>\\^`{|}'):
        return ""
    try:
        address, _ = check_download_url(url, allow_http=allow_http)
        session.require_allowed(address, total=LOOKUP_MAY_TAKE)
    except (DataError, OSError):
        return ""
    return url

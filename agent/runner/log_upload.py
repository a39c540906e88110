"""log, logs: an archive of what happened, packed and PUT to the given URL on a thread of its own."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from msgspec import UNSET

from agent.core.driver import PrinterState, SupportsQueries, Telemetry
from agent.core.report_bodies import Result
from agent.errors import CancelledError, DataError, UnavailableError
from agent.files.address import check_download_url
from agent.http.describe_error import describe
from agent.http.http_session import HttpSession, read_body
from agent.runner.activity import Context, Deadline
from agent.runner.log_parts import log_parts
from agent.runner.printer_query import PrinterQuery
from agent.runner.transfers import Stage, TransferActivity
from agent.service.log_archive import ArchiveWriter
from agent.state.store import Task

UPLOAD_MAY_TAKE = 300.0  # seconds
URL_ANSWER_LIMIT = 64 << 10  # bytes of the answer to an upload that are read
MAX_ANSWERED_URL = 2000  # characters of `data.url`
LOOKUP_MAY_TAKE = 10.0  # seconds, to check where `data.url` leads
ASK_MAY_TAKE = 10.0  # seconds until an idle printer has answered
QUESTIONS = ("M115", "M503")
PACKED = 0.3  # progress of the task when the archive is packed


class LogUploadActivity:
    """log, logs: an idle printer is asked for its facts, then the archive is packed and uploaded; the URL where it is
    then is `data.url`."""

    exclusive = False
    busy = ""
    outlives = False

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._transfer: TransferActivity | None = None
        self._query: PrinterQuery | None = None
        self._deadline = Deadline(context.clock, ASK_MAY_TAKE)
        self._stopped = False
        self.task = task
        if isinstance(context.driver, SupportsQueries) and context.driver.telemetry().state is PrinterState.IDLE:
            self._query = PrinterQuery(context, task.command.task_id, QUESTIONS)
        else:
            self._upload({})

    @property
    def ended(self) -> bool:
        """Whether the task has its end."""
        return self._stopped or (self._transfer is not None and self._transfer.ended)

    def step(self, telemetry: Telemetry) -> None:
        """Wait for the printer's answers as long as it is idle, then for the upload."""
        if self._transfer is not None:
            self._transfer.step(telemetry)
        elif self._query is not None:
            self._ask(self._query, telemetry)

    def stop(self, reason: str) -> None:
        """Cancel it and fail: the agent goes down."""
        if self._transfer is not None:
            self._transfer.stop(reason)
        else:
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
            self._stopped = True

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def _ask(self, query: PrinterQuery, telemetry: Telemetry) -> None:
        answers = query.step(telemetry)  # its own limit is longer than ours
        if answers is not None:
            self._upload(dict(zip(QUESTIONS, answers.texts, strict=False)))
        elif telemetry.state is not PrinterState.IDLE or self._deadline.expired():
            self._upload({})

    def _upload(self, answers: Mapping[str, Sequence[str]]) -> None:
        stage = Stage()
        work = _LogUpload(self._context, self.task, stage, answers).run
        self._transfer = TransferActivity(self._context, self.task, work, exclusive=False, stage=stage)


class _LogUpload:
    """One upload, on its worker's thread."""

    def __init__(self, context: Context, task: Task, stage: Stage, answers: Mapping[str, Sequence[str]]) -> None:
        self._context = context
        self._answers = answers
        self._url = task.command.url
        self._stage = stage

    def run(self, cancelled: Callable[[], bool]) -> Result:
        """Pack and send. Raises DataError for an address that must not be used, UnavailableError, CancelledError."""
        address, auth = check_download_url(self._url, allow_http=self._context.config.cloud.allow_http)
        cloud = self._context.config.cloud
        try:
            with (
                self._pack(cancelled) as archive,
                self._context.http.transfers() as session,
                session.send(
                    "PUT",
                    address,
                    body=_UploadBody(archive, self._context.clock.monotonic, cancelled, self._stage),
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

    def _pack(self, cancelled: Callable[[], bool]) -> io.FileIO:
        """The archive in a file without a name. Raises UnavailableError, CancelledError."""
        context = self._context
        parts = log_parts(context.logs, context.config, context.store, context.driver.telemetry(), self._answers)
        writer = ArchiveWriter(
            secrets=context.store.secrets(),
            mtime=context.clock.wall(),
            folder=context.jobs,
            cancelled=cancelled,
            progress=lambda done, of: self._stage.set(PACKED * done / of, f"packing: {done} of {of} texts"),
        )
        try:
            with ExitStack() as stack:
                archive = stack.enter_context(tempfile.TemporaryFile(dir=context.jobs, buffering=0))
                writer.write(archive, parts)
                stack.pop_all()
        except OSError as error:
            raise UnavailableError(f"no room for the logs: {error.strerror}") from None
        return archive


class _UploadBody(io.BufferedReader):
    """Body of an upload, read piece by piece from a file: it ends when the upload is cancelled or has taken too
    long."""

    def __init__(
        self, file: io.FileIO, monotonic: Callable[[], float], cancelled: Callable[[], bool], stage: Stage
    ) -> None:
        super().__init__(file)
        self._monotonic, self._cancelled = monotonic, cancelled
        self._stage = stage
        self._size = self.seek(0, io.SEEK_END)
        self.seek(0)
        self._deadline = monotonic() + UPLOAD_MAY_TAKE

    def read(self, size: int | None = -1, /) -> bytes:
        """The next piece. Raises CancelledError, UnavailableError."""
        if self._cancelled():
            raise CancelledError("the upload was cancelled")
        if self._monotonic() >= self._deadline:
            raise UnavailableError(f"the logs were not taken within {UPLOAD_MAY_TAKE:.0f} s")
        piece = super().read(size)
        sent = self.tell()
        share = sent / self._size if self._size else 1.0
        self._stage.set(PACKED + (1 - PACKED) * share, f"sending: {sent / 1e6:.1f} of {self._size / 1e6:.1f} MB")
        return piece


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

"""logs: the agent's log, gzipped, PUT to the given URL. firmware_upgrade: package fetched, verified, installed."""

from __future__ import annotations

import gzip
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from msgspec import UNSET

from agent.core import report
from agent.core.driver import Telemetry
from agent.errors import AgentError, CancelledError, ConfigError, DataError, RefusedError, UnavailableError
from agent.files.address import check_download_url
from agent.files.fetch import download
from agent.http.errors import describe
from agent.http.session import HttpSession, read_body
from agent.runner.activity import Context
from agent.runner.worker import Worker
from agent.service.config import FirmwareUpgradeSection
from agent.state.store import Task

UPLOAD_MAY_TAKE = 300.0  # seconds
URL_ANSWER_LIMIT = 64 << 10  # bytes of the answer to an upload that are read
MAX_ANSWERED_URL = 2000  # characters of `data.url`
LOOKUP_MAY_TAKE = 10.0  # seconds, to check where `data.url` leads
PACKAGE_LIMIT = 512 << 20  # bytes
SIGNATURE_LIMIT = 4096  # bytes
OPENSSL = "/usr/bin/openssl"


class TransferActivity:
    """Blocking work on a thread: its result joins `data` of the terminal report."""

    outlives = False

    def __init__(
        self,
        context: Context,
        task: Task,
        work: Callable[[Callable[[], bool]], report.Result],
        *,
        exclusive: bool,
    ) -> None:
        self._context = context
        self.task = task
        self.exclusive = exclusive
        self.busy = task.command.raw_name if exclusive else ""
        self.ended = False
        self._worker: Worker[report.Result] = Worker(
            task.command.raw_name[:15], work, context.wake, task.command.task_id
        )

    def step(self, telemetry: Telemetry) -> None:  # noqa: ARG002 the printer has no part in it
        """End when the work has ended."""
        if not self._worker.done:
            return
        try:
            result = self._worker.result()
        except AgentError as error:
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {error}")
        else:
            self._context.complete(self.task, result=result)
        self.ended = True

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

    def work(cancelled: Callable[[], bool]) -> report.Result:
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
        return report.Result(url=place if len(place) <= MAX_ANSWERED_URL else UNSET)

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


def upgrade(context: Context, task: Task) -> TransferActivity:
    """`firmware_upgrade`: fetch, verify and install a package, only when it is configured; its signature is at its URL
    with `.sig` after the path. Raises RefusedError."""
    wanted = context.config.firmware_upgrade
    if not wanted.command:
        raise RefusedError(501, "firmware_upgrade: not configured ([firmware_upgrade] command)")
    url = task.command.url
    package = context.jobs / f"{task.command.task_id}.package"
    signature = package.with_suffix(".sig")

    def work(cancelled: Callable[[], bool]) -> report.Result:
        try:
            with context.http.transfers() as session:
                parts = urlsplit(url)
                sources = (
                    (url, package, PACKAGE_LIMIT, task.command.digest),
                    (_signature(parts.path, url), signature, SIGNATURE_LIMIT, ""),
                )
                for source, target, limit, digest in sources:
                    download(
                        source,
                        target,
                        session=session,
                        max_bytes=limit,
                        allow_http=context.config.cloud.allow_http,
                        cancelled=cancelled,
                        digest=digest,
                        task_id=task.command.task_id,
                    )
            verify(package, signature, wanted)
            install(package, wanted)
        finally:
            package.unlink(missing_ok=True)
            signature.unlink(missing_ok=True)
        return report.Result(message="installed")

    return TransferActivity(context, task, work, exclusive=True)


def _signature(path: str, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"{path}.sig"))


def verify(package: Path, signature: Path, wanted: FirmwareUpgradeSection) -> None:
    """Check an Ed25519 signature over the package with OpenSSL. Raises DataError, ConfigError."""
    argv = [OPENSSL, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", wanted.public_key]
    argv += ["-in", str(package), "-sigfile", str(signature)]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=wanted.timeout_s, check=False)  # noqa: S603 no shell, our own paths
    except FileNotFoundError:
        raise ConfigError(f"{OPENSSL} is not there: the package cannot be verified") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError("verifying the package took too long") from None
    if done.returncode != 0:
        raise DataError("the package's signature is not by the configured key")


def install(package: Path, wanted: FirmwareUpgradeSection) -> None:
    """Run the configured command with the package's path as its last argument; no shell. Raises UnavailableError."""
    try:
        done = subprocess.run(  # noqa: S603 the owner's command, our own path
            [*wanted.command, str(package)], capture_output=True, timeout=wanted.timeout_s, check=False
        )
    except OSError as error:
        raise UnavailableError(f"{wanted.command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{wanted.command[0]}: not done in {wanted.timeout_s:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnavailableError(f"{wanted.command[0]}: exit code {done.returncode}: {words[-1][:200] if words else ''}")

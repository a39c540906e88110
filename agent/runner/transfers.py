"""logs: the agent's log, gzipped, PUT to the given URL. firmware_upgrade: package fetched, verified, installed."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3

from agent.core import report
from agent.core.driver import Telemetry
from agent.errors import AgentError, ConfigError, DataError, RefusedError, UnavailableError
from agent.files.fetch import download
from agent.runner.activity import Context
from agent.runner.worker import Worker
from agent.server.api_client import describe
from agent.server.http_deadline import deadline_session
from agent.service.config import FirmwareUpgradeSection
from agent.state.store import Task

UPLOAD_MAY_TAKE = 300.0  # seconds
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

    def work(_cancelled: Callable[[], bool]) -> report.Result:
        body = gzip.compress(context.logs())
        limits = (context.config.cloud.connect_timeout_s, context.config.cloud.read_timeout_s)
        headers = {"Content-Type": "application/gzip"}
        session, limited = deadline_session(context.clock.monotonic)
        limited.set_deadline(UPLOAD_MAY_TAKE)
        try:
            with (
                session,
                session.put(
                    url, data=body, headers=headers, timeout=limits, allow_redirects=False, stream=True
                ) as answer,
            ):
                content = answer.raw.read(65536, decode_content=True) or b""
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"the server for the logs did not answer: {describe(error)}") from None
        if not 200 <= answer.status_code < 300:
            raise UnavailableError(f"the server for the logs answered {answer.status_code}")
        return report.Result(url=_answered_url(content) or urlunsplit(urlsplit(url)._replace(query="", fragment="")))

    return TransferActivity(context, task, work, exclusive=False)


def _answered_url(answer: bytes) -> str:
    """The URL in the server's answer; empty without one."""
    try:
        url = msgspec.json.decode(answer, type=dict[str, object]).get("url")
    except (msgspec.MsgspecError, UnicodeError):
        return ""
    return url if isinstance(url, str) else ""


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
            session, _ = deadline_session(context.clock.monotonic)
            with session:
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

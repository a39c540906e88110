"""firmware_upgrade: a package fetched, verified and installed by the configured command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from agent.core import report
from agent.errors import ConfigError, DataError, RefusedError, UnavailableError
from agent.files.fetch import download
from agent.runner.activity import Context
from agent.runner.transfers import TransferActivity
from agent.service.config import FirmwareUpgradeSection
from agent.state.store import Task

PACKAGE_LIMIT = 512 << 20  # bytes
SIGNATURE_LIMIT = 4096  # bytes
OPENSSL = "/usr/bin/openssl"


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

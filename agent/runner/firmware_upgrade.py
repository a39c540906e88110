"""firmware_upgrade: manifest, signature and package fetched and checked, the configured command run with the package.

    fetch manifest → verify signature → model, version → fetch package → SHA-256 → record version → install command

What is refused ends with 422 (the signature, the model, the version, the content), what could not be fetched with 502,
what the command did with 500.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import structlog

from agent.core.report_bodies import Result
from agent.errors import CancelledError, DataError, RefusedError, UnavailableError
from agent.files.fetch import download
from agent.files.firmware_file import check_content, manifest_path, read_manifest, signature_path
from agent.files.firmware_manifest import (
    MANIFEST_SUFFIX,
    MAX_MANIFEST,
    SIGNATURE_SUFFIX,
    Manifest,
    check_model,
    check_version,
)
from agent.http.http_session import HttpSession
from agent.runner.activity import Context
from agent.runner.transfers import Stage, TransferActivity
from agent.service import child_process
from agent.service.child_process import ChildEnd
from agent.state.store import Task

AUTO = "auto"

log = structlog.get_logger(part="runner")


def upgrade(context: Context, task: Task) -> TransferActivity:
    """`firmware_upgrade`: install a package, only when it is configured. Raises RefusedError."""
    if not context.config.firmware_upgrade.command:
        raise RefusedError(501, "firmware_upgrade: not configured ([firmware_upgrade] command)")
    return TransferActivity(context, task, _Upgrade(context, task).run, exclusive=True, stage=Stage())


class _Upgrade:
    """One upgrade, on its worker's thread."""

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._command = task.command
        self._settings = context.config.firmware_upgrade
        model = self._settings.model
        self._model = context.config.printer.type_id if model == AUTO else model
        self._package = context.jobs / f"{task.command.task_id}.package"

    def run(self, cancelled: Callable[[], bool]) -> Result:
        """Fetch, check and install. Raises RefusedError, UnavailableError, ConfigError, CancelledError."""
        try:
            manifest = self._fetch(cancelled)
            self._install(manifest, cancelled)
        finally:
            for path in (self._package, manifest_path(self._package), signature_path(self._package)):
                path.unlink(missing_ok=True)
        return Result(message=f"version {manifest.version} installed")

    # --- what the server has

    def _fetch(self, cancelled: Callable[[], bool]) -> Manifest:
        """Fetch and check the manifest, then the package that it was signed for. Raises RefusedError,
        ConfigError, UnavailableError, CancelledError."""
        try:
            with self._context.http.transfers() as session:
                self._fetch_manifest(session, cancelled)
                manifest = self._read_manifest(cancelled)
                self._download("", self._package, manifest.size, self._command.digest, session, cancelled)
            check_content(self._package, manifest, cancelled)
        except DataError as error:
            raise RefusedError(422, str(error)) from None
        return manifest

    def _fetch_manifest(self, session: HttpSession, cancelled: Callable[[], bool]) -> None:
        try:
            for suffix, target in (
                (MANIFEST_SUFFIX, manifest_path(self._package)),
                (SIGNATURE_SUFFIX, signature_path(self._package)),
            ):
                self._download(suffix, target, MAX_MANIFEST, "", session, cancelled)
        except DataError as error:
            raise DataError(
                f"no signed manifest: {error} (it is beside the package, made by `printer-agent package make`;"
                " a signature over the package alone is not enough)"
            ) from None

    def _read_manifest(self, cancelled: Callable[[], bool]) -> Manifest:
        """The manifest of a package that may be installed here. Raises as read_manifest."""
        key = Path(self._settings.public_key)
        manifest = read_manifest(self._package, key, clock=self._context.clock, cancelled=cancelled)
        check_model(manifest, self._model)
        if not self._settings.allow_downgrade:
            check_version(manifest, self._context.store.installed_firmware(self._model))
        return manifest

    def _download(
        self,
        suffix: str,
        target: Path,
        limit: int,
        digest: str,
        session: HttpSession,
        cancelled: Callable[[], bool],
    ) -> None:
        """Download what is at the package's URL with `suffix` after its path. Raises DataError, RefusedError (502),
        CancelledError."""
        parts = urlsplit(self._command.url)
        try:
            download(
                urlunsplit(parts._replace(path=parts.path + suffix)),
                target,
                session=session,
                max_bytes=limit,
                allow_http=self._context.config.cloud.allow_http,
                cancelled=cancelled,
                digest=digest,
                task_id=self._command.task_id,
            )
        except UnavailableError as error:
            raise RefusedError(502, str(error)) from None

    # --- what the owner's command does

    def _install(self, manifest: Manifest, cancelled: Callable[[], bool]) -> None:
        """Run the configured command with the package's path as its last argument. Raises UnavailableError,
        CancelledError.

        The version is recorded before: an agent that is killed meanwhile cannot know how far the command came. It is
        taken back only when the command itself says that it did not install it, by its exit code, or was never begun.
        """
        store, program = self._context.store, self._settings.command[0]
        before = store.installed_firmware(self._model)
        store.record_firmware(self._model, manifest.version)
        environ = {
            "PRINTER_AGENT_PACKAGE": str(self._package),
            "PRINTER_AGENT_MODEL": self._model,
            "PRINTER_AGENT_VERSION": manifest.version,
            "PRINTER_AGENT_INSTALLED": before,
        }
        log.info("firmware installation started", task_id=self._command.task_id, version=manifest.version)
        try:
            done = child_process.run(
                [*self._settings.command, str(self._package)],
                clock=self._context.clock,
                timeout_s=self._settings.timeout_s,
                cancelled=cancelled,
                environ=environ,
            )
        except UnavailableError:
            store.record_firmware(self._model, before)
            raise
        if done.end is ChildEnd.EXITED and done.code > 0:
            store.record_firmware(self._model, before)
        log.info(
            "firmware installation ended",
            task_id=self._command.task_id,
            outcome=done.end.value,
            exit_code=done.code,
            printed=done.printed,
            output=done.last_words,
        )
        said = f": {done.last_words}" if done.last_words else ""
        if done.end is ChildEnd.CANCELLED:
            raise CancelledError(f"{program}: killed, because the agent was stopped{said}")
        if done.end is ChildEnd.TIMED_OUT:
            raise UnavailableError(f"{program}: killed, not done in {self._settings.timeout_s:g} s{said}")
        if done.code < 0:
            raise UnavailableError(f"{program}: killed by signal {-done.code}{said}")
        if done.code != 0:
            raise UnavailableError(f"{program}: exit code {done.code}{said}")

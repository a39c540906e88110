"""Fetch of a firmware package: manifest and signature first, then the package, each checked before the next step.

    fetch manifest → verify signature → model, version → fetch package → SHA-256

What is refused raises RefusedError with 422 (the signature, the model, the version, the content) or 502 (the
server)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from agent.core.command import Command
from agent.errors import DataError, RefusedError, UnavailableError
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

AUTO = "auto"


class PackageFetch:
    """One package, on its worker's thread. `path` is where it is then, `model` the printer's."""

    def __init__(self, context: Context, command: Command) -> None:
        self._context = context
        self._command = command
        self._settings = context.config.firmware_upgrade
        self.model = context.config.printer.type_id if self._settings.model == AUTO else self._settings.model
        self.path = context.jobs / f"{command.task_id}.package"

    def run(self, cancelled: Callable[[], bool]) -> Manifest:
        """Fetch and check the manifest, then the package that it was signed for. Raises RefusedError,
        ConfigError, UnavailableError, CancelledError."""
        try:
            with self._context.http.transfers() as session:
                self._fetch_manifest(session, cancelled)
                manifest = self._read_manifest(cancelled)
                self._download("", self.path, manifest.size, self._command.digest, session, cancelled)
            check_content(self.path, manifest, cancelled)
        except DataError as error:
            raise RefusedError(422, str(error)) from None
        return manifest

    def remove(self) -> None:
        """Delete what is here of it."""
        for path in (self.path, manifest_path(self.path), signature_path(self.path)):
            path.unlink(missing_ok=True)

    def _fetch_manifest(self, session: HttpSession, cancelled: Callable[[], bool]) -> None:
        try:
            for suffix, target in (
                (MANIFEST_SUFFIX, manifest_path(self.path)),
                (SIGNATURE_SUFFIX, signature_path(self.path)),
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
        manifest = read_manifest(self.path, key, clock=self._context.clock, cancelled=cancelled)
        check_model(manifest, self.model)
        if not self._settings.allow_downgrade:
            check_version(manifest, self._context.store.installed_firmware(self.model))
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

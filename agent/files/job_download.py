"""Download of the file of a print, unless it is kept here: by the digest that the command or the server names, or
because the server says that it is still the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from agent.core.command import Command
from agent.files.address import check_download_url
from agent.files.fetch import download
from agent.files.fetch_progress import FetchProgress
from agent.files.kept_files import AlreadyHereError, KeptFiles, Known, Origin, hide
from agent.files.spool import Downloaded
from agent.http.http_client import HttpClient
from agent.service.config import Config
from agent.service.system_clock import boot_id

SHA256 = "sha-256="

log = structlog.get_logger(part="jobfile")


class JobDownload:
    """One download of the file of `command` to `file`, or the kept file there, with its `index`."""

    def __init__(
        self, command: Command, *, file: Path, index: Path, config: Config, kept: KeptFiles, progress: FetchProgress
    ) -> None:
        self._command = command
        self._file = file
        self._index = index
        self._config = config
        self._kept = kept
        self._progress = progress
        self._limit = config.job.keep_files_mb << 20
        self._origin: Origin | None = None

    def run(self, http: HttpClient, cancelled: Callable[[], bool], sink: Callable[[bytes], None]) -> Downloaded | None:
        """Put the file in place; None where a kept one was taken, so that `sink` has seen nothing. Raises as
        `agent.files.fetch.download`."""
        command = self._command
        check_download_url(command.url, allow_http=self._config.cloud.allow_http)
        self._kept.tidy(self._limit)
        known = self._known()
        asked = self._kept.by_digest(command.digest.removeprefix(SHA256)) if command.digest else None
        if asked is not None and self._take(asked, cancelled):
            return None
        try:
            return self._download(known, http, cancelled, sink)
        except AlreadyHereError as here:
            origin = self._kept.by_digest(here.digest)
            if origin is not None and self._take(origin, cancelled):
                return None
        return self._download(Known(), http, cancelled, sink)

    def keep(self, content: str) -> None:
        """Keep the file, which is in place with its index, for another print. `content` is its SHA-256."""
        if self._origin is not None:
            origin = msgspec.structs.replace(self._origin, content=content)
            self._kept.keep(origin, self._file, self._index, self._limit)

    def _known(self) -> Known:
        """What is kept, for the server to say which of it the file is. A digest that is no SHA-256 is checked while the
        file comes."""
        digests = self._kept.digests()
        if self._command.digest:
            return Known(digests & {self._command.digest.removeprefix(SHA256)})
        origin = self._kept.by_address(self._command.url)
        if origin is None:
            return Known(digests)
        return Known(digests, digest=origin.digest, etag=origin.etag, address=origin.final_address)

    def _take(self, origin: Origin, cancelled: Callable[[], bool]) -> bool:
        if not self._kept.take(origin, self._file, self._index, cancelled):
            return False
        self._origin = origin
        command = self._command
        log.info("file taken from those kept", task_id=command.task_id, job_id=command.job_id, bytes=origin.size)
        return True

    def _download(
        self, known: Known, http: HttpClient, cancelled: Callable[[], bool], sink: Callable[[bytes], None]
    ) -> Downloaded:
        command, config = self._command, self._config
        with http.transfers() as session:
            downloaded = download(
                command.url,
                self._file,
                session=session,
                max_bytes=config.job.max_file_mb << 20,
                allow_http=config.cloud.allow_http,
                cancelled=cancelled,
                sink=sink,
                digest=command.digest,
                boot=boot_id(),
                task_id=command.task_id,
                progress=self._progress,
                known=known,
            )
        self._origin = Origin(
            digest=downloaded.sha256,
            content=downloaded.sha256,
            size=downloaded.size,
            used_at=0.0,
            address=hide(command.url),
            final_address=hide(downloaded.address),
            etag=downloaded.etag,
        )
        return downloaded

"""Files of a print in the state folder: the G-code and, beside it, the index that the scan made of it.

jobs/<task_id>.gcode      as received
jobs/<task_id>.index      JSON of agent.gcode.Index
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from agent.core.command import Command
from agent.errors import AgentError, CancelledError, DataError, NoSpaceError, UnavailableError
from agent.files.fetch_progress import FetchProgress
from agent.files.job_download import JobDownload
from agent.files.kept_files import KeptFiles
from agent.files.resume import origin_path
from agent.files.spool import BLOCK, spool
from agent.gcode import Index, Limits, Scanner
from agent.http.http_client import HttpClient
from agent.service.config import Config
from agent.state import atomic_file
from agent.state.checkpoint import FileMark

log = structlog.get_logger(part="jobfile")


class JobFile:
    """One print's files. A task_id is safe as a file's name: core.command checks it."""

    def __init__(self, folder: Path, task_id: str) -> None:
        self.task_id = task_id
        self.path = folder / f"{task_id}.gcode"
        self.index_path = folder / f"{task_id}.index"

    def save_index(self, index: Index) -> None:
        """Write the index beside the file. Raises OSError."""
        atomic_file.write(self.index_path, index.encode())

    def load_index(self) -> Index:
        """Read the index. Raises UnavailableError when it is gone, DataError when it cannot be used."""
        try:
            return Index.decode(self.index_path.read_bytes())
        except OSError as error:
            raise UnavailableError(f"the file to print is no longer there: {type(error).__name__}") from None

    def mark(self, index: Index) -> FileMark:
        """Identify the file for the next agent, which recovers the print. Raises OSError."""
        return FileMark.of(self.path, index.sha256)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of both files, and of those that a broken transfer leaves."""
        part = self.path.with_name(self.path.name + ".part")
        return self.path, self.index_path, part, origin_path(part)

    def remove(self) -> None:
        """Delete the files of the print."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def fetch(
    command: Command,
    file: JobFile,
    config: Config,
    http: HttpClient,
    cancelled: Callable[[], bool],
    *,
    kept: KeptFiles,
    progress: FetchProgress,
    dialect: str = "",
) -> Index:
    """Download the file of a print and scan it in the same pass; a complete file is not fetched again, nor one that is
    `kept`. `dialect` is that of the printer's firmware, empty when it is not known yet. `progress` hears how far it is.

    Raises DataError, UnavailableError, or CancelledError."""
    if file.path.exists():  # it has its name only when it is complete
        return _load_or_scan(file, config, cancelled, dialect)
    if command.spooled:
        raise UnavailableError("the file to print is no longer there")
    source = JobDownload(command, file=file.path, index=file.index_path, config=config, kept=kept, progress=progress)
    try:
        index = _download(source, file, config, http, cancelled, dialect)
    except NoSpaceError:
        if not kept.clear():
            raise
        log.warning("kept files deleted for want of space", task_id=command.task_id)
        index = _download(source, file, config, http, cancelled, dialect)
    source.keep(index.sha256)
    return index


def _download(
    source: JobDownload, file: JobFile, config: Config, http: HttpClient, cancelled: Callable[[], bool], dialect: str
) -> Index:
    scanner = Scanner(limits(config), dialect)
    downloaded = source.run(http, cancelled, scanner.feed)
    if downloaded is None:
        return _load_or_scan(file, config, cancelled, dialect)
    return _finish_scan(scanner, file, downloaded.sha256)


def recover(file: JobFile, mark: FileMark, config: Config, cancelled: Callable[[], bool]) -> Index:
    """The index of the file of an interrupted print. Reads the whole file only if its metadata changed.

    Raises DataError when the file is another one or gone, UnavailableError, CancelledError."""
    try:
        current = FileMark.of(file.path, mark.sha256)
    except OSError as error:
        raise DataError(f"the file that was being printed is gone: {error.strerror}") from None
    if mark.size < 0:
        raise DataError("the agent that began the print kept nothing to go on with")
    changed = DataError("the file that was being printed is another one now")
    if current.size != mark.size:
        raise changed
    if current != mark and (not mark.sha256 or _sha256(file.path, cancelled) != mark.sha256):
        raise changed
    try:
        return file.load_index()
    except (DataError, UnavailableError) as error:
        return _scan_again(file, Scanner(limits(config), begun=True), error, cancelled)


def receive(stream: BinaryIO, size: int, file: JobFile, config: Config) -> Index:
    """Receive the file of a print over the local socket and scan it in the same pass. Raises as `fetch`."""
    scanner = Scanner(limits(config))
    spooled = spool(stream, size, file.path, max_bytes=config.job.max_file_mb << 20, sink=scanner.feed)
    return _finish_scan(scanner, file, spooled.sha256)


def delete_unused(folder: Path, keep: set[str]) -> None:
    """Delete all files in `folder` but those of the tasks in `keep`."""
    kept = {path for task_id in keep for path in JobFile(folder, task_id).paths}
    for path in folder.iterdir():
        if path not in kept:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # somebody put a folder there: no reason not to print
                log.warning(
                    "unused file not deleted",
                    task_id=path.name.rpartition(".gcode")[0] or path.stem,
                    file=path.name,
                    error=error.strerror,
                )


def limits(config: Config) -> Limits:
    """Limits that the configuration sets for files."""
    limit = config.job.max_temperature
    return Limits(
        tool=limit.tool,
        bed=limit.bed,
        chamber=limit.chamber,
        volume=config.printer.build_volume,
        allow=tuple(config.job.allow),
    )


def _finish_scan(scanner: Scanner, file: JobFile, sha256: str) -> Index:
    index = msgspec.structs.replace(scanner.finish(), sha256=sha256)
    try:
        file.save_index(index)
    except OSError as error:
        raise UnavailableError(f"the file to print cannot be kept: {error.strerror}") from error
    return index


def _load_or_scan(file: JobFile, config: Config, cancelled: Callable[[], bool], dialect: str) -> Index:
    """The index of a complete file; the file is scanned again where it is gone, of another version, or of a time with
    other limits."""
    held_to = limits(config)
    try:
        index = file.load_index()
        if index.limits != held_to.text:
            raise DataError("the limits for files are others now")
    except (DataError, UnavailableError) as error:
        return _scan_again(file, Scanner(held_to, dialect), error, cancelled)
    if why := index.refusal(dialect) if dialect else "":
        raise DataError(why)
    return index


def _scan_again(file: JobFile, scanner: Scanner, why: AgentError, cancelled: Callable[[], bool]) -> Index:
    log.info("file scanned again", task_id=file.task_id, error=str(why))
    sha256 = hashlib.sha256()
    for block in _blocks(file.path, cancelled):
        sha256.update(block)
        scanner.feed(block)
    return _finish_scan(scanner, file, sha256.hexdigest())


def _sha256(path: Path, cancelled: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path, cancelled):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                if cancelled():
                    raise CancelledError("reading the file was cancelled")
                yield block
    except OSError as error:
        raise UnavailableError(f"the file to print cannot be read: {error.strerror}") from error

"""The files of a print in the state folder: the G-code and, beside it, the index that the scan made of it.

jobs/<task_id>.gcode      as it came
jobs/<task_id>.index      JSON of agent.gcode.Index
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import structlog

from agent import durable
from agent.config import Config
from agent.core.command import Command
from agent.download import download, spool
from agent.errors import UnavailableError
from agent.gcode import Index, Limits, Scanner
from agent.limited import limited_session

log = structlog.get_logger(part="jobfile")


class JobFile:
    """One print's files. A task_id is safe as a file's name: core.command checks it."""

    def __init__(self, folder: Path, task_id: str) -> None:
        self.path = folder / f"{task_id}.gcode"
        self.index_path = folder / f"{task_id}.index"

    def keep(self, index: Index) -> None:
        """Write the index beside the file."""
        durable.write(self.index_path, index.encode())

    def load(self) -> Index:
        """The index. Raises UnavailableError when it is gone or unreadable."""
        try:
            return Index.decode(self.index_path.read_bytes())
        except OSError as error:
            raise UnavailableError(f"the file to print is no longer there: {type(error).__name__}") from None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Both files, and what a broken transfer leaves."""
        return self.path, self.index_path, self.path.with_name(self.path.name + ".part")

    def remove(self) -> None:
        """All of it."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def fetch(command: Command, file: JobFile, config: Config, cancelled: Callable[[], bool]) -> Index:
    """Bring the file here, checked while it comes. Raises DataError, UnavailableError, or CancelledError."""
    if command.spooled:
        return file.load()
    scanner = Scanner(_limits(config))
    session, _ = limited_session(time.monotonic)
    with session:
        download(
            command.url,
            file.path,
            session=session,
            max_bytes=config.job.max_file_mb << 20,
            allow_http=config.cloud.allow_http,
            cancelled=cancelled,
            sink=scanner.feed,
            digest=command.digest,
        )
    return _keep(scanner, file)


def take_in(stream: BinaryIO, size: int, file: JobFile, config: Config) -> Index:
    """The same for a file that comes over the local socket. Raises DataError, UnavailableError."""
    scanner = Scanner(_limits(config))
    spool(stream, size, file.path, max_bytes=config.job.max_file_mb << 20, sink=scanner.feed)
    return _keep(scanner, file)


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove all files but those of the tasks in `keep`."""
    kept = {path for task_id in keep for path in JobFile(folder, task_id).paths}
    for path in folder.iterdir():
        if path not in kept:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # somebody put a folder there: no reason not to print
                log.warning("cannot be removed", file=path.name, reason=error.strerror)


def _limits(config: Config) -> Limits:
    limit = config.job.max_temperature
    return Limits(tool=limit.tool, bed=limit.bed, chamber=limit.chamber, volume=config.printer.build_volume)


def _keep(scanner: Scanner, file: JobFile) -> Index:
    try:
        index = scanner.finish()
        file.keep(index)
    except OSError as error:
        raise UnavailableError(f"the file to print cannot be kept: {error.strerror}") from error
    return index

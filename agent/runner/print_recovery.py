"""A print that an agent before this one began: its file is looked at, then the driver is opened with it.

looking at the file ── here and the same, or not ──▶ driver opened ──▶ the driver's word
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Protocol

import structlog

from agent.core.driver import TAKE_OVER_S, LineSource, Unfinished
from agent.errors import AgentError, DataError
from agent.files.job_file import JobFile, recover
from agent.gcode import FileSource, Index
from agent.runner.activity import Context, Limit
from agent.runner.worker import Worker
from agent.state.store import Checkpoint

log = structlog.get_logger(part="print")

LOOK_MAY_TAKE = 60.0  # seconds to look at the file; usually a moment, else a read of all of it
ANSWER_MAY_TAKE = TAKE_OVER_S + 60.0  # seconds until the driver must have said what became of it, heaters off and all


class _Source(LineSource, Protocol):
    def settings_before(self, line: int) -> list[bytes]:
        """See Unfinished."""


class LostFile:
    """In place of a file that cannot be printed any more: the driver meets `reason`, and makes the printer safe."""

    def __init__(self, reason: str, total_lines: int) -> None:
        self.reason = reason
        self._total_lines = total_lines

    @property
    def total_lines(self) -> int:
        """As it had."""
        return self._total_lines

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """Raises OSError."""
        raise OSError(errno.ENODATA, self.reason, f"line {start}")

    def settings_before(self, line: int) -> list[bytes]:
        """Raises OSError."""
        raise OSError(errno.ENODATA, self.reason, f"line {line}")


class TakeOver:
    """Until the driver has been opened with the print. `index` is None for a file that cannot be printed any more;
    `lost` says why."""

    def __init__(self, context: Context, file: JobFile, checkpoint: Checkpoint) -> None:
        self._context = context
        self._file = file
        self._checkpoint = checkpoint
        self._look_limit = Limit(context.clock, LOOK_MAY_TAKE)
        self._answer_limit: Limit | None = None
        self.index: Index | None = None
        self.lost = ""
        self._look: Worker[Index] = Worker(
            "fetch", lambda cancelled: recover(file, checkpoint.file, context.config, cancelled), context.wake
        )

    def step(self) -> bool:
        """Go on; whether the driver has the print by now."""
        if self._answer_limit is None and (self._look.done or self._look_limit.over()):
            self._open(self._source())
        return self._answer_limit is not None

    def overdue(self) -> bool:
        """Whether the driver should have said something long ago."""
        return self._answer_limit is not None and self._answer_limit.over()

    def stop(self, reason: str) -> None:
        """It is not to go on: a driver that was not opened yet is given nothing to print, so that it can be closed with
        the heaters off."""
        self._look.cancel()
        if self._answer_limit is None:
            self._open(LostFile(reason, self._checkpoint.job.total_lines))

    def _source(self) -> _Source:
        try:
            if not self._look.done:
                raise DataError(f"the file could not be looked at within {LOOK_MAY_TAKE:.0f} s")
            self.index = self._look.result()
            return FileSource(self._file.path, self.index)
        except AgentError as error:
            self._look.cancel()
            self.index = None
            self.lost = str(error)
            return LostFile(self.lost, self._checkpoint.job.total_lines)

    def _open(self, source: _Source) -> None:
        job = self._checkpoint.job
        log.info("taking over", task_id=job.task_id, line=job.line, layer=job.layer)
        self._answer_limit = Limit(self._context.clock, ANSWER_MAY_TAKE)
        self._context.driver.open(
            self._context.host,
            Unfinished(
                task_id=job.task_id,
                source=source,
                preamble=self._checkpoint.preamble,
                memory=self._checkpoint.memory,
                settings_before=source.settings_before,
                line=job.line,
            ),
        )

"""Recovery of a print that an agent before this one began: its file is checked, then the driver is opened with it.

checking the file ── the same, or lost ──▶ awaiting the driver ── it has the print, or its end ──▶ recovered
                                                └── too long ──▶ timed out
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum
from typing import Protocol

import structlog

from agent.core.driver import TAKE_OVER_S, LineSource, Telemetry, Unfinished
from agent.errors import AgentError, DataError, NotReadyError
from agent.files.job_file import JobFile, recover
from agent.gcode import FileSource, Index
from agent.runner.activity import Context, Deadline
from agent.runner.worker import Worker
from agent.state.store import Checkpoint

log = structlog.get_logger(part="print")

LOOK_MAY_TAKE = 60.0  # seconds to check the file; usually a moment, else a read of all of it
ANSWER_MAY_TAKE = TAKE_OVER_S + 60.0  # seconds until the driver must have said what became of it, heaters off and all


class _Source(LineSource, Protocol):
    def settings_before(self, line: int) -> list[bytes]:
        """See Unfinished."""


class LostFile:
    """A line source in place of a file that cannot be printed any more: the driver meets `reason`, and makes the
    printer safe."""

    def __init__(self, reason: str, total_lines: int) -> None:
        self.reason = reason
        self._total_lines = total_lines

    @property
    def total_lines(self) -> int:
        """The number of lines that the file had."""
        return self._total_lines

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """Fail: raises OSError with the reason."""
        raise OSError(errno.ENODATA, self.reason, f"line {start}")

    def settings_before(self, line: int) -> list[bytes]:
        """Fail: raises OSError with the reason."""
        raise OSError(errno.ENODATA, self.reason, f"line {line}")


class RecoveryState(Enum):
    """State of a recovery."""

    CHECKING_FILE = "checking file"
    AWAITING_DRIVER = "awaiting driver"
    RECOVERED = "recovered"  # the driver has the print, or says how it ended
    TIMED_OUT = "timed out"  # the driver said nothing


class PrintRecovery:
    """Recovers one print, until the driver has it. `index` is None for a file that cannot be printed any more;
    `lost` is the reason why."""

    def __init__(self, context: Context, file: JobFile, checkpoint: Checkpoint) -> None:
        self._context = context
        self._file = file
        self._checkpoint = checkpoint
        self._cancel_pending = False
        self._deadline = Deadline(context.clock, LOOK_MAY_TAKE)
        self.state = RecoveryState.CHECKING_FILE
        self.index: Index | None = None
        self.lost = ""
        self._check: Worker[Index] = Worker(
            "fetch",
            lambda cancelled: recover(file, checkpoint.file, context.config, cancelled),
            context.wake,
            checkpoint.job.task_id,
        )

    def step(self) -> RecoveryState:
        """Continue the recovery; its state then."""
        if self.state is RecoveryState.CHECKING_FILE and (self._check.done or self._deadline.expired()):
            self._open_driver(self._source())
        if self.state is RecoveryState.AWAITING_DRIVER:
            self._await_driver(self._context.driver.telemetry())
        return self.state

    def cancel(self) -> None:
        """Cancel the print as soon as the driver takes it."""
        self._cancel_pending = True

    def stop(self, reason: str) -> None:
        """Give up: a driver that was not opened yet is given nothing to print, so that it can be closed with the
        heaters off."""
        self._check.cancel()
        if self.state is RecoveryState.CHECKING_FILE:
            self._open_driver(LostFile(reason, self._checkpoint.job.total_lines))

    def _source(self) -> _Source:
        try:
            if not self._check.done:
                raise DataError(f"the file could not be looked at within {LOOK_MAY_TAKE:.0f} s")
            self.index = self._check.result()
            return FileSource(self._file.path, self.index)
        except AgentError as error:
            self._check.cancel()
            self.index = None
            self.lost = str(error)
            return LostFile(self.lost, self._checkpoint.job.total_lines)

    def _open_driver(self, source: _Source) -> None:
        job = self._checkpoint.job
        log.info("print recovery started", task_id=job.task_id, job_id=job.job_id, line=job.line, layer=job.layer)
        self._deadline = Deadline(self._context.clock, ANSWER_MAY_TAKE)
        self.state = RecoveryState.AWAITING_DRIVER
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

    def _await_driver(self, telemetry: Telemetry) -> None:
        task_id = self._checkpoint.job.task_id
        ended = telemetry.last is not None and telemetry.last.task_id == task_id
        if self._cancel_pending and not ended:
            self._try_cancel()
        if ended or (telemetry.task_id == task_id and not telemetry.state.absent):
            self.state = RecoveryState.RECOVERED
        elif self._deadline.expired():
            self.state = RecoveryState.TIMED_OUT

    def _try_cancel(self) -> None:
        try:
            self._context.driver.cancel()
        except NotReadyError:
            job = self._checkpoint.job
            log.debug("cancel deferred", task_id=job.task_id, job_id=job.job_id)
        else:
            self._cancel_pending = False

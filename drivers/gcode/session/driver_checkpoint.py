"""Checkpoint of a print: what a driver must know to recover it after the agent was killed (`Host.remember`), as JSON.

    stage        written                                                    the next agent
    PRINTING     before the first line of the file; when a pause is over    continues with the very next line
    PAUSING      when a pause is asked for                                  pauses
    PARKING      when the position is known, before the head moves away     parks again, without pulling back twice
    PAUSED       when the head is out of the way, or the printer has paused stays paused
    RESUMING     before the head goes back                                  parks again, stays paused
    CANCELLING   before the cancel script                                   cancels again

Never for a line of the file: where the print is, the printer itself tells (`position_query`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from agent.errors import ConfigError, DataError, UnavailableError
from drivers.gcode.printing.dialects import Firmware, by_name
from drivers.gcode.printing.pause_state import PauseState
from drivers.gcode.session.port_identity import PortIdentity
from drivers.gcode.session.prompts import AskedPrompt

VERSION = 1

_log = structlog.get_logger(part="gcode")


class Stage(StrEnum):
    """See the module."""

    PRINTING = "printing"
    PAUSING = "pausing"
    PARKING = "parking"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"


class DriverCheckpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`homed` is as it was before the first line; `ok_carries_temps`: an `ok` to M105 holds its answer; `error`: why a
    print that is being ended has failed, empty when somebody asked for its end; `prompt`: what the printer asks. A
    stored checkpoint outlives the agent that wrote it: the names in its JSON stay."""

    port: PortIdentity = msgspec.field(name="found")
    baud: int
    dialect: str
    firmware: str
    machine: str
    capabilities: tuple[str, ...]
    ok_carries_temps: bool = msgspec.field(name="speaks")
    homed: bool
    stage: Stage = Stage.PRINTING
    pause: PauseState = PauseState()
    error: str = ""
    prompt: AskedPrompt | UnsetType = UNSET
    version: int = VERSION

    def identity(self) -> Firmware:
        """The firmware that the printer had. Raises DataError for a dialect that is not known any more."""
        try:
            dialect = by_name(self.dialect)
        except ConfigError as error:
            raise DataError(str(error)) from None
        return Firmware(self.firmware, self.machine, dialect or Firmware().dialect, frozenset(self.capabilities))


def decode(stored: bytes) -> DriverCheckpoint:
    """Read a stored checkpoint. Raises DataError for an empty one, and for what `CheckpointWriter` never wrote, or
    another version of it."""
    if not stored:
        raise DataError("the agent ended before the print had begun")
    try:
        checkpoint = msgspec.json.decode(stored, type=DriverCheckpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"what was remembered of the print cannot be read: {error}") from None
    if checkpoint.version != VERSION:
        raise DataError(f"what was remembered of the print is of version {checkpoint.version}; expected {VERSION}")
    return checkpoint


class CheckpointWriter:
    """Writes the checkpoints of one connection, by `remember`, which may take as long as a disk does. `log_keys` gives
    the keys of a log event on a task (`Host.log_keys`)."""

    def __init__(
        self,
        remember: Callable[[str, bytes], None],
        port: PortIdentity,
        baud: int,
        log_keys: Callable[[str], dict[str, str]],
    ) -> None:
        self._port, self._baud = port, baud
        self._remember = remember
        self._log_keys = log_keys
        self._task_id = ""
        self._checkpoint: DriverCheckpoint | None = None
        self._refused = False

    def begin(self, task_id: str, firmware: Firmware, *, ok_carries_temps: bool, homed: bool) -> None:
        """Write the first checkpoint of the print of `task_id`."""
        checkpoint = DriverCheckpoint(
            port=self._port,
            baud=self._baud,
            dialect=firmware.dialect.name,
            firmware=firmware.name,
            machine=firmware.machine,
            capabilities=tuple(sorted(firmware.capabilities)),
            ok_carries_temps=ok_carries_temps,
            homed=homed,
        )
        self.recover(task_id, checkpoint)
        self._write(checkpoint)

    def recover(self, task_id: str, checkpoint: DriverCheckpoint) -> None:
        """Take up the print of `task_id`, whose `checkpoint` is stored already."""
        self._task_id = task_id
        self._checkpoint = msgspec.structs.replace(checkpoint, port=self._port, baud=self._baud)

    def change(self, stage: Stage, *, pause: PauseState | None = None, error: str = "") -> None:
        """Write that the print goes into another stage; nothing when none runs. Without `pause` that one stays."""
        if self._checkpoint is not None:
            pause = self._checkpoint.pause if pause is None else pause
            self._checkpoint = msgspec.structs.replace(self._checkpoint, stage=stage, pause=pause, error=error)
            self._write(self._checkpoint)

    def change_prompt(self, asked: AskedPrompt | None) -> None:
        """Write what the printer asks, and whether that has its answer; nothing when no print runs."""
        prompt = UNSET if asked is None else asked
        if self._checkpoint is not None and self._checkpoint.prompt != prompt:
            self._checkpoint = msgspec.structs.replace(self._checkpoint, prompt=prompt)
            self._write(self._checkpoint)

    def end(self) -> None:
        """Write nothing more: the print has ended."""
        self._checkpoint = None

    def _write(self, checkpoint: DriverCheckpoint) -> None:
        try:
            self._remember(self._task_id, msgspec.json.encode(checkpoint))
        except UnavailableError as error:
            if not self._refused:  # the print continues, it only cannot be recovered after a restart
                _log.warning("driver checkpoint not stored", **self._log_keys(self._task_id), error=str(error))
            self._refused = True

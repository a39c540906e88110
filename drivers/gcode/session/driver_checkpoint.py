"""What must be known to take a print over after the agent was killed, as bytes (`agent.core.driver.Host.remember`).

    stage        written                                                    the next agent
    PRINTING     before the first line of the file; when a pause is over    goes on with the very next line
    PAUSING      when a pause is asked for                                  pauses
    PARKING      when the position is known, before the head moves away     parks again, without pulling back twice
    PAUSED       when the head is out of the way, or the printer has paused stays paused
    RESUMING     before the head goes back                                  parks again, stays paused
    CANCELLING   before the cancel script                                   cancels again

Never for a line of the file: where the print is, the printer itself tells (`whereabouts`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
import structlog

from agent.errors import ConfigError, DataError, UnavailableError
from drivers.gcode.link.discovery import Found
from drivers.gcode.printing.dialects import Firmware, by_name
from drivers.gcode.printing.head_position import HeadPosition as Position

VERSION = 1
NOWHERE = Found("")

_log = structlog.get_logger(part="gcode")


class Stage(StrEnum):
    """See the module."""

    PRINTING = "printing"
    PAUSING = "pausing"
    PARKING = "parking"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"


class Saved(msgspec.Struct, forbid_unknown_fields=True):
    """What a pause needs for the way back. Targets in °C by heater; `away`: the head may have gone somewhere else
    since; `retracted`: mm of filament pulled back by the built-in pause."""

    position: Position | None = None
    targets: dict[str, float] = {}
    away: bool = False
    retracted: float = 0.0


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ours`: the head was sent away by us, not by the printer itself; `in_file`: the next line of the file asked for
    it; `reason` is for a person."""

    saved: Saved = msgspec.field(default_factory=Saved)
    ours: bool = False
    in_file: bool = False
    reason: str = ""


class DriverCheckpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`homed` is as it was before the first line; `speaks`: an `ok` to M105 holds its answer; `error`: why a print that
    is being ended has failed, empty when somebody asked for its end."""

    found: Found
    baud: int
    dialect: str
    firmware: str
    machine: str
    capabilities: tuple[str, ...]
    speaks: bool
    homed: bool
    stage: Stage = Stage.PRINTING
    pause: Pause = Pause()
    error: str = ""
    version: int = VERSION

    def identity(self) -> Firmware:
        """What the printer said that it is. Raises DataError for a dialect that is not known any more."""
        try:
            dialect = by_name(self.dialect)
        except ConfigError as error:
            raise DataError(str(error)) from None
        return Firmware(self.firmware, self.machine, dialect or Firmware().dialect, frozenset(self.capabilities))


def decode(memory: bytes) -> DriverCheckpoint:
    """Raises DataError for nothing at all, and for what `CheckpointWriter` never wrote, or another version of it."""
    if not memory:
        raise DataError("the agent ended before the print had begun")
    try:
        found = msgspec.json.decode(memory, type=DriverCheckpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"what was remembered of the print cannot be read: {error}") from None
    if found.version != VERSION:
        raise DataError(f"what was remembered of the print is of version {found.version}; expected {VERSION}")
    return found


class CheckpointWriter:
    """One connection's way to remember. Written to by the link's thread; may take as long as a disk does."""

    def __init__(self, remember: Callable[[str, bytes], None], found: Found = NOWHERE, baud: int = 0) -> None:
        self.found, self.baud = found, baud
        self._remember = remember
        self._key = ""
        self._memory: DriverCheckpoint | None = None
        self._refused = False

    def begin(self, key: str, firmware: Firmware, *, speaks: bool, homed: bool) -> None:
        """The print `key` begins."""
        self.go_on(
            key,
            DriverCheckpoint(
                found=self.found,
                baud=self.baud,
                dialect=firmware.dialect.name,
                firmware=firmware.name,
                machine=firmware.machine,
                capabilities=tuple(sorted(firmware.capabilities)),
                speaks=speaks,
                homed=homed,
            ),
        )
        self._write()

    def go_on(self, key: str, memory: DriverCheckpoint) -> None:
        """The print `key` was taken over; what is known of it is written already."""
        self._key = key
        self._memory = msgspec.structs.replace(memory, found=self.found, baud=self.baud)

    def change(self, stage: Stage, *, pause: Pause | None = None, error: str = "") -> None:
        """The print goes into another stage; nothing when none runs."""
        if self._memory is not None:
            pause = self._memory.pause if pause is None else pause
            self._memory = msgspec.structs.replace(self._memory, stage=stage, pause=pause, error=error)
            self._write()

    def end(self) -> None:
        """Nothing has to be remembered any more."""
        self._memory = None

    def _write(self) -> None:
        try:
            self._remember(self._key, msgspec.json.encode(self._memory))
        except UnavailableError as error:
            if not self._refused:
                _log.warning("the print goes on, but could not be taken over after a restart", reason=str(error))
            self._refused = True

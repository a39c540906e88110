"""What a virtual printer is made of and how it behaves: one frozen struct."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path

import msgspec

from agent.errors import DataError

DIALECTS = {"marlin": "Marlin 2.1.2", "marlin2": "Marlin 2.1.2"}
"""The dialects that can be simulated, by the names that people may give them."""


class ResetOnOpen(StrEnum):
    """When a client that opens the port reboots the board, as the DTR line does on a real one.

    A pty has no DTR. HALTED is the default: a board that was killed or fell silent comes back when its port is closed
    and opened again, and one that works is left alone, as with HUPCL cleared (SERIAL.md §18)."""

    HALTED = "halted"
    ALWAYS = "always"
    NEVER = "never"


class Options(msgspec.Struct, frozen=True):
    """A virtual printer. Sizes in bytes, times in seconds, temperatures in degrees Celsius."""

    dialect: str = "marlin"
    speed: float = math.inf  # simulated seconds per real second; infinity: the firmware never waits for time
    faults: tuple[str, ...] = ()  # specs of `faults.py`
    link: Path | None = None  # a stable name for the port: a symlink that is kept up to date
    reset_on_open: ResetOnOpen = ResetOnOpen.HALTED
    advanced_ok: bool = False  # `ok N12 P15 B3` (SERIAL.md §6)
    emergency_parser: bool = False  # M108, M112 and M410 are acted on while they are being received (SERIAL.md §23)
    emergency_ok: bool = False  # with an emergency parser: M108 and M410 give an `ok` as well, as some builds do
    busy_protocol: bool = True
    auto_report: bool = True
    rx_buffer: int = 128  # a ring: it holds one byte less than its size
    queue_size: int = 4  # BUFSIZE; the command that is being executed has one of the places
    planner_blocks: int = 16  # BLOCK_BUFFER_SIZE; a ring as well
    ambient: float = 21.0
    nozzle_max: float = 300.0  # the highest target that is taken; more is clamped
    bed_max: float = 120.0
    machine: str = "Virtual Printer"
    uuid: str = "cede2a2f-41a2-4748-9b12-c55c62f367ff"

    def checked(self) -> Options:
        """These options. Raises DataError when one of them cannot be: it says which and what is accepted."""
        if self.dialect not in DIALECTS:
            raise DataError(f"unknown dialect {self.dialect!r}; known are: {', '.join(sorted(DIALECTS))}")
        if math.isnan(self.speed) or self.speed <= 0:
            raise DataError(f"speed is {self.speed}; it must be a number above 0, or max")
        return self

"""Options of a virtual printer: dialect, speed, faults, sizes, temperatures."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.errors import DataError
from drivers.simulated.dialect import Dialect
from drivers.simulated.dialects import DIALECTS, WAIT_S

_T = TypeVar("_T")


def _chosen(wish: _T | None, own: _T) -> _T:
    return own if wish is None else wish


class ResetOnOpen(StrEnum):
    """Whether a client that opens the port reboots the board, as the DTR line does on a real one.

    A pty has no DTR. HALTED is the default: a board that was killed or fell silent comes back when its port is closed
    and opened again, and one that works is left alone, as with HUPCL cleared (docs/serial.md §18)."""

    HALTED = "halted"
    ALWAYS = "always"
    NEVER = "never"


class Options(msgspec.Struct, frozen=True):
    """Options of one virtual printer. Sizes in bytes, times in seconds, temperatures in degrees Celsius; None is what
    the dialect has by itself."""

    dialect: str = "marlin"  # a name of `dialects.py`
    speed: float = math.inf  # simulated seconds per real second; infinity: the firmware never waits for time
    faults: tuple[str, ...] = ()  # specs of `faults.py`
    link: Path | None = None  # a stable name for the port: a symlink that is kept up to date
    reset_on_open: ResetOnOpen = ResetOnOpen.HALTED
    advanced_ok: bool = False  # `ok N12 P15 B3` (docs/serial.md §6)
    emergency_parser: bool | None = None  # what stops in a hurry acts while it is being received (docs/serial.md §23)
    emergency_ok: bool = True  # with an emergency parser: what has acted gives an `ok` in its turn; some builds do not
    host_prompts: bool | None = None  # prompts, notifications and M876 (docs/serial.md §25b)
    busy_protocol: bool | None = None
    auto_report: bool | None = None
    idle_wait: bool | None = None  # `wait` when there is nothing to do (docs/serial.md §5)
    resend_ok: bool | None = None  # an `ok` after a request for a line (docs/serial.md §8)
    rx_buffer: int | None = None  # a ring: it holds one byte less than its size
    queue_size: int | None = None  # BUFSIZE; the command that is being executed has one of the places
    planner_blocks: int = 16  # BLOCK_BUFFER_SIZE; a ring as well
    probe_points: int = 0  # points of the mesh that its probe measures; 0: it has none (docs/serial.md §15a)
    homed: bool = False  # all axes count as homed from the start, as a Klipper's configuration may have it
    heat_guard: bool = True  # the firmware's own protection stops it for a heater's fault
    ambient: float = 21.0
    nozzle_max: float = 300.0  # the highest target that is taken; more is clamped
    bed_max: float = 120.0
    machine: str = "Virtual Printer"
    bootloader: bool = False  # a bootloader (`bootloader.py`), in which the board begins at each opening of its port
    firmware_name: str = ""  # in M115; empty: the dialect's own
    uuid: str = "cede2a2f-41a2-4748-9b12-c55c62f367ff"

    def checked(self) -> Options:
        """Check these options and give them. Raises DataError when one of them cannot be: it says which and what is
        accepted."""
        self.firmware_dialect()
        if math.isnan(self.speed) or self.speed <= 0:
            raise DataError(f"speed is {self.speed}; it must be a number above 0, or max")
        return self

    def firmware_dialect(self) -> Dialect:
        """The dialect with what these options change of it. Raises DataError when it is not known."""
        dialect = DIALECTS.get(self.dialect)
        if dialect is None:
            raise DataError(f"unknown dialect {self.dialect!r}; known are: {', '.join(sorted(DIALECTS))}")

        return replace(
            dialect,
            parser=_chosen(self.emergency_parser, dialect.parser),
            prompts=_chosen(self.host_prompts, dialect.prompts),
            busy=_chosen(self.busy_protocol, dialect.busy),
            auto_report=_chosen(self.auto_report, dialect.auto_report),
            idle_wait={None: dialect.idle_wait, True: WAIT_S, False: None}[self.idle_wait],
            resend_ok=_chosen(self.resend_ok, dialect.resend_ok),
            rx_buffer=_chosen(self.rx_buffer, dialect.rx_buffer),
            queue_size=_chosen(self.queue_size, dialect.queue_size),
            probe_points=self.probe_points,
        )

    @property
    def real_second(self) -> float:
        """Simulated seconds in one second of the host: what belongs to the link goes by the host's time."""
        return 1.0 if math.isinf(self.speed) else self.speed

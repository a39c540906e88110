"""Virtual printer: a simulated firmware with its faults and its clock, on a pseudo-terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from agent.errors import DataError
from drivers.simulated.bootloader import Bootloader
from drivers.simulated.faults import Faults
from drivers.simulated.firmware import VirtualFirmware
from drivers.simulated.flashable_board import FlashableBoard, new_flash
from drivers.simulated.info_texts import firmware_name
from drivers.simulated.options import Options, ResetOnOpen
from drivers.simulated.pty_port import Board, PtyPort
from drivers.simulated.virtual_clock import VirtualClock


class VirtualPrinter:
    """A virtual printer behind a serial port.

        with VirtualPrinter(Options(speed=60.0)) as printer:
            serial.Serial(printer.path)

    `on_line` is called, on the printer's own thread, with each command that the firmware executes."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        on_line: Callable[[bytes], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises DataError for an option or a fault that cannot be."""
        self.options = (options if options is not None else Options()).checked()
        clock = VirtualClock(monotonic, self.options.speed)
        self._faults = Faults(self.options.faults)
        self._firmware = VirtualFirmware(
            self.options,
            self._faults,
            now=clock.now(),
            leap=math.isinf(self.options.speed),
            on_line=on_line,
        )
        self._port = PtyPort(
            self._board(),
            clock,
            monotonic=monotonic,
            link=self.options.link,
            reset_on_open=ResetOnOpen.ALWAYS if self.options.bootloader else self.options.reset_on_open,
        )

    def _board(self) -> Board:
        """The firmware alone, or behind a bootloader. Raises DataError for a firmware that has none."""
        if not self.options.bootloader:
            return self._firmware
        name = firmware_name(self.options.firmware_dialect())
        if not name:
            raise DataError(f"no simulated bootloader for {self.options.dialect}; it is one of AVR boards with Marlin")
        return FlashableBoard(self._firmware, Bootloader(new_flash(name)), second=self.options.real_second)

    @property
    def path(self) -> str:
        """The serial port to open. Ask again after the printer was unplugged, unless it has a link."""
        return self._port.path

    @property
    def executed(self) -> int:
        """Command lines executed so far, over all resets."""
        return self._firmware.executed

    @property
    def resets(self) -> int:
        """How often the board was reset since it was switched on."""
        return self._firmware.resets

    @property
    def fault_counts(self) -> Mapping[str, int]:
        """How often each fault has happened, by its name in `faults.py`; one that has not is missing."""
        return self._faults.counts

    @property
    def alive(self) -> bool:
        """Whether the port is being served."""
        return self._port.alive

    def start(self) -> None:
        """Switch it on. Raises DataError when the link's name is taken, PortError when there is no pty."""
        self._port.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Switch it off: the port and its link are gone, within `timeout` seconds. Idempotent."""
        self._port.stop(timeout)

    def __enter__(self) -> VirtualPrinter:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

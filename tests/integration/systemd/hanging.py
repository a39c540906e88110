"""A printer's driver from outside, as a plug-in is installed: the G-code driver, but a thread that asks for telemetry
hangs while its name is in the file PORT.hang. Nothing of the agent knows of it."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from agent.core.ports import Clock, Telemetry
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings


class HangingDriver(GcodeDriver):
    """See the module's docstring."""

    def __init__(self, settings: DriverSettings, *, clock: Clock) -> None:
        super().__init__(settings, clock=clock)
        self._trap = Path(f"{settings.port}.hang")

    def _traps(self, thread: str) -> bool:
        return self._trap.exists() and self._trap.read_text() == thread

    def telemetry(self) -> Telemetry:
        """See `Driver.telemetry`."""
        thread = threading.current_thread().name
        if self._traps(thread):
            print(f"{thread} hangs from {time.monotonic()} on", file=sys.stderr, flush=True)  # noqa: T201 the journal
            while self._traps(thread):
                time.sleep(0.1)
        return super().telemetry()

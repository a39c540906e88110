"""A printer's driver from outside, as a plug-in is installed: the G-code driver, but a thread that asks for telemetry,
or its own thread when it looks at the clock, hangs while its name is in the file PORT.hang. The agent knows nothing
of it."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from agent.core.clock import Clock
from agent.core.driver import Telemetry
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings


class Trap:
    """`hang` hangs in the thread that the file names, as long as it does."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def hang(self) -> None:
        """Return at once in any other."""
        thread = threading.current_thread().name
        if self._names(thread):
            print(f"{thread} hangs from {time.monotonic()} on", file=sys.stderr, flush=True)  # noqa: T201 the journal
            while self._names(thread):
                time.sleep(0.1)

    def _names(self, thread: str) -> bool:
        return self._file.exists() and self._file.read_text() == thread


class HangingClock:
    """The driver's clock."""

    def __init__(self, clock: Clock, trap: Trap) -> None:
        self._clock = clock
        self._trap = trap

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        self._trap.hang()
        return self._clock.monotonic()

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._clock.wall()


class HangingDriver(GcodeDriver):
    """See the module's docstring."""

    def __init__(self, settings: DriverSettings, *, clock: Clock) -> None:
        self._trap = Trap(Path(f"{settings.port}.hang"))
        super().__init__(settings, clock=HangingClock(clock, self._trap))

    def telemetry(self) -> Telemetry:
        """See `Driver.telemetry`."""
        self._trap.hang()
        return super().telemetry()

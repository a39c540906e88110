"""The bench on which a driver is tested: a printer, a driver for it, lines to print, and waiting with a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from agent.core.driver import Driver, Host, Operation, PrinterState, Scripts, Telemetry

NO_SCRIPTS = Scripts()


class Lines:
    """A `LineSource` in memory."""

    def __init__(self, codes: Sequence[bytes]) -> None:
        self._codes = codes

    @property
    def total_lines(self) -> int:
        """Sendable lines in all."""
        return len(self._codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """The lines from ordinal `start`."""
        return iter(self._codes[start - 1 :])


def moves(count: int) -> list[bytes]:
    """`count` moves, none like the one before or after it, and short ones, so that the printer is never waited for."""
    return [b"G1 X%d.%03d F6000" % (10 + n % 2, n % 1000) for n in range(1, count + 1)]


@dataclass(frozen=True)
class Setup:
    """What a test asks of the printer. `faults` as the simulated printer knows them (`drivers/simulated/faults.py`);
    `speed` is simulated seconds per real second, infinity never waits."""

    faults: tuple[str, ...] = ()
    speed: float = inf
    present: bool = True  # there from the start; else only after `Rig.plug_in`
    scripts: Scripts = NO_SCRIPTS
    probe_points: int = 0  # of the mesh that a probe of its measures; 0: it has none


@dataclass
class Rig:
    """A driver that is not opened yet, and the printer that it is to find."""

    driver: Driver
    executed: list[bytes]  # commands in the order the printer executed them
    plug_in: Callable[[], None]  # switch on a printer that was not present
    changed: threading.Condition = field(default_factory=threading.Condition)
    wakes: int = 0

    def wake(self) -> None:
        """The `Host.wake` for `Driver.open`: notes that something changed."""
        with self.changed:
            self.wakes += 1
            self.changed.notify_all()

    def until(self, true: Callable[[Telemetry], object], seconds: float = 5.0) -> Telemetry:
        """Wait for the first telemetry for which `true` is so, looked at on every wake; that telemetry.

        Raises AssertionError after `seconds`."""
        end = time.monotonic() + seconds
        with self.changed:
            while not true(now := self.driver.telemetry()):
                if not self.changed.wait(end - time.monotonic()):
                    raise AssertionError(f"still {now} after {seconds} s; executed last: {self.executed[-5:]}")
        return now

    def until_line(self, line: int) -> None:
        """Wait until `line` of the print is acknowledged; progress does not wake, so this polls.

        Raises AssertionError after 5 s."""
        end = time.monotonic() + 5.0
        while (now := self.driver.telemetry().line) < line:
            if time.monotonic() > end:
                raise AssertionError(f"line {now} of {line} after 5 s")
            time.sleep(0.001)

    def heaters_are(self, targets: Mapping[str, float], seconds: float = 5.0) -> None:
        """Wait until exactly these heaters are reported on, with these targets in °C; a report does not wake, so this
        polls.

        Raises AssertionError after `seconds`."""
        end = time.monotonic() + seconds
        while (on := {h.name: h.target for h in self.driver.telemetry().heaters if h.target > 0}) != targets:
            if time.monotonic() > end:
                raise AssertionError(f"on are {on}, not {targets}, after {seconds} s; executed: {self.executed[-5:]}")
            time.sleep(0.005)

    def ready(self) -> None:
        """Open the driver and wait until it is idle."""
        self.driver.open(Host(self.wake))
        self.until(lambda t: t.state is PrinterState.IDLE)

    def ended(self, task_id: str, seconds: float = 10.0) -> Telemetry:
        """Wait until the operation `task_id` has ended; the telemetry that says so."""
        return self.until(lambda t: t.last is not None and t.last.task_id == task_id, seconds)

    def outcome(self, task_id: str, seconds: float = 10.0) -> Operation:
        """Wait until the operation `task_id` has ended; how it ended."""
        last = self.ended(task_id, seconds).last
        if last is None:
            raise AssertionError("an operation has ended, and telemetry has none")
        return last

    def file_lines(self) -> list[bytes]:
        """The executed moves of `moves`."""
        return [line for line in self.executed if line.startswith(b"G1 X1")]

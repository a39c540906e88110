"""A G-code driver on the pty of a virtual printer.

Real: the driver with its link thread, the serial port (a pty), the virtual printer's thread and firmware, the kept
descriptor that outlives a driver, time. Only the waits are shorter than a driver's usual ones (`QUICK`). The agent is
not there: what it would remember is in `memories`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.core.driver import PrinterState, Scripts
from agent.testing import Lines, Rig, Setup, SystemClock
from agent.testing.rig import NO_SCRIPTS
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings, WatchSettings
from drivers.simulated import Options, VirtualPrinter
from tests.support.handover import Kept, Memories, Nowhere

QUICK = Timing(patience=0.02, hello=0.5, probe=0.5, garbled=0.02, resend_ok=0.2, reset=0.2, retry=0.1, retry_most=0.2)


class Tap:
    """What the board gets (`sent`) and answers (`said`), in front of its firmware. The first time that `spoils` comes,
    its last byte arrives as another one."""

    def __init__(self, printer: VirtualPrinter, spoils: bytes = b"") -> None:
        self.sent = b""
        self.said = b""
        self._spoils = spoils
        firmware = printer._firmware
        self._receive, self._advance = firmware.receive, firmware.advance
        firmware.receive = self._received  # type: ignore[method-assign]
        firmware.advance = self._advanced  # type: ignore[method-assign]

    @property
    def lines(self) -> list[bytes]:
        """The whole lines that were sent."""
        return self.sent.split(b"\n")[:-1]

    def _received(self, data: bytes, now: float) -> bytes:
        self.sent += data
        if self._spoils and self._spoils in data:
            data = data.replace(self._spoils, self._spoils[:-1] + b"?")
            self._spoils = b""
        said = self._receive(data, now)
        self.said += said
        return said

    def _advanced(self, now: float) -> bytes:
        said = self._advance(now)
        self.said += said
        return said


@dataclass
class DriverRig:
    """A virtual printer, and one driver after the other for it. `executed` are the commands in the order in which the
    printer executed them."""

    printer: VirtualPrinter
    executed: list[bytes]
    memories: Memories
    settings: DriverSettings
    timing: Timing

    def driver(self) -> Rig:
        """A new driver, not opened yet; who makes it closes it."""
        return Rig(
            GcodeDriver(self.settings, clock=SystemClock(), timing=self.timing), self.executed, self.printer.start
        )

    @contextmanager
    def one(self) -> Iterator[Rig]:
        """A new driver, not opened yet, closed on leaving."""
        rig = self.driver()
        try:
            yield rig
        finally:
            rig.driver.close()

    def ready(self) -> Rig:
        """The driver of an agent without a print, idle."""
        rig = self.driver()
        rig.driver.open(self.memories.host(rig.wake))
        rig.until(lambda t: t.state is PrinterState.IDLE)
        return rig

    def next(self, source: Sequence[bytes], line: int = 0) -> Rig:
        """The driver of the next agent, which takes the print `p` over at `line`."""
        rig = self.driver()
        rig.driver.open(self.memories.host(rig.wake), self.memories.unfinished("p", Lines(source), line))
        now = rig.driver.telemetry()
        assert (now.task_id, now.line >= line) == ("p", True) or now.last is not None
        return rig


@contextmanager
def driver_rig(
    options: Options,
    *,
    window: int = 1,
    timing: Timing = QUICK,
    scripts: Scripts = NO_SCRIPTS,
    present: bool = True,
    kept: bool = True,
    watch: WatchSettings = WatchSettings(),  # noqa: B008 it is frozen
    black_boxes: Path | None = None,
) -> Iterator[DriverRig]:
    """A printer on `options.link`, switched on if it is `present`. `kept`: the descriptor outlives a driver,
    as systemd keeps it."""
    executed: list[bytes] = []
    settings = DriverSettings(
        port=str(options.link),
        baud=115200,
        window=window,
        scripts=scripts,
        watch=watch,
        black_box_dir=str(black_boxes or ""),
    )
    printer = VirtualPrinter(options, on_line=executed.append)
    memories = Memories(Kept() if kept else Nowhere())
    if present:
        printer.start()
    try:
        yield DriverRig(printer, executed, memories, settings, timing)
    finally:
        printer.stop()
        memories.keeper.drop()


@contextmanager
def contract_rig(options: Options, setup: Setup, timing: Timing = QUICK) -> Iterator[Rig]:
    """What `SerialDriverContract.rig` asks for: one driver, closed on leaving."""
    with driver_rig(options, timing=timing, scripts=setup.scripts, present=setup.present) as made, made.one() as rig:
        yield rig

"""A print outlives its agent: another driver, with nothing but what was remembered, goes on with the very next line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

import msgspec
import pytest

from agent.core.ports import Outcome, PrinterState, Scripts, Telemetry
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter
from tests.contract.driver_contract import Clock, Lines, Rig, moves
from tests.contract.test_gcode_driver import QUICK
from tests.support.handover import Kept, Memories, Nowhere

S = PrinterState
TIMING = msgspec.structs.replace(QUICK, take_over=1.0, calm=0.05)
TELL = ("marlin", "marlin1", "marlin1.0", "prusa", "repetier", "reprap", "smoothie")
CANNOT_TELL = ("reprap3", "klipper")


@dataclass
class World:
    """A printer that outlives its drivers."""

    printer: VirtualPrinter
    executed: list[bytes]
    memories: Memories
    settings: DriverSettings

    def rig(self) -> Rig:
        driver = GcodeDriver(self.settings, clock=Clock(), timing=TIMING)
        return Rig(driver, self.executed, lambda: None)

    def ready(self) -> Rig:
        """An agent, before its print."""
        rig = self.rig()
        rig.driver.open(self.memories.host(rig.wake))
        rig.until(lambda t: t.state is S.IDLE)
        return rig

    def next(self, source: Sequence[bytes], line: int = 0) -> Rig:
        """The next agent."""
        rig = self.rig()
        rig.driver.open(self.memories.host(rig.wake), self.memories.unfinished("p", Lines(source), line))
        now = rig.driver.telemetry()
        assert (now.key, now.line >= line) == ("p", True) or now.last is not None
        return rig


@contextmanager
def world(
    folder: Path,
    *,
    dialect: str = "marlin",
    kept: bool = True,
    window: int = 1,
    speed: float = inf,
    faults: tuple[str, ...] = (),
    scripts: Scripts | None = None,
) -> Iterator[World]:
    executed: list[bytes] = []
    options = Options(dialect=dialect, speed=speed, faults=faults, link=folder / "printer", advanced_ok=window > 1)
    printer = VirtualPrinter(options, on_line=executed.append)
    settings = DriverSettings(port=str(folder / "printer"), baud=115200, window=window, scripts=scripts or Scripts())
    memories = Memories(Kept() if kept else Nowhere())
    with printer:
        yield World(printer, executed, memories, settings)
    memories.keeper.drop()


def completed(rig: Rig) -> Telemetry:
    now = rig.ended("p", 20)
    rig.driver.close()
    assert now.last is not None
    assert now.last.outcome is Outcome.COMPLETED, now.last.error
    return now


def failed(rig: Rig) -> str:
    now = rig.ended("p", 20)
    assert now.last is not None
    assert now.last.outcome is Outcome.FAILED
    return now.last.error


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "reopened"])
@pytest.mark.parametrize("dialect", TELL)
def test_the_next_driver_goes_on_with_the_very_next_line(tmp_path: Path, dialect: str, kept: bool) -> None:
    source = moves(3000)
    with world(tmp_path, dialect=dialect, kept=kept) as made:
        rig = made.ready()
        rig.driver.start_print("p", Lines(source))
        rig.until_line(50)
        rig.driver.close(hand_over=True)
        assert rig.driver.telemetry().last is None, "nothing is said of it"
        line = rig.driver.telemetry().line
        assert made.printer.resets == 0
        rig = made.next(source, line)
        assert completed(rig).line == 3000
        assert rig.file_lines() == source
        assert made.executed[-4:].count(b"M104 S0") == 0, "it was not cancelled"


@pytest.mark.parametrize("dialect", CANNOT_TELL)
def test_a_firmware_that_cannot_say_where_it_is_fails_honestly(tmp_path: Path, dialect: str) -> None:
    source = moves(3000)
    with world(tmp_path, dialect=dialect) as made:
        rig = made.ready()
        rig.driver.start_print("p", Lines([b"M104 S100", *source]))
        rig.until_line(50)
        rig.driver.close(hand_over=True)
        at = len(made.executed)
        rig = made.next([b"M104 S100", *source])
        assert "firmware does not say where it is" in failed(rig)
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()
        assert b"M104 S0" in made.executed[at:]
        assert not [line for line in made.executed[at:] if line.startswith(b"G1")][3:], "only what was on its way"

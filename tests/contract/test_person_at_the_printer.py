"""The printer asks the person in front of it, and somebody far away cancels or resumes: a real Marlin's M600, on a
pty."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from agent.core.driver import Outcome, PrinterState, Telemetry
from agent.testing import Lines, Rig, moves
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import QUICK, Tap, driver_rig

S = PrinterState
FILE = moves(60)
TIMING = msgspec.structs.replace(QUICK, patience=1.0, press=0.1)
RUNOUT = ("runout@20",)


@contextmanager
def printing(
    folder: Path, *, parser: bool = True, prompts: bool = True, oks: bool = True
) -> Iterator[tuple[Rig, VirtualPrinter, Tap]]:
    """A print whose filament ends at line 20, and the wire between driver and board."""
    options = Options(link=folder / "p", faults=RUNOUT, emergency_parser=parser, host_prompts=prompts, emergency_ok=oks)
    with driver_rig(options, timing=TIMING, present=False) as made, made.one() as rig:
        tap = Tap(made.printer)
        made.printer.start()
        rig.ready()
        rig.driver.start_print("p", Lines(FILE))
        yield rig, made.printer, tap


def asked(now: Telemetry) -> bool:
    return now.state is S.PAUSED and now.waiting.startswith("the person at the printer")


builds = pytest.mark.parametrize("oks", [True, False], ids=["with ok", "without ok"])


@builds
def test_a_cancel_from_afar_answers_both_questions_of_a_filament_change(tmp_path: Path, oks: bool) -> None:
    """docs/serial.md §23, §25b: M108 is the first click only, M876 S1 the second."""
    with printing(tmp_path, oks=oks) as (rig, printer, tap):
        rig.until(asked)
        rig.driver.cancel()
        assert rig.outcome("p").outcome is Outcome.CANCELLED
        assert b"M108" in tap.lines
        assert b"M876 S1" in tap.lines
        assert b"//action:resumed" in tap.said
        assert rig.executed[-1] == b"M84"
        assert rig.executed[-4:-1] != FILE[20:23], "nothing more of the file"
        assert printer.fault_counts["runout"] == 1
        assert rig.driver.telemetry().waiting == ""


@builds
def test_a_resume_from_afar_goes_on_with_the_very_next_line(tmp_path: Path, oks: bool) -> None:
    """docs/serial.md §25b: and the prompt `Resuming`, which nobody ends, is not waited for until the print's end."""
    with printing(tmp_path, oks=oks) as (rig, _printer, tap):
        rig.until(asked)
        rig.driver.resume()
        rig.until_line(25)
        assert b"//action:prompt_begin Resuming" in tap.said
        assert rig.driver.telemetry().waiting == ""
        assert rig.outcome("p").outcome is Outcome.COMPLETED
        assert rig.file_lines() == FILE


@pytest.mark.parametrize("action", ["cancel", "resume"])
@pytest.mark.parametrize(("parser", "prompts"), [(False, True), (True, False)])
def test_where_no_answer_from_afar_is_heard_a_person_is_asked_for_at_once(
    tmp_path: Path, action: str, parser: bool, prompts: bool
) -> None:
    """docs/serial.md §25b: without an emergency parser nothing is read in time; without prompts M600's second question
    is the display's alone."""
    with printing(tmp_path, parser=parser, prompts=prompts) as (rig, printer, tap):
        rig.until(asked)
        getattr(rig.driver, action)()
        rig.until(lambda t: t.state in (S.CANCELLING, S.RESUMING) and "has to confirm" in t.waiting, 10.0)
        before = len(tap.lines)
        time.sleep(3 * TIMING.press)
        assert len(tap.lines) == before, "and what does not help is not repeated for ever"
        assert tap.lines.count(b"M108") <= TIMING.presses + 1
        attend(printer)
        outcome = rig.outcome("p").outcome
        assert outcome is (Outcome.CANCELLED if action == "cancel" else Outcome.COMPLETED)
        if action == "resume":
            assert rig.file_lines() == FILE


def attend(printer: VirtualPrinter) -> None:
    """Somebody comes to the printer."""
    printer._firmware._controller.timers.person_at = 0.0


def test_the_persons_own_answer_goes_on_with_the_print(tmp_path: Path) -> None:
    """docs/serial.md §25b, §30."""
    with printing(tmp_path) as (rig, printer, tap):
        rig.until(asked)
        attend(printer)
        assert rig.outcome("p").outcome is Outcome.COMPLETED
        assert rig.file_lines() == FILE
        assert b"M108" not in tap.lines


def test_a_heat_up_is_few_lines_and_one_log_line(tmp_path: Path) -> None:
    """docs/serial.md §24, §25c: a notification is logged once, and the wait for heat is no stream of dwells."""
    options = Options(link=tmp_path / "p", speed=20.0)
    with driver_rig(options, present=False) as made, made.one() as rig, capture_logs() as logs:
        tap = Tap(made.printer)
        made.printer.start()
        rig.ready()
        before = len(tap.lines)
        rig.driver.start_print("p", Lines([b"M109 S200", b"G1 X10 F6000"]))
        assert rig.outcome("p", 20.0).outcome is Outcome.COMPLETED
        assert b"notification E1 Heating..." in tap.said
        assert not [line for line in tap.lines if b"G4" in line]
        assert len(tap.lines) - before < 30
        assert sum("Heating" in str(entry) for entry in logs) <= 1


SLOW = [b"G28", b"G1 Z5 F6000", *(b"G1 X%d F60" % (60 + 20 * (n % 2)) for n in range(40))]


def test_a_cancel_with_slow_moves_planned_does_not_wait_for_them(tmp_path: Path) -> None:
    """docs/serial.md §25d: 16 moves of 20 s each are planned; heaters go off first, and the head, which may have lost
    steps, goes up and nowhere else."""
    options = Options(link=tmp_path / "p", speed=1.0, emergency_parser=True)
    with driver_rig(options, timing=msgspec.structs.replace(TIMING, answer=5.0), present=False) as made:
        tap = Tap(made.printer)
        with made.one() as rig:
            made.printer.start()
            rig.ready()
            rig.driver.start_print("p", Lines([b"M140 S40", *SLOW[2:]]))
            rig.until_line(16)
            before, began = len(tap.lines), time.monotonic()
            rig.driver.cancel()
            assert rig.outcome("p").outcome is Outcome.CANCELLED
            assert time.monotonic() - began < 3.0
            sent = tap.lines[before:]
            assert sent[:4] == [b"M104 S0", b"M140 S0", b"M107", b"M410"]
            rig.until(lambda t: all(heater.target == 0 for heater in t.heaters))

"""Klipper on the virtual printer's pty, and what the person sees of it: print, pause, cancel, halt, restart, start, a
configuration error, a lost board (docs/serial.md §k1–k4).

Nothing is homed unless the test homes it, as on a klippy that has just been switched on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest

from agent.core.driver import Host, Operation, Outcome, PrinterState, Scripts, SupportsEmergencyStop, Telemetry
from agent.errors import NotReadyError
from agent.testing import Lines, Rig, moves
from agent.testing.rig import NO_SCRIPTS
from drivers.gcode.timing import Timing
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import Tap, driver_rig

S = PrinterState
TIMING = Timing(patience=0.05, hello=0.5, probe=2.0, garbled=0.02, refused=0.2, reset=0.5, retry=0.05, retry_most=0.1)
HOMED = [b"G28", *moves(300)]
CONFIG_ERROR = "Option 'pin' in section 'fan' must be specified"
LOST_BOARD = "Lost communication with MCU 'mcu'"
NOT_HOMED = r"the printer refused it: Must home axis first: "


@dataclass
class Klipper:
    """The driver's rig, the printer, and what went over the wire."""

    rig: Rig
    printer: VirtualPrinter
    tap: Tap

    def open(self) -> None:
        self.rig.driver.open(Host(self.rig.wake))

    def ready(self) -> None:
        self.open()
        self.until(S.IDLE)

    def until(self, state: PrinterState, reason: str | None = None) -> Telemetry:
        return self.rig.until(lambda t: t.state is state and reason in (None, t.reason))

    def print(self, lines: list[bytes], task_id: str = "p") -> None:
        self.rig.driver.start_print(task_id, Lines(lines))

    def halt(self) -> None:
        assert isinstance(self.rig.driver, SupportsEmergencyStop)
        self.rig.driver.halt()

    def heaters_are_off(self) -> bool:
        machine = self.printer._firmware.machine
        return machine.nozzle.target == machine.bed.target == 0.0


@contextmanager
def klipper(
    folder: Path, *faults: str, scripts: Scripts = NO_SCRIPTS, speed: float = inf, window: int = 1
) -> Iterator[Klipper]:
    options = Options(dialect="klipper", faults=faults, speed=speed, link=folder / "printer")
    with (
        driver_rig(options, timing=TIMING, scripts=scripts, window=window, present=False) as made,
        made.one() as rig,
    ):
        tap = Tap(made.printer)
        made.printer.start()
        yield Klipper(rig, made.printer, tap)


# --- print


@pytest.mark.parametrize("window", [1, 3])
def test_a_file_that_homes_is_printed_whole(tmp_path: Path, window: int) -> None:
    """docs/serial.md §k1."""
    with klipper(tmp_path, window=window) as used:
        used.ready()
        used.print(HOMED)
        assert used.rig.outcome("p") == Operation("p", Outcome.COMPLETED)
        assert used.rig.file_lines() == HOMED[1:]


@pytest.mark.parametrize("window", [1, 3])
def test_a_file_that_does_not_home_fails_at_its_first_move_and_the_heaters_go_off(tmp_path: Path, window: int) -> None:
    """docs/serial.md §k1: with the line's number and text and the reason; nothing was moved."""
    with klipper(tmp_path, window=window) as used:
        used.ready()
        used.print([b"M140 S60", b"M104 S210", *moves(2000)])
        last = used.rig.outcome("p")
        assert last.outcome is Outcome.FAILED
        assert last.error == f"line 3 (G1 X11.001 F6000): {NOT_HOMED}11.001 0.000 0.000 [0.000]"
        used.until(S.IDLE)
        assert used.rig.file_lines() == []
        assert used.heaters_are_off()
        assert used.tap.sent.count(b" G1 X1") <= window, "nothing more of the file was sent"


def test_a_cold_extruder_fails_the_print(tmp_path: Path) -> None:
    """docs/serial.md §k1."""
    with klipper(tmp_path) as used:
        used.ready()
        used.print([b"G28", b"G1 X10 F6000", b"G1 X20 E1", *moves(20)])
        last = used.rig.outcome("p")
        assert last.error == "line 3 (G1 X20 E1): the printer refused it: Extrude below minimum temp"
        assert used.rig.file_lines() == [b"G1 X10 F6000"]


def test_an_unknown_command_of_the_file_is_no_failure(tmp_path: Path) -> None:
    """docs/serial.md §k4."""
    with klipper(tmp_path) as used:
        used.ready()
        used.print([b"G28", b"M9999", *moves(20)])
        assert used.rig.outcome("p").outcome is Outcome.COMPLETED


@pytest.mark.parametrize("window", [1, 3])
def test_the_outline_of_an_object_may_be_longer_than_a_boards_buffer(tmp_path: Path, window: int) -> None:
    outline = b",".join(b"[%d,%d]" % (x, x) for x in range(100, 400))
    with klipper(tmp_path, window=window) as used:
        used.ready()
        used.print([b"G28", b"EXCLUDE_OBJECT_DEFINE NAME=CUBE POLYGON=[%b]" % outline, *moves(20)])
        assert used.rig.outcome("p") == Operation("p", Outcome.COMPLETED)
        assert used.rig.file_lines() == moves(20)
        assert outline in used.tap.sent


@pytest.mark.parametrize("name", ["park", "calibrate"])
def test_a_script_that_is_refused_fails_and_names_the_line(tmp_path: Path, name: str) -> None:
    """docs/serial.md §k1: the same for each of them."""
    with klipper(tmp_path) as used:
        used.ready()
        used.rig.driver.run_script(name, ["G90", "G1 X0 Y200 F3000", "M117 parked"])
        last = used.rig.outcome(name)
        assert last.outcome is Outcome.FAILED
        # Nothing moves to where it is already, so only Y is asked for.
        assert last.error == f"G1 X0 Y200 F3000: {NOT_HOMED}0.000 200.000 0.000 [0.000]"
        assert b"M117 parked" not in used.rig.executed
        used.until(S.IDLE)


# --- pause, resume, cancel


def test_a_pause_and_resume_lose_and_double_no_line(tmp_path: Path) -> None:
    """docs/serial.md §27."""
    with klipper(tmp_path) as used:
        used.ready()
        source = [b"G28", b"G1 Z5 F6000", *moves(4000)]
        used.print(source)
        used.rig.until_line(50)
        used.rig.driver.pause()
        used.until(S.PAUSED)
        used.rig.driver.resume()
        assert used.rig.outcome("p", 20.0).outcome is Outcome.COMPLETED
        printed = set(source)
        assert [line for line in used.rig.file_lines() if line in printed] == source[2:]


@pytest.mark.parametrize("when", ["pause", "resume"])
def test_a_pause_or_resume_that_is_refused_fails_the_job(tmp_path: Path, when: str) -> None:
    """docs/serial.md §27, §k1."""
    bad = ("M84", "G1 X5 F3000")
    scripts = Scripts(pause=bad if when == "pause" else ("M117 paused",), resume=bad)
    with klipper(tmp_path, scripts=scripts) as used:
        used.ready()
        used.print([b"G28", b"M140 S60", *moves(20000)])
        used.rig.until_line(50)
        used.rig.driver.pause()
        if when == "resume":
            used.until(S.PAUSED)
            used.rig.driver.resume()
        last = used.rig.outcome("p")
        assert last.outcome is Outcome.FAILED
        assert last.error.startswith(f"G1 X5 F3000: {NOT_HOMED}5.000")
        used.until(S.IDLE)
        assert used.heaters_are_off()


def test_a_cancel_of_a_print_that_is_not_homed_is_cancelled_and_the_heaters_go_off(tmp_path: Path) -> None:
    """docs/serial.md §28, §k1: what is refused on the way out changes nothing."""
    scripts = Scripts(cancel=("G91", "G1 Z10 F600", "G90"))
    with klipper(tmp_path, scripts=scripts) as used:
        used.ready()
        used.print([b"M140 S60", *[b"M117 %d" % n for n in range(20000)]])
        used.rig.until_line(50)
        used.rig.driver.cancel()
        assert used.rig.outcome("p") == Operation("p", Outcome.CANCELLED)
        assert used.heaters_are_off()
        used.until(S.IDLE)


# --- halt, restart


def test_an_emergency_stop_is_an_error_until_firmware_restart_is_ready(tmp_path: Path) -> None:
    """docs/serial.md §23, §k3: which takes seconds, and the status says so."""
    with klipper(tmp_path, "klippy-starting=1") as used:
        used.ready()
        used.print([b"G28", *moves(20000)])
        used.rig.until_line(50)
        used.halt()
        assert used.rig.outcome("p") == Operation("p", Outcome.FAILED, "emergency stop")
        assert used.until(S.ERROR).reason == "emergency stop"
        with pytest.raises(NotReadyError, match="emergency stop"):
            used.rig.driver.start_print("q", Lines(HOMED))
        used.rig.driver.reset()
        used.until(S.OFFLINE, "Klipper is starting")
        now = used.until(S.IDLE)
        assert (now.reason, now.reset_error) == ("", "")
        used.print(HOMED, "q")
        assert used.rig.outcome("q").outcome is Outcome.COMPLETED


def test_a_restart_in_the_middle_fails_the_print_and_is_waited_for(tmp_path: Path) -> None:
    """docs/serial.md §20, §k3: somebody has sent RESTART elsewhere."""
    with klipper(tmp_path, "reset@100", "klippy-starting=1") as used:
        used.ready()
        used.print(HOMED)
        last = used.rig.outcome("p")
        assert last.error == "the printer restarted after line 99: its position is lost"
        used.until(S.OFFLINE, "Klipper is starting")
        used.until(S.IDLE)


# --- start


def test_a_klippy_that_starts_is_waited_for_one_question_at_a_time(tmp_path: Path) -> None:
    """docs/serial.md §k2: and the job that comes then is printed; `Ready` is no restart of it."""
    with klipper(tmp_path, "klippy-starting=1.5") as used:
        began = time.monotonic()
        used.open()
        waiting = used.until(S.OFFLINE, "Klipper is starting")
        assert waiting.firmware == "Klipper"
        assert waiting.starting
        with pytest.raises(NotReadyError, match="Klipper is starting"):
            used.rig.driver.start_print("p", Lines(HOMED))
        assert not used.until(S.IDLE).starting
        assert time.monotonic() - began > 1.2
        assert used.tap.said.count(b"!! Printer is not ready") <= 10
        used.print(HOMED)
        assert used.rig.outcome("p") == Operation("p", Outcome.COMPLETED)


def test_a_configuration_error_is_an_error_with_its_text(tmp_path: Path) -> None:
    """docs/serial.md §k2: not ready, whatever else it answers; a reset comes back to the same error."""
    with klipper(tmp_path, "klippy-config-error") as used:
        used.open()
        now = used.until(S.ERROR)
        assert (now.reason, now.firmware) == (CONFIG_ERROR, "Klipper")
        with pytest.raises(NotReadyError, match=CONFIG_ERROR):
            used.rig.driver.start_print("p", Lines(HOMED))
        resets = used.printer.resets
        used.rig.driver.reset()
        used.until(S.ERROR, CONFIG_ERROR)
        assert used.printer.resets > resets


# --- a lost board


def test_a_lost_board_fails_the_print_with_the_reason_until_a_restart(tmp_path: Path) -> None:
    """docs/serial.md §k3: `Shutdown` first, the reason with the next line."""
    with klipper(tmp_path, "lost-mcu@100") as used:
        used.ready()
        used.print(HOMED)
        now = used.rig.ended("p")
        assert now.last == Operation("p", Outcome.FAILED, LOST_BOARD)
        assert (now.state, now.reason) == (S.ERROR, LOST_BOARD)
        assert used.rig.executed.count(HOMED[99]) == 0
        used.rig.driver.reset()
        assert used.until(S.IDLE).reset_error == ""
        used.print(HOMED, "q")
        assert used.rig.outcome("q").outcome is Outcome.COMPLETED


def test_a_klippy_that_has_shut_down_before_the_agent_came_is_an_error_with_the_reason(tmp_path: Path) -> None:
    """docs/serial.md §k3: it still says who it is, and a reset brings it back."""
    with klipper(tmp_path, "lost-mcu@1") as used:
        used.printer._firmware.receive(b"N1 G90\n", 0.0)
        used.open()
        assert used.until(S.ERROR).reason == LOST_BOARD
        used.rig.driver.reset()
        assert used.until(S.IDLE).reset_error == ""

"""What every driver does, whatever it drives. Subclass `DriverContract`, give it a `rig`, and all of it is tested.

class TestMyDriver(DriverContract):
    def rig(self, tmp_path, setup): ...   # a context manager that yields a Rig
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import pytest

from agent.core.driver import (
    Driver,
    Host,
    Outcome,
    PrinterState,
    Scripts,
    SupportsEmergencyStop,
    SupportsScriptReload,
    Telemetry,
)
from agent.errors import DataError, NotReadyError

S = PrinterState
NO_SCRIPTS = Scripts()


class Clock:
    """The computer's."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class Lines:
    """A LineSource in memory, also for a thousand times the same lines."""

    def __init__(self, codes: Sequence[bytes]) -> None:
        self._codes = codes

    @property
    def total_lines(self) -> int:
        return len(self._codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        return iter(self._codes[start - 1 :])


def moves(count: int) -> list[bytes]:
    """Moves that can all be told from each other, short ones, so that real time does not matter."""
    return [b"G1 X%d.%03d F6000" % (10 + n % 2, n % 1000) for n in range(1, count + 1)]


@dataclass(frozen=True)
class Setup:
    """What a test needs of the virtual printer. `faults` as in drivers/simulated/faults.py."""

    faults: tuple[str, ...] = ()
    speed: float = inf
    present: bool = True  # plugged in from the start
    scripts: Scripts = NO_SCRIPTS


@dataclass
class Rig:
    """A driver, not opened yet, and the virtual printer it is to find."""

    driver: Driver
    executed: list[bytes]  # commands in the order the printer executed them
    plug_in: Callable[[], None]  # only for a printer that was not present
    changed: threading.Condition = field(default_factory=threading.Condition)
    wakes: int = 0

    def wake(self) -> None:
        """For `Driver.open`."""
        with self.changed:
            self.wakes += 1
            self.changed.notify_all()

    def until(self, true: Callable[[Telemetry], object], seconds: float = 5.0) -> Telemetry:
        """The first telemetry for which `true` is, looked at on every wake. Fails the test after `seconds`."""
        end = time.monotonic() + seconds
        with self.changed:
            while not true(now := self.driver.telemetry()):
                if not self.changed.wait(end - time.monotonic()):
                    pytest.fail(f"still {now} after {seconds} s; executed last: {self.executed[-5:]}")
        return now

    def until_line(self, line: int) -> None:
        """Until the print has come so far: progress does not wake."""
        end = time.monotonic() + 5.0
        while self.driver.telemetry().line < line:
            assert time.monotonic() < end, f"line {self.driver.telemetry().line} of {line} after 5 s"
            time.sleep(0.001)

    def ready(self) -> None:
        """Open, and wait until it is idle."""
        self.driver.open(Host(self.wake))
        self.until(lambda t: t.state is S.IDLE)

    def ended(self, key: str, seconds: float = 10.0) -> Telemetry:
        """Until the operation `key` has ended."""
        return self.until(lambda t: t.last is not None and t.last.task_id == key, seconds)

    def file_lines(self) -> list[bytes]:
        """The executed moves of `moves`."""
        return [line for line in self.executed if line.startswith(b"G1 X1")]


class DriverContract(ABC):
    """See the module."""

    @abstractmethod
    def rig(self, tmp_path: Path, setup: Setup) -> AbstractContextManager[Rig]:
        """A rig; on leaving the driver is closed and the printer is gone."""

    def agrees(self, executed: list[bytes], source: list[bytes], faults: tuple[str, ...]) -> None:
        """What was executed is the file. A firmware that takes lines without looking at them may allow for `faults`."""
        assert executed == source

    def test_it_comes_to_idle_and_says_what_it_found(self, tmp_path: Path) -> None:
        """docs/serial.md §5a, §19, §22: M115 says it before its `ok`, M105 behind it."""
        with self.rig(tmp_path, Setup()) as rig:
            assert isinstance(rig.driver, Driver)
            assert rig.driver.telemetry().state is S.OFFLINE
            rig.ready()
            now = rig.driver.telemetry()
            assert now.port
            assert now.firmware
            assert {heater.name for heater in now.heaters} >= {"tool0", "bed"}
            assert now.task_id == ""
            assert now.last is None

    def test_a_print_completes_with_all_lines_in_order(self, tmp_path: Path) -> None:
        """docs/serial.md §2: an `ok` is no end of a move; M400 is waited for."""
        source = moves(300)
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p1", Lines(source))
            assert rig.driver.telemetry().state is S.PRINTING
            assert rig.driver.telemetry().task_id == "p1"
            now = rig.ended("p1")
            assert now.last is not None
            assert now.last.outcome is Outcome.COMPLETED, now.last.error
            assert now.line == 300
            assert now.state is S.IDLE
            assert now.task_id == ""
            assert rig.file_lines() == source
            assert rig.executed[-1] == b"M400", "completed means that the last move has finished"

    def test_two_prints_follow_each_other_each_from_its_first_line(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            for key in ("a", "b"):
                rig.driver.start_print(key, Lines(moves(20)))
                assert rig.ended(key).line == 20
            assert rig.file_lines() == moves(20) * 2

    def test_the_preamble_comes_before_the_first_line(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(3)), ["M220 S80", "M221 S95"])
            rig.ended("p")
            assert rig.executed.index(b"M220 S80") < rig.executed.index(moves(1)[0])
            assert rig.executed.index(b"M221 S95") < rig.executed.index(moves(1)[0])

    def test_an_empty_file_completes(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([]))
            now = rig.ended("p")
            assert now.last is not None
            assert (now.last.outcome, now.line) == (Outcome.COMPLETED, 0)

    def test_pause_stops_and_resume_goes_on_with_the_very_next_line(self, tmp_path: Path) -> None:
        """docs/serial.md §27."""
        source = moves(4000)
        scripts = Scripts(pause=("G91", "G1 Z5", "G90", "M117 paused"), resume=("M117 resumed",))
        with self.rig(tmp_path, Setup(scripts=scripts)) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(source))
            rig.until_line(50)
            rig.driver.pause()
            assert rig.driver.telemetry().state in (S.PAUSING, S.PAUSED)
            paused = rig.until(lambda t: t.state is S.PAUSED)
            assert b"M117 paused" in rig.executed
            assert len(rig.file_lines()) == paused.line
            rig.driver.resume()
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.COMPLETED
            assert [line for line in rig.file_lines() if line in set(source)] == source
            assert b"M117 resumed" in rig.executed

    def test_scripts_that_are_replaced_hold_for_the_print_that_runs(self, tmp_path: Path) -> None:
        """Where the driver can take other scripts at all; one that cannot be sent changes nothing."""
        with self.rig(tmp_path, Setup(scripts=Scripts(pause=("M117 old",)))) as rig:
            rig.ready()
            if not isinstance(rig.driver, SupportsScriptReload):
                pytest.skip("this driver keeps the scripts that it was made with")
            rig.driver.start_print("p", Lines(moves(4000)))
            rig.until_line(50)
            rig.driver.use_scripts(Scripts(pause=("M117 new",)))
            with pytest.raises(DataError, match="expected one line"):
                rig.driver.use_scripts(Scripts(cancel=("M117 a\nM117 b",)))
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
            assert b"M117 new" in rig.executed
            assert b"M117 old" not in rig.executed

    def test_a_hot_and_homed_print_gets_out_of_the_way_in_a_pause_and_comes_back(self, tmp_path: Path) -> None:
        """docs/serial.md §27: retract, lift first, then park; return, prime, go on with the very next line."""
        source = [b"G28", b"M109 S200", b"G1 Z5 F6000", *moves(4000)]
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(source))
            rig.until_line(50)
            rig.driver.pause()
            paused = rig.until(lambda t: t.state is S.PAUSED)
            last = max(at for at, line in enumerate(rig.executed) if line == source[paused.line - 1])
            way = [line for line in rig.executed[last + 1 :] if line.startswith(b"G1")]
            assert way == [b"G1 E-2 F2100", b"G1 Z15.000 F600", b"G1 X0 Y0 F6000"]
            rig.driver.resume()
            ended = rig.ended("p")
            assert ended.last is not None
            assert ended.last.outcome is Outcome.COMPLETED
            printed = set(source)
            assert [line for line in rig.executed if line in printed and line.startswith(b"G1 X1")] == source[3:]
            back = [line for line in rig.executed if line.startswith(b"G1") and line not in printed][3:]
            assert back[0].startswith(b"G1 X1"), "sideways first"
            assert back[1:3] == [b"G1 Z5.000 F600", b"G1 E2 F2100"]

    def test_a_print_that_is_cancelled_stops_and_leaves_the_heaters_off(self, tmp_path: Path) -> None:
        """docs/serial.md §28."""
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([b"M104 S50", *moves(20000)]))
            rig.until_line(50)
            rig.driver.cancel()
            assert rig.driver.telemetry().state in (S.CANCELLING, S.IDLE)
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.CANCELLED
            assert len(rig.file_lines()) < 20000
            tail = rig.executed[rig.executed.index(rig.file_lines()[-1]) :]
            assert {b"M140 S0", b"M107"} <= set(tail)
            assert b"M104 S0" in tail

    def test_the_cancel_script_runs_and_the_heaters_go_off_nevertheless(self, tmp_path: Path) -> None:
        """docs/serial.md §28."""
        with self.rig(tmp_path, Setup(scripts=Scripts(cancel=("M117 bye",)))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.cancel()
            rig.ended("p")
            assert rig.executed.index(b"M117 bye") < rig.executed.index(b"M104 S0")

    def test_cancel_does_not_wait_for_the_heater(self, tmp_path: Path) -> None:
        """docs/serial.md §24: the wait for heat is the host's."""
        with self.rig(tmp_path, Setup(speed=1.0)) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([b"M109 S200", *moves(10)]))
            rig.until(lambda t: t.waiting == "heating")
            began = time.monotonic()
            rig.driver.cancel()
            now = rig.ended("p")
            assert time.monotonic() - began < 1.5
            assert now.last is not None
            assert now.last.outcome is Outcome.CANCELLED
            assert now.waiting == ""
            assert rig.file_lines() == []

    def test_a_paused_print_can_be_cancelled(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
            rig.driver.cancel()
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.CANCELLED

    def test_m0_in_the_file_pauses_and_says_why(self, tmp_path: Path) -> None:
        """docs/serial.md §26."""
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([*moves(2), b"M0 Change the colour", *moves(4)]))
            paused = rig.until(lambda t: t.state is S.PAUSED)
            assert "M0" in paused.reason
            assert paused.line == 2
            rig.driver.resume()
            assert rig.ended("p").line == 7
            assert not [line for line in rig.executed if line.startswith(b"M0")]

    def test_a_script_runs_and_ends(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.run_script("home", ["G28 ; all axes", "", "M117 home"])
            assert rig.driver.telemetry().state is S.BUSY
            now = rig.ended("home")
            assert now.last is not None
            assert now.last.outcome is Outcome.COMPLETED
            assert [line for line in rig.executed if line[:1] in b"G"][-1] == b"G28"
            assert rig.executed[-2:] == [b"M117 home", b"M400"]

    def test_what_cannot_be_done_now_is_refused(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup(present=False)) as rig:
            with pytest.raises(NotReadyError):
                rig.driver.start_print("p", Lines(moves(1)))
            rig.driver.open(Host(rig.wake))
            with pytest.raises(NotReadyError):
                rig.driver.run_script("s", ["G28"])
            with pytest.raises(NotReadyError):
                rig.driver.reset()
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            for refused in (rig.driver.pause, rig.driver.resume, rig.driver.cancel):
                with pytest.raises(NotReadyError):
                    refused()
            rig.driver.start_print("p", Lines(moves(20000)))
            with pytest.raises(NotReadyError, match="printing"):
                rig.driver.start_print("q", Lines(moves(1)))
            with pytest.raises(NotReadyError):
                rig.driver.run_script("s", ["G28"])
            with pytest.raises(NotReadyError):
                rig.driver.resume()
            assert rig.driver.telemetry().task_id == "p"

    def test_reset_fails_what_runs_and_comes_back_to_idle(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.reset()
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.FAILED
            assert "reset" in now.last.error
            rig.until(lambda t: t.state is S.IDLE)
            rig.driver.start_print("q", Lines(moves(5)))
            assert rig.ended("q").line == 5

    def test_close_is_prompt_idempotent_and_ends_a_print_safely(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            began = time.monotonic()
            rig.driver.close(2.0)
            assert time.monotonic() - began < 1.0
            assert rig.driver.telemetry().state is S.OFFLINE
            last = rig.driver.telemetry().last
            assert last is not None
            assert last.outcome is Outcome.CANCELLED
            assert b"M104 S0" in rig.executed
            rig.driver.close()
            assert not [t for t in threading.enumerate() if t.name == "link"]

    def test_a_printer_that_is_not_there_is_offline_until_it_appears(self, tmp_path: Path) -> None:
        """docs/serial.md §29."""
        with self.rig(tmp_path, Setup(present=False)) as rig:
            rig.driver.open(Host(rig.wake))
            now = rig.until(lambda t: t.state is S.OFFLINE and "No such file" in t.reason)
            assert now.port == ""
            rig.plug_in()
            rig.until(lambda t: t.state is S.IDLE)

    def test_a_restart_in_the_middle_fails_the_print(self, tmp_path: Path) -> None:
        """docs/serial.md §20."""
        with self.rig(tmp_path, Setup(faults=("reset@50",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.FAILED
            assert "restarted" in now.last.error
            assert 40 <= now.line <= 50
            rig.until(lambda t: t.state is S.IDLE)

    def test_a_halt_is_an_error_until_reset(self, tmp_path: Path) -> None:
        """docs/serial.md §23a, §25: then silence until the board is reset."""
        with self.rig(tmp_path, Setup(faults=("kill@50",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.FAILED
            assert now.state is S.ERROR
            assert now.reason == now.last.error != ""
            with pytest.raises(NotReadyError):
                rig.driver.start_print("q", Lines(moves(1)))
            rig.driver.reset()
            rig.until(lambda t: t.state is S.IDLE)

    def test_an_emergency_stop_is_an_error_until_reset(self, tmp_path: Path) -> None:
        """docs/serial.md §23."""
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsEmergencyStop):
                pytest.skip("this driver has no emergency stop")
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.halt()
            now = rig.ended("p")
            assert now.last is not None
            assert (now.last.outcome, now.last.error) == (Outcome.FAILED, "emergency stop")
            assert now.state is S.ERROR
            executed = len(rig.executed)
            rig.driver.reset()
            rig.until(lambda t: t.state is S.IDLE)
            late = [line for line in rig.executed[executed:] if line.startswith(b"G1 X1")]
            assert len(late) <= 3, "only what was in flight"

    def test_a_pulled_cable_fails_the_print_and_the_printer_comes_back(self, tmp_path: Path) -> None:
        """docs/serial.md §29: it reports ready when it answers."""
        with self.rig(tmp_path, Setup(faults=("unplug@50:0.3",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            now = rig.ended("p")
            assert now.last is not None
            assert now.last.outcome is Outcome.FAILED
            assert "unplugged" in now.last.error
            rig.until(lambda t: t.state is S.IDLE)

    @pytest.mark.parametrize("faults", [("lost-ok=0.03",), ("corrupt=0.001",), ("double-ok=0.05",)])
    def test_a_bad_cable_loses_doubles_and_swaps_no_line(self, tmp_path: Path, faults: tuple[str, ...]) -> None:
        """docs/serial.md §1, §4, §8, §9, §9a."""
        source = moves(150)
        with self.rig(tmp_path, Setup(faults=faults)) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(source))
            now = rig.ended("p", 20)
            assert now.last is not None
            assert now.last.outcome is Outcome.COMPLETED, now.last.error
            self.agrees(rig.file_lines(), source, faults)

"""The driver contract: what every driver does, whatever printer it drives, as a pytest class to subclass. Needs pytest.

    from agent.testing.driver_contract import DriverContract

    class TestMyDriver(DriverContract):
        @contextmanager
        def rig(self, tmp_path, setup):  # yields an agent.testing.Rig
            ...

The printer at the other end has to be a real one or one that behaves like it, such as
`drivers.simulated.VirtualPrinter` behind whatever the driver speaks to. It has to tell which commands it executed, in
their order: the contract compares that with what was asked for. `SerialDriverContract` beside this asks for more.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import pytest

from agent.core.driver import (
    Driver,
    Host,
    Outcome,
    PrinterState,
    Scripts,
    SupportsCooling,
    SupportsEmergencyStop,
    SupportsPortRelease,
    SupportsPrompts,
    SupportsQueries,
    SupportsScriptReload,
)
from agent.errors import DataError, NotReadyError
from agent.testing.rig import Lines, Rig, Setup, moves

S = PrinterState


class DriverContract(ABC):
    """The contract of `agent.core.driver.Driver` as tests. Subclass it in a test module and define `rig`.

    What only some drivers can (`SupportsEmergencyStop`, `SupportsCooling`, `SupportsPrompts`, a printer that can be
    absent) is skipped where the driver, or the rig, has it not."""

    absent: ClassVar[str] = ""
    """A part of the text that `Telemetry.reason` gives while the printer is not there."""

    @abstractmethod
    def rig(self, tmp_path: Path, setup: Setup) -> AbstractContextManager[Rig]:
        """Set up a printer as `setup` asks and a driver for it, not opened; close both when the test is over.

        Call `pytest.skip` for what this printer cannot be made to do."""

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
            last = rig.outcome("p1")
            assert last.outcome is Outcome.COMPLETED, last.error
            assert now.line == 300
            assert now.state is S.IDLE
            assert now.task_id == ""
            assert rig.file_lines() == source
            assert rig.executed[-1] == b"M400", "completed means that the last move has finished"

    def test_two_prints_follow_each_other_each_from_its_first_line(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            for task_id in ("a", "b"):
                rig.driver.start_print(task_id, Lines(moves(20)))
                assert rig.ended(task_id).line == 20
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
            last = rig.outcome("p")
            assert (last.outcome, now.line) == (Outcome.COMPLETED, 0)

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
            last = rig.outcome("p")
            assert last.outcome is Outcome.COMPLETED
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

    def test_a_print_that_is_cancelled_stops_and_leaves_the_heaters_off(self, tmp_path: Path) -> None:
        """docs/serial.md §28."""
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([b"M104 S50", *moves(20000)]))
            rig.until_line(50)
            rig.driver.cancel()
            assert rig.driver.telemetry().state in (S.CANCELLING, S.IDLE)
            last = rig.outcome("p")
            assert last.outcome is Outcome.CANCELLED
            assert len(rig.file_lines()) < 20000
            tail = rig.executed[rig.executed.index(rig.file_lines()[-1]) :]
            assert {b"M140 S0", b"M107"} <= set(tail)
            assert b"M104 S0" in tail

    def test_the_cancel_script_runs_and_the_heaters_go_off_nevertheless(self, tmp_path: Path) -> None:
        """docs/serial.md §28; off before the script already (§25d), and after it in any case."""
        with self.rig(tmp_path, Setup(scripts=Scripts(cancel=("M117 bye",)))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.cancel()
            rig.ended("p")
            assert b"M104 S0" in rig.executed[rig.executed.index(b"M117 bye") :], "whatever the script has set"

    def test_a_paused_print_can_be_cancelled(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
            rig.driver.cancel()
            last = rig.outcome("p")
            assert last.outcome is Outcome.CANCELLED

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
            last = rig.outcome("home")
            assert last.outcome is Outcome.COMPLETED
            assert [line for line in rig.executed if line[:1] in b"G"][-1] == b"G28"
            assert rig.executed[-2:] == [b"M117 home", b"M400"]

    def test_a_script_tells_its_progress_if_at_all_from_none_to_all_of_its_lines(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.run_script("long", ["G91", *("G1 X1 F6000", "G1 X-1 F6000") * 100, "G90", "G4 P1"])
            seen = []
            while (now := rig.driver.telemetry()).task_id == "long":
                if now.script is not None:
                    seen.append(now.script)
                time.sleep(0.0005)
            assert rig.outcome("long").outcome is Outcome.COMPLETED
            assert rig.driver.telemetry().script is None
            if not seen:
                pytest.skip("this driver does not tell how far a script is")
            assert {one.total for one in seen} == {203}
            assert [one.done for one in seen] == sorted(one.done for one in seen)
            assert all(0 <= one.done <= one.total for one in seen)

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
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert "reset" in last.error
            rig.until(lambda t: t.state is S.IDLE)
            rig.driver.start_print("q", Lines(moves(5)))
            assert rig.ended("q").line == 5

    def test_close_is_prompt_idempotent_and_ends_a_print_safely(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            others = set(threading.enumerate())
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
            assert set(threading.enumerate()) - others == set(), "every thread of the driver has ended"

    def test_a_pause_that_the_file_asks_for_is_a_question_with_one_answer(self, tmp_path: Path) -> None:
        """docs/serial.md §26, §32: an answer to another id, a second one, and one that there is not are refused."""
        lines = [*moves(10), b"M0 Insert nut", *moves(10)]
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsPrompts):
                pytest.skip("this driver hears no questions")
            rig.ready()
            with pytest.raises(NotReadyError):
                rig.driver.respond(1, 0)
            rig.driver.start_print("p", Lines(lines))
            prompt = rig.until(lambda t: t.state is S.PAUSED and t.prompt is not None).prompt
            assert prompt is not None
            assert "Insert nut" in prompt.text
            with pytest.raises(NotReadyError):
                rig.driver.respond(prompt.id + 1, 0)
            with pytest.raises(DataError):
                rig.driver.respond(prompt.id, len(prompt.choices))
            rig.driver.respond(prompt.id, 0)
            with pytest.raises(NotReadyError):
                rig.driver.respond(prompt.id, 0)
            assert rig.outcome("p").outcome is Outcome.COMPLETED
            now = rig.driver.telemetry()
            assert (now.prompt, now.answered) == (None, prompt.id)
            assert rig.file_lines() == [*moves(10), *moves(10)]

    def test_a_printer_that_is_not_there_is_offline_until_it_appears(self, tmp_path: Path) -> None:
        """docs/serial.md §29."""
        with self.rig(tmp_path, Setup(present=False)) as rig:
            rig.driver.open(Host(rig.wake))
            now = rig.until(lambda t: t.state is S.OFFLINE and t.reason and self.absent in t.reason)
            assert now.port == ""
            rig.plug_in()
            rig.until(lambda t: t.state is S.IDLE)

    def test_the_heaters_of_an_idle_printer_can_be_switched_off(self, tmp_path: Path) -> None:
        """docs/serial.md §28a: while nothing runs, and the state stays IDLE."""
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsCooling):
                pytest.skip("this driver has no way to cool; the agent asks it for a script")
            with pytest.raises(NotReadyError):
                rig.driver.cool()
            rig.ready()
            rig.driver.run_script("warm", ["M140 S50", "M104 S60", "M105"])
            rig.ended("warm")
            rig.heaters_are({"tool0": 60.0, "bed": 50.0})
            rig.driver.cool()
            assert rig.driver.telemetry().state is S.IDLE
            rig.heaters_are({})
            assert {b"M104 S0", b"M140 S0", b"M107"} <= set(rig.executed)
            rig.driver.start_print("p", Lines(moves(20000)))
            with pytest.raises(NotReadyError, match="printing"):
                rig.driver.cool()

    def test_the_port_is_let_go_of_and_taken_again(self, tmp_path: Path) -> None:
        """For another program, that writes the printer's firmware for example."""
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsPortRelease):
                pytest.skip("this driver keeps its port")
            for refused in (rig.driver.release_port, rig.driver.take_port):
                with pytest.raises(NotReadyError):
                    refused()
            rig.ready()
            port = rig.driver.telemetry().port
            rig.driver.release_port()
            now = rig.until(lambda t: t.released is not None)
            assert (now.released, now.port, now.state, now.firmware) == (port, "", S.OFFLINE, "")
            with pytest.raises(NotReadyError, match="released for another program"):
                rig.driver.start_print("p", Lines(moves(3)))
            rig.driver.take_port()
            now = rig.until(lambda t: t.state is S.IDLE)
            assert now.released is None
            assert now.firmware
            rig.driver.start_print("p", Lines(moves(20000)))
            with pytest.raises(NotReadyError, match="printing"):
                rig.driver.release_port()

    def test_an_idle_printer_is_asked_and_its_answers_are_told(self, tmp_path: Path) -> None:
        """docs/serial.md §33: line by line, and the state stays IDLE; a command that is not known ends nothing."""
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsQueries):
                pytest.skip("this driver cannot be asked")
            with pytest.raises(NotReadyError):
                rig.driver.query("q", ["M115"])
            rig.ready()
            with pytest.raises(DataError):
                rig.driver.query("q", ["M115\nM112"])
            rig.driver.query("q", ["M115", "M9999", "M114"])
            assert rig.driver.telemetry().state is S.IDLE
            answer = rig.until(lambda t: t.query is not None).query
            assert answer is not None
            assert (answer.query_id, answer.complete, len(answer.texts)) == ("q", True, 3)
            texts = [text for line in answer.texts for text in line]
            assert any("FIRMWARE_NAME" in text for text in texts)
            assert any("X:" in text for text in texts)
            rig.driver.start_print("p", Lines(moves(20)))
            assert rig.outcome("p").outcome is Outcome.COMPLETED

    def test_a_print_takes_the_place_of_what_is_left_of_a_query(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            if not isinstance(rig.driver, SupportsQueries):
                pytest.skip("this driver cannot be asked")
            rig.ready()
            rig.driver.query("q", ["M114"] * 500)
            rig.driver.start_print("p", Lines(moves(20000)))
            answer = rig.until(lambda t: t.query is not None).query
            assert answer is not None
            assert (answer.query_id, answer.complete) == ("q", False)
            with pytest.raises(NotReadyError, match="printing"):
                rig.driver.query("r", ["M114"])
            rig.until_line(10)

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
            last = rig.outcome("p")
            assert (last.outcome, last.error) == (Outcome.FAILED, "emergency stop")
            assert now.state is S.ERROR
            executed = len(rig.executed)
            rig.driver.reset()
            rig.until(lambda t: t.state is S.IDLE)
            late = [line for line in rig.executed[executed:] if line.startswith(b"G1 X1")]
            assert len(late) <= 3, "only what was in flight"

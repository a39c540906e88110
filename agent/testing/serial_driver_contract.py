"""The contract of a driver on a serial line: `DriverContract`, and what a bad cable, a reset and heat ask for. Needs
pytest.

`Setup.faults` are those of the simulated printer (`printer-agent simulate --help`), `docs/serial.md` has the facts.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import pytest

from agent.core.driver import Outcome, PrinterState
from agent.errors import NotReadyError
from agent.testing.driver_contract import DriverContract
from agent.testing.rig import Lines, Setup, moves

S = PrinterState


class SerialDriverContract(DriverContract):
    """What a driver of a G-code printer on a serial port does beside what every driver does."""

    absent: ClassVar[str] = "No such file"

    probes: tuple[str, ...] = ("G28", "G29 V1")
    """The script by which its firmware measures the bed."""

    probes_silently: bool = False
    """Whether the firmware says nothing of the points meanwhile."""

    def agrees(self, executed: list[bytes], source: list[bytes], faults: tuple[str, ...]) -> None:
        """Assert that what was executed is the file. Override it for a firmware that takes lines without looking at
        them: it may allow for `faults`."""
        assert executed == source

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
            assert rig.outcome("p").outcome is Outcome.COMPLETED
            printed = set(source)
            assert [line for line in rig.executed if line in printed and line.startswith(b"G1 X1")] == source[3:]
            back = [line for line in rig.executed if line.startswith(b"G1") and line not in printed][3:]
            assert back[0].startswith(b"G1 X1"), "sideways first"
            assert back[1:3] == [b"G1 Z5.000 F600", b"G1 E2 F2100"]

    def test_cancel_does_not_wait_for_the_heater(self, tmp_path: Path) -> None:
        """docs/serial.md §24: the wait for heat is the host's."""
        with self.rig(tmp_path, Setup(speed=1.0)) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([b"M109 S200", *moves(10)]))
            rig.until(lambda t: t.waiting == "heating")
            began = time.monotonic()
            rig.driver.cancel()
            now = rig.ended("p")
            last = rig.outcome("p")
            assert time.monotonic() - began < 1.5
            assert last.outcome is Outcome.CANCELLED
            assert now.waiting == ""
            assert rig.file_lines() == []

    def test_a_script_that_probes_the_bed_tells_what_the_firmware_says_of_it(self, tmp_path: Path) -> None:
        """docs/serial.md §15a."""
        with self.rig(tmp_path, Setup(speed=100.0, probe_points=6)) as rig:
            rig.ready()
            rig.driver.run_script("calibrate", self.probes)
            seen = []
            while (now := rig.driver.telemetry()).task_id == "calibrate":
                if now.script is not None:
                    seen.append(now.script)
                time.sleep(0.005)
            last = rig.outcome("calibrate")
            assert (last.outcome, last.error) == (Outcome.COMPLETED, "")
            assert max(one.done for one in seen) == len(self.probes) == seen[-1].total
            said = {one.said for one in seen if one.said}
            assert self.probes_silently or len(said) > 1
            assert all("rob" in text and not text.startswith("/") for text in said)

    def test_what_a_script_left_on_is_off_when_the_driver_is_closed(self, tmp_path: Path) -> None:
        """docs/serial.md §31: it is waited for, so that a line that was garbled is sent again."""
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.run_script("warm", ["M140 S50"])
            rig.ended("warm")
            rig.driver.close()
            assert b"M140 S0" in rig.executed[rig.executed.index(b"M140 S50") :]

    def test_a_restart_in_the_middle_fails_the_print(self, tmp_path: Path) -> None:
        """docs/serial.md §20."""
        with self.rig(tmp_path, Setup(faults=("reset@50",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            now = rig.ended("p")
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert "restarted" in last.error
            assert 40 <= now.line <= 50
            rig.until(lambda t: t.state is S.IDLE)

    def test_a_halt_is_an_error_until_reset(self, tmp_path: Path) -> None:
        """docs/serial.md §23a, §25: then silence until the board is reset."""
        with self.rig(tmp_path, Setup(faults=("kill@50",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            now = rig.ended("p")
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert now.state is S.ERROR
            assert now.reason == last.error != ""
            with pytest.raises(NotReadyError):
                rig.driver.start_print("q", Lines(moves(1)))
            rig.driver.reset()
            rig.until(lambda t: t.state is S.IDLE)

    def test_a_pulled_cable_fails_the_print_and_the_printer_comes_back(self, tmp_path: Path) -> None:
        """docs/serial.md §29: it reports ready when it answers."""
        with self.rig(tmp_path, Setup(faults=("unplug@50:0.3",))) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(moves(300)))
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert "unplugged" in last.error
            rig.until(lambda t: t.state is S.IDLE)

    @pytest.mark.parametrize("faults", [("lost-ok=0.03",), ("corrupt=0.001",), ("double-ok=0.05",)])
    def test_a_bad_cable_loses_doubles_and_swaps_no_line(self, tmp_path: Path, faults: tuple[str, ...]) -> None:
        """docs/serial.md §1, §4, §8, §9, §9a."""
        source = moves(150)
        with self.rig(tmp_path, Setup(faults=faults)) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines(source))
            last = rig.outcome("p", 20)
            assert last.outcome is Outcome.COMPLETED, last.error
            self.agrees(rig.file_lines(), source, faults)

"""A script whose command the firmware does not know: it fails and names it, unless the line may be unknown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.core.driver import Operation, Outcome, PrinterState, Scripts
from agent.testing import Lines, Setup, moves
from drivers.simulated import DIALECTS, Options
from tests.rigs.driver_rig import contract_rig

S = PrinterState
SILENT = {"smoothie"}
"""They take what they do not know without a word: nobody can tell."""
NAMES = tuple(sorted(set(DIALECTS) - {"marlin2"}))


def calibrated(folder: Path, dialect: str, line: str) -> Operation:
    folder.mkdir()
    with contract_rig(Options(dialect=dialect, link=folder / "p"), Setup()) as rig:
        rig.ready()
        rig.driver.run_script("c", ["G28", line, "M117 done"])
        last = rig.outcome("c")
        rig.until(lambda t: t.state is S.IDLE)
        assert (b"M117 done" in rig.executed) is (last.outcome is Outcome.COMPLETED)
        return last


@pytest.mark.parametrize("line", ["G29", "?G29", "? g29 P1 ; where there is a probe"])
def test_a_command_that_the_firmware_does_not_know_fails_its_script_unless_it_may(tmp_path: Path, line: str) -> None:
    """docs/serial.md §25, §k4, Dialects: `echo:Unknown command: "G29"`, and each family's words for it."""
    with ThreadPoolExecutor(len(NAMES)) as pool:
        ends = dict(zip(NAMES, pool.map(lambda name: calibrated(tmp_path / name, name, line), NAMES), strict=True))
    for dialect, last in ends.items():
        if line.startswith("?") or dialect in SILENT:
            assert last.outcome is Outcome.COMPLETED, dialect
        else:
            assert last.outcome is Outcome.FAILED, dialect
            assert last.error == "G29: the printer does not know this command"


def test_a_command_that_may_be_unknown_is_a_warning_that_names_it(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert calibrated(tmp_path / "a", "marlin", "?G29").outcome is Outcome.COMPLETED
    told = [entry for entry in logs if entry["event"] == "script command not known"]
    assert [(entry["code"], entry["log_level"]) for entry in told] == [("G29", "warning")]


def test_an_unknown_command_in_the_file_or_a_cancel_script_stops_nothing(tmp_path: Path) -> None:
    """docs/serial.md §25: echoes of an unknown command are not fatal to a print."""
    setup = Setup(scripts=Scripts(cancel=("G29", "M117 bye")))
    with contract_rig(Options(link=tmp_path / "p"), setup) as rig:
        rig.ready()
        rig.driver.start_print("p", Lines([b"G29", *moves(20)]))
        assert rig.outcome("p").outcome is Outcome.COMPLETED
        rig.driver.start_print("q", Lines(moves(30000)))
        rig.until_line(10)
        rig.driver.cancel()
        assert rig.outcome("q").outcome is Outcome.CANCELLED
        assert b"M117 bye" in rig.executed


def test_an_unknown_command_in_a_pause_script_ends_the_print_and_is_named(tmp_path: Path) -> None:
    setup = Setup(scripts=Scripts(pause=("M125",)))
    with contract_rig(Options(link=tmp_path / "p"), setup) as rig:
        rig.ready()
        rig.driver.start_print("p", Lines(moves(30000)))
        rig.until_line(10)
        rig.driver.pause()
        last = rig.outcome("p")
        assert last == Operation("p", Outcome.FAILED, "M125: the printer does not know this command")
        assert rig.executed[-1] == b"M84"

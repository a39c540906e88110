"""A print that failed leaves a black box, and its replay shows where the printer did something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.core.driver import Outcome, PrinterState
from agent.errors import EX_OK, DataError
from agent.testing import Lines, Rig, SystemClock, moves
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.link.black_box import files
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter
from drivers.simulated.replay import DIVERGES, replay
from tests.rigs.driver_rig import QUICK


def failed_print(folder: Path, codes: Sequence[bytes], *faults: str) -> Path:
    """The black box of a print that failed."""
    link = folder / "printer"
    boxes = folder / "boxes"
    settings = DriverSettings(port=str(link), baud=115200, black_box_dir=str(boxes))
    driver = GcodeDriver(settings, clock=SystemClock(), timing=QUICK)
    with VirtualPrinter(Options(link=link, faults=faults)):
        rig = Rig(driver, [], lambda: None)
        try:
            rig.ready()
            driver.start_print("p", Lines(codes))
            ended = rig.ended("p")
        finally:
            driver.close()
    assert ended.last is not None
    assert ended.last.outcome is Outcome.FAILED
    assert len(files(boxes)) == 1
    return files(boxes)[0]


def replayed(path: Path) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    code = replay(path, events.append)
    return code, events[-1], [event for event in events if event["event"] == "divergence"]


def test_a_killed_printer_differs_at_the_line_at_which_it_was_killed(tmp_path: Path) -> None:
    code, summary, divergences = replayed(failed_print(tmp_path, moves(300), "kill@50"))
    assert code == DIVERGES
    assert summary["diverges"] is True
    (found,) = divergences
    assert (found["heard"], found["simulated"]) == ("halted", "ok")
    assert found["after"].startswith("N50 ")


def test_a_silent_printer_differs_by_saying_nothing(tmp_path: Path) -> None:
    _, _, (found,) = replayed(failed_print(tmp_path, moves(300), "silence@40"))
    assert found["heard"] is None
    assert found["simulated"] == "ok"


def test_a_failure_of_the_file_is_none_of_the_printer(tmp_path: Path) -> None:
    code, summary, divergences = replayed(failed_print(tmp_path, [*moves(3000), b"M117 " + b"x" * 100]))
    assert divergences == []
    assert code == EX_OK
    assert summary["answers"] > 900, "the box begins in the middle of the print"


def test_the_command_says_it_in_words_and_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = failed_print(tmp_path, moves(300), "kill@50")
    assert main(["replay", str(path)]) == DIVERGES
    said = capsys.readouterr().out
    assert "Thermal Runaway" in said
    assert "heard halted, simulated ok" in said
    assert "differently" in said
    assert main(["replay", "--json", str(path)]) == DIVERGES
    assert '{"event":"divergence"' in capsys.readouterr().out


def test_a_box_in_which_nothing_was_sent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "box-000001.txt"
    path.write_text("# printer-agent black box 1\n-1.0 < start\\n\n")
    with pytest.raises(DataError, match="nothing was sent"):
        replay(path, lambda event: None)


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    driver = GcodeDriver(DriverSettings(port=str(link), baud=115200), clock=SystemClock(), timing=QUICK)
    with VirtualPrinter(Options(link=link, faults=("kill@50",))):
        rig = Rig(driver, [], lambda: None)
        rig.ready()
        driver.start_print("p", Lines(moves(300)))
        assert rig.ended("p").state is PrinterState.ERROR
        driver.close()
    assert list(tmp_path.iterdir()) == []

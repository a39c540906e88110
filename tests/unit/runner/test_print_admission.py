"""A file is held to the commands that the printer's firmware may have, whenever that firmware becomes known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.core.command import Name
from agent.core.driver import PrinterState as S
from agent.errors import DataError
from agent.files.job_file import JobFile, limits, recover
from agent.gcode import Scanner
from agent.service.config import load
from agent.state.checkpoint import FileMark
from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig

FOR_KLIPPER = b"G28\nSET_PRESSURE_ADVANCE ADVANCE=0.04\nG1 X1\n"
STORES = b"G28\nM500\n"


def spooled(rig: RunnerRig, data: bytes) -> str:
    """A print whose file is here, and not scanned yet."""
    file = JobFile(rig.jobs, "p")
    file.path.write_bytes(data)
    return rig.task(Name.PRINT_DATA, "p", spooled=file.path.name, job_id="job")


def fetched(rig: RunnerRig) -> None:
    """The file was looked at, on a thread of its own."""
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.woken.clear()
    rig.runner.step()


def failure(rig: RunnerRig, task_id: str) -> tuple[int, str]:
    """How the task failed."""
    last = rig.said(task_id)[-1]
    return last["error_code"], last["error_message"]


def test_a_printer_that_comes_later_refuses_a_file_for_another_firmware(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(state=S.OFFLINE)
    task_id = spooled(rig, FOR_KLIPPER)
    fetched(rig)
    rig.printer.now(state=S.IDLE, dialect="marlin")
    rig.runner.step()
    code, text = failure(rig, task_id)
    assert code == 422
    assert text.startswith("line 2 of the file: a name (of a macro?) is no command of this firmware")
    assert rig.printer.asked == []


def test_a_printer_that_comes_later_prints_a_file_for_its_firmware(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(state=S.OFFLINE)
    spooled(rig, FOR_KLIPPER)
    fetched(rig)
    rig.printer.now(state=S.IDLE, dialect="klipper")
    rig.runner.step()
    assert rig.printer.asked == ["print"]


def test_a_known_firmware_refuses_the_file_at_once(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(state=S.OFFLINE, dialect="prusa")
    task_id = spooled(rig, FOR_KLIPPER)
    fetched(rig)
    assert failure(rig, task_id)[0] == 422


def test_what_a_firmware_that_nobody_knows_may_take_otherwise_is_refused(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(state=S.OFFLINE)
    task_id = spooled(rig, FOR_KLIPPER)
    fetched(rig)
    rig.printer.now(state=S.IDLE, dialect="generic")
    rig.runner.step()
    assert failure(rig, task_id)[0] == 422


def test_the_owner_allows_a_group_of_commands(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store, 'job.allow=["eeprom"]')
    rig.printer.now(dialect="marlin")
    spooled(rig, STORES)
    fetched(rig)
    assert rig.printer.asked == ["print"]


def test_without_it_the_refusal_names_the_group(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(dialect="marlin")
    task_id = spooled(rig, STORES)
    fetched(rig)
    assert failure(rig, task_id) == (
        422,
        'line 2 of the file: M500 writes the printer\'s EEPROM; allowed only with [job] allow = ["eeprom"]: «M500»',
    )


def test_a_file_that_was_scanned_with_other_limits_is_scanned_again(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(dialect="marlin")
    task_id = spooled(rig, STORES)
    scanner = Scanner(limits(load(None, {}, ["cloud.server=http://127.0.0.1:1", 'job.allow=["eeprom"]'])))
    scanner.feed(STORES)
    JobFile(rig.jobs, "p").save_index(scanner.finish())
    fetched(rig)
    assert failure(rig, task_id)[0] == 422


def test_a_print_under_way_is_not_judged_again(tmp_path: Path) -> None:
    """Its file may be one that an older agent let through."""
    config = load(None, {}, ["cloud.server=http://127.0.0.1:1"])
    file = JobFile(tmp_path, "p")
    file.path.write_bytes(STORES)
    mark = FileMark.of(file.path, hashlib.sha256(STORES).hexdigest())
    assert recover(file, mark, config, lambda: False).total_lines == 2
    scanner = Scanner(limits(config))
    with pytest.raises(DataError, match="M500"):
        scanner.feed(STORES)

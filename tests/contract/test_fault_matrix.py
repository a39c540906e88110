"""Every dialect of the simulator with every fault of it: a short print ends completed, or failed with the truth, and
never hangs. The table is in `fault_table.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from agent.core.driver import Host, Operation, Outcome, PrinterState, Telemetry
from agent.testing import Lines, Rig
from drivers.gcode.timing import Timing
from drivers.simulated import DIALECTS, Options, ResetOnOpen, VirtualPrinter
from drivers.simulated.faults import listing
from tests.contract.fault_table import CASES, EXCEPTIONS, LINES, NO_PRINT, Case, case_of
from tests.rigs.driver_rig import driver_rig

S = PrinterState
NAMES = tuple(sorted(set(DIALECTS) - {"marlin2"}))
LIMIT_S = 70.0
"""Seconds until a print counts as hanging. The slowest of them takes about three; but an M400 that is lost without a
word costs the patience with a long command, 45 s here."""


def unlike_neighbours(count: int) -> list[bytes]:
    """Different moves without two same characters beside each other: a byte that becomes a backspace takes the one
    before with it, and two that are the same leave the checksum as it was."""
    codes = (b"G1 X12.%d F2401" % number for number in range(10 * count))
    return [code for code in codes if all(a != b for a, b in pairwise(code))][:count]


FILE = unlike_neighbours(LINES)


@dataclass
class Watched(Rig):
    """A rig that remembers what was told on the way."""

    told: list[tuple[PrinterState, str]] = field(default_factory=list)

    def wake(self) -> None:
        now = self.driver.telemetry()
        self.told.append((now.state, now.waiting))
        super().wake()


@contextmanager
def watched(tmp_path: Path, dialect: str, case: Case, window: int = 1) -> Iterator[tuple[Watched, VirtualPrinter]]:
    resets = ResetOnOpen.ALWAYS if case.reboots else ResetOnOpen.HALTED
    options = Options(dialect=dialect, faults=case.specs, link=tmp_path / "printer", reset_on_open=resets, homed=True)
    timing = Timing(patience=case.patience, hello=0.5, probe=2.0, garbled=0.02, reset=0.2, retry=0.05, retry_most=0.1)
    with driver_rig(options, window=window, timing=timing) as made, made.one() as rig:
        yield Watched(rig.driver, made.executed, rig.plug_in), made.printer


def printed(used: Watched) -> Telemetry:
    """A whole print, from finding the printer to its end."""
    used.driver.open(Host(used.wake))
    used.until(lambda t: t.state is S.IDLE, LIMIT_S)
    used.driver.start_print("p", Lines(FILE))
    return used.ended("p", LIMIT_S)


def check_completed(executed: list[bytes], missing: int | None = None) -> None:
    if missing is None:
        assert [code for code in executed if code.startswith(b"G1")] == FILE
        return
    place = {code: number for number, code in enumerate(FILE)}
    order = [place[code] for code in executed if code in place]
    assert order == sorted(set(order)), "a line twice, or out of its turn"
    assert len(FILE) - len(order) <= missing


def check_failed(last: Operation, executed: list[bytes], now: Telemetry, reason: str) -> None:
    assert re.search(reason, last.error), last.error
    moved = [code for code in executed if code.startswith(b"G1")]
    assert moved == FILE[: len(moved)]
    assert now.line <= len(moved) <= now.line + 1, "the line that is told is the truth"


def strikes(struck: Mapping[str, int], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if not struck.get(name)]
    assert not missing, f"this run proves nothing: {missing} did not happen, only {dict(struck)}"


def one_cell(folder: Path, name: str, dialect: str) -> None:
    """A print, and whether it ended as the table says: one line at a time, or, in every other cell that is survived,
    three."""
    case = case_of(name, dialect)
    end = case.end
    several = not end.reason and (list(CASES).index(name) + NAMES.index(dialect)) % 2
    window = 3 if several else 1
    with watched(folder, dialect, case, window) as (used, printer):
        now = printed(used)
        last = now.last
        assert last is not None
        strikes(printer.fault_counts, case.strikes)
        if last.outcome is Outcome.COMPLETED:
            assert end.either or not end.reason, "it should have failed"
            check_completed(used.executed, window * sum(printer.fault_counts.values()) if end.gaps else None)
            assert now.line == LINES
        else:
            assert last.outcome is Outcome.FAILED
            assert end.reason, f"it should have completed: {last.error}"
            if end.gaps:  # lines may have been spoilt before
                assert re.search(end.reason, last.error), last.error
            else:
                check_failed(last, used.executed, now, end.reason)
        if case.back:
            used.until(lambda t: t.state is S.IDLE, LIMIT_S)


@pytest.mark.parametrize("name", CASES)
def test_a_print_ends_as_the_table_says(tmp_path: Path, name: str) -> None:
    """docs/serial.md §1, §4, §8, §9, §10, §15, §16, §20, §21, §25, §29, Dialects: completed, or failed with the truth.

    All dialects at once: they wait nearly all of the time."""
    folders = {dialect: tmp_path / dialect for dialect in NAMES if not CASES[name].only or dialect in CASES[name].only}
    for folder in folders.values():
        folder.mkdir()
    errors = []
    with ThreadPoolExecutor(len(folders), thread_name_prefix="cell") as pool:
        cells = {dialect: pool.submit(one_cell, folder, name, dialect) for dialect, folder in folders.items()}
    for dialect, cell in cells.items():
        error = cell.exception()
        if error is not None:
            error.add_note(f"{name} with {dialect}")
            errors.append(error)
    if errors:
        raise BaseExceptionGroup(f"{name}: {len(errors)} of {len(folders)} dialects", errors)


PERSON = {"marlin": S.PAUSED, "prusa": S.PAUSED, "marlin1": S.PRINTING}
"""What is told of a person who is waited for: `//action:paused`, or `busy: paused for user`, which comes after two
seconds. The others say nothing of it."""


@pytest.mark.parametrize("dialect", PERSON)
def test_a_person_who_is_waited_for_is_told_of(tmp_path: Path, dialect: str) -> None:
    """docs/serial.md §15, §25a, §30: however long it takes, and whatever the host's patience."""
    case = Case(("pause@100:2.3",), strikes=("pause",), patience=1.0)
    with watched(tmp_path, dialect, case) as (used, printer):
        now = printed(used)
        assert now.last == Operation("p", Outcome.COMPLETED)
        check_completed(used.executed)
        strikes(printer.fault_counts, case.strikes)
        assert (PERSON[dialect], "the person at the printer") in used.told


def test_the_table_has_every_fault_and_every_exception_a_dialect() -> None:
    known = {re.split(r"[=@]", line.split()[0])[0] for line in listing().splitlines()}
    assert {name.partition(",")[0] for name in CASES} == known - NO_PRINT
    assert {name for name, _ in EXCEPTIONS} <= set(CASES)
    assert {dialect for _, dialect in EXCEPTIONS} <= set(NAMES)


def test_the_file_can_be_told_from_every_spoilt_line_of_itself() -> None:
    assert len(set(FILE)) == LINES
    assert not [code for code in FILE if any(a == b for a, b in pairwise(code))]

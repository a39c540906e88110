"""The printer asks, and somebody far away answers: eight firmwares in six situations, on a pty (docs/serial.md §32)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from agent.core.driver import Prompt, SupportsPrompts, Telemetry
from agent.errors import DataError, NotReadyError
from agent.testing import Lines, Rig
from drivers.simulated import Options, VirtualPrinter
from tests.contract.prompt_table import FIRMWARES, SITUATIONS, TABLE, Cell, Question
from tests.rigs.driver_rig import QUICK, Tap, driver_rig

TIMING = msgspec.structs.replace(QUICK, patience=1.0, press=0.1)
ANSWERS = (b"M876", b"M292", b"M601", b"RESUME", b"LOAD_FILAMENT")
AT_ONCE_S = 0.05
"""Seconds from `respond` until the printer has the answer."""


@dataclass
class Asking:
    """A print that asks, and what went over the wire."""

    rig: Rig
    printer: VirtualPrinter
    tap: Tap

    def asked(self, question: Question, after: int = 0) -> Prompt:
        """Wait for a prompt newer than the one with the id `after`; what it is."""
        now = self.rig.until(lambda t: t.prompt is not None and t.prompt.id > after and t.answered != t.prompt.id)
        assert now.prompt is not None
        assert (now.prompt.text, now.prompt.choices) == (question.text, question.choices)
        return now.prompt

    def respond(self, prompt_id: int, choice: int) -> None:
        assert isinstance(self.rig.driver, SupportsPrompts)
        self.rig.driver.respond(prompt_id, choice)

    def answers(self) -> list[bytes]:
        """The answers that were sent, without number and checksum."""
        lines = [line.partition(b" ")[2] if line[:1] == b"N" else line for line in self.tap.lines]
        return [line.partition(b"*")[0] for line in lines if line.startswith(ANSWERS)]

    def attend(self) -> None:
        """Somebody comes to the printer."""
        self.printer._firmware._controller.timers.person_at = 0.0


@contextmanager
def asking(folder: Path, firmware: str, cell: Cell) -> Iterator[Asking]:
    early = True if firmware == "marlin" else None
    options = Options(
        dialect=firmware, link=folder / "p", faults=cell.faults, emergency_parser=early, speed=100.0, homed=True
    )
    with driver_rig(options, timing=TIMING, present=False) as made, made.one() as rig:
        tap = Tap(made.printer)
        made.printer.start()
        rig.ready()
        rig.driver.start_print("p", Lines(cell.lines))
        yield Asking(rig, made.printer, tap)


def over(now: Telemetry) -> bool:
    return now.last is not None and now.last.task_id == "p"


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("firmware", FIRMWARES)
def test_what_is_asked_is_answered_once_and_the_print_goes_on(tmp_path: Path, firmware: str, situation: str) -> None:
    """docs/serial.md §32: each question with its choices, each answer at once and once, no line lost or doubled."""
    cell = TABLE[firmware][situation]
    with asking(tmp_path, firmware, cell) as used:
        last = 0
        for question in cell.questions:
            prompt = used.asked(question, last)
            if situation == "cancel":
                break
            if question.choose is None:
                with pytest.raises(DataError, match="on its display"):
                    used.respond(prompt.id, 0)
                used.attend()
                break
            with pytest.raises(NotReadyError, match="not open any more"):
                used.respond(prompt.id - 1, 0)
            with pytest.raises(DataError, match="the prompt has 0 to"):
                used.respond(prompt.id, len(prompt.choices))
            used.respond(prompt.id, question.choose)
            with pytest.raises(NotReadyError, match=r"has its answer already|not open any more|asks nothing"):
                used.respond(prompt.id, question.choose)
            last = prompt.id
        if situation == "cancel":
            if cell.unseen:
                used.rig.until_line(19)
            used.rig.driver.cancel()
        if cell.unseen:
            used.rig.until_line(19)
        if cell.unseen or (situation == "cancel" and cell.questions and not cell.questions[0].choices):
            time.sleep(0.1)
            used.attend()
        assert used.rig.outcome("p").outcome is cell.end
        if situation != "cancel" or firmware == "reprap3":
            assert tuple(used.answers()) == cell.sends
        assert used.rig.driver.telemetry().prompt is None
        if situation != "cancel" and not cell.faults:
            whole = [line for line in cell.lines if line.startswith(b"G1 X1")]
            assert used.rig.file_lines() == whole


def test_an_answer_is_on_the_wire_within_50_ms(tmp_path: Path) -> None:
    """docs/serial.md §23, §32a: past the line that is not acknowledged, at the real pace of a printer."""
    cell = TABLE["marlin"]["runout"]
    with asking(tmp_path, "marlin", cell) as used:
        took = []
        last = 0
        for question, sent in zip(cell.questions, cell.sends, strict=True):
            prompt = used.asked(question, last)
            began = time.monotonic()
            used.respond(prompt.id, question.choose or 0)
            while sent not in used.answers():
                assert time.monotonic() - began < 1.0
                time.sleep(0.0005)
            took.append(time.monotonic() - began)
            last = prompt.id
        assert min(took) < AT_ONCE_S, took
        assert used.rig.outcome("p").outcome is cell.end

"""The agent is killed while the printer asks: the next one knows the question, and no answer is sent twice
(docs/serial.md §32).

A kill is what it leaves on the disk: `memories` of the moment, with which the next driver begins on the kept port.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.core.driver import Outcome, PrinterState, Prompt, SupportsPrompts, Telemetry
from agent.errors import NotReadyError
from agent.testing import Lines, Rig, moves
from drivers.gcode.session.driver_checkpoint import decode
from drivers.gcode.session.prompts import REASK_S
from drivers.simulated import Options
from tests.rigs.driver_rig import QUICK, DriverRig, Tap, driver_rig

S = PrinterState
FILE = moves(60)
AT = 20
TIMING = msgspec.structs.replace(QUICK, patience=1.0, take_over=3.0, calm=0.05)


@contextmanager
def asking(folder: Path) -> Iterator[tuple[DriverRig, Rig, Tap]]:
    """A print whose filament ends, and the wire; the first driver has heard the question."""
    options = Options(link=folder / "p", faults=(f"runout@{AT}",), emergency_parser=True, homed=True, speed=50.0)
    with driver_rig(options, timing=TIMING, present=False) as made:
        tap = Tap(made.printer)
        made.printer.start()
        rig = made.ready()
        rig.driver.start_print("p", Lines(FILE))
        yield made, rig, tap


def asked(rig: Rig, text: str, after: int = 0) -> Prompt:
    now = rig.until(lambda t: t.prompt is not None and t.prompt.text == text and t.prompt.id > after, 10.0)
    assert now.prompt is not None
    return now.prompt


def respond(rig: Rig, prompt: Prompt, choice: int) -> None:
    assert isinstance(rig.driver, SupportsPrompts)
    rig.driver.respond(prompt.id, choice)


def recovered(rig: Rig) -> Telemetry:
    return rig.until(lambda t: t.state is not S.RECOVERING, 10.0)


def killed(made: DriverRig, rig: Rig) -> Rig:
    """The driver of the next agent, which has recovered the print."""
    rig.driver.close(hand_over=True)
    later = made.next(FILE)
    recovered(later)
    return later


def finish(rig: Rig) -> None:
    """Answer what is left, and see the print end whole."""
    last = rig.outcome("p", 10.0)
    rig.driver.close()
    assert last.outcome is Outcome.COMPLETED, last.error
    assert rig.file_lines() == FILE
    assert rig.driver.telemetry().prompt is None


def answers(tap: Tap) -> list[bytes]:
    return [line for line in tap.lines if line.startswith(b"M876")]


def test_killed_while_it_asks(tmp_path: Path) -> None:
    with asking(tmp_path) as (made, rig, tap):
        before = asked(rig, "Nozzle Parked")
        later = killed(made, rig)
        assert asked(later, "Nozzle Parked") == before, "the same question, under the same id"
        respond(later, before, 0)
        respond(later, asked(later, "Paused", before.id), 1)
        finish(later)
        assert answers(tap) == [b"M876 S0", b"M876 S1"]


def test_killed_after_the_answer_was_stored_and_before_it_was_sent(tmp_path: Path) -> None:
    """Nobody knows whether it was sent, so it is not sent again; the printer waits on, and is asked for anew."""
    with asking(tmp_path) as (made, rig, tap):
        before = asked(rig, "Nozzle Parked")
        checkpoint = decode(made.memories.written[-1])
        prompt = msgspec.structs.replace(checkpoint.prompt, answered=True)  # type: ignore[type-var]
        stored = made.memories.written
        rig.driver.close(hand_over=True)
        stored.append(msgspec.json.encode(msgspec.structs.replace(checkpoint, prompt=prompt)))
        later = made.next(FILE)
        recovered(later)
        assert later.driver.telemetry().answered == before.id
        with pytest.raises(NotReadyError, match=r"has its answer already|not open any more"):
            respond(later, before, 0)
        anew = asked(later, "Nozzle Parked", before.id)
        assert answers(tap) == []
        respond(later, anew, 0)
        respond(later, asked(later, "Paused", anew.id), 1)
        finish(later)
        assert answers(tap) == [b"M876 S0", b"M876 S1"]


def test_killed_after_the_answer_was_sent(tmp_path: Path) -> None:
    """What the printer said meanwhile is in the port's buffer: the next question is heard."""
    with asking(tmp_path) as (made, rig, tap):
        before = asked(rig, "Nozzle Parked")
        respond(rig, before, 0)
        rig.until(lambda t: t.answered == before.id)
        later = killed(made, rig)
        purge = asked(later, "Paused", before.id)
        assert answers(tap) == [b"M876 S0"]
        respond(later, purge, 1)
        finish(later)
        assert answers(tap) == [b"M876 S0", b"M876 S1"]


def test_killed_after_the_question_was_over(tmp_path: Path) -> None:
    with asking(tmp_path) as (made, rig, tap):
        respond(rig, asked(rig, "Nozzle Parked"), 0)
        respond(rig, asked(rig, "Paused"), 1)
        rig.until(lambda t: t.prompt is None and t.state is S.PRINTING, 10.0)
        later = killed(made, rig)
        assert later.driver.telemetry().prompt is None
        finish(later)
        assert answers(tap) == [b"M876 S0", b"M876 S1"]


def test_killed_while_the_host_itself_asks(tmp_path: Path) -> None:
    """docs/serial.md §26: the file's M0."""
    source = [*moves(AT), b"M0 Insert nut", *moves(30)]
    with driver_rig(Options(link=tmp_path / "p", homed=True), timing=TIMING) as made:
        rig = made.ready()
        rig.driver.start_print("p", Lines(source))
        text = f"the file asks for a pause (M0, line {AT + 1}): Insert nut"
        before = asked(rig, text)
        rig.driver.close(hand_over=True)
        rig = made.next(source)
        assert recovered(rig).state is S.PAUSED
        assert asked(rig, text) == before
        respond(rig, before, 0)
        assert rig.outcome("p").outcome is Outcome.COMPLETED
        rig.driver.close()
        assert rig.file_lines() == [line for line in source if line.startswith(b"G1")]


def test_an_answer_that_is_lost_on_the_way_is_asked_for_again(tmp_path: Path) -> None:
    """docs/serial.md §32a: it has no number and no checksum; a person decides anew, nothing repeats it by itself."""
    with asking(tmp_path) as (_made, rig, tap):
        first = asked(rig, "Nozzle Parked")
        tap._spoils = b"M876 S0"
        began = time.monotonic()
        respond(rig, first, 0)
        anew = asked(rig, "Nozzle Parked", first.id)
        assert time.monotonic() - began < 3 * REASK_S
        respond(rig, anew, 0)
        respond(rig, asked(rig, "Paused", anew.id), 1)
        finish(rig)

"""Progress of a script as telemetry tells it."""

from __future__ import annotations

import pytest

from agent.core.driver import Outcome, PrinterState, ScriptProgress
from drivers.gcode.session.script_watch import TEXT_MAX, ScriptWatch
from drivers.gcode.slot import Slot


@pytest.fixture
def slot() -> Slot:
    return Slot()


@pytest.fixture
def watch(slot: Slot) -> ScriptWatch:
    """Of a script of two lines, the second of which is under way."""
    made = ScriptWatch(slot)
    made.begin(2)
    made.begin_line(0)
    made.begin_line(1)
    return made


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Probing mesh point 3/25.", "Probing mesh point 3/25."),
        ("// probe at 10.000,20.000 is z=0.012500", "probe at 10.000,20.000 is z=0.012500"),
        ("echo:Bed leveling on", "Bed leveling on"),
        ("X:0.00 Y:0.00 Z:5.00 E:0.00 Count X:0 Y:0 Z:400", ""),
        ("", ""),
        ("//", ""),
    ],
)
def test_what_the_firmware_says_is_told_and_a_place_is_not(
    slot: Slot, watch: ScriptWatch, heard: str, said: str
) -> None:
    watch.hear(heard)
    assert slot.read().script == ScriptProgress(1, 2, said)


def test_what_the_firmware_says_is_kept_in_bounds_and_printable(slot: Slot, watch: ScriptWatch) -> None:
    watch.hear("\x1b[31m" + "x" * 10_000)
    script = slot.read().script
    assert script is not None
    assert script.said.startswith("\\x1b[31mxxx")
    assert len(script.said) <= TEXT_MAX + 3


def test_what_was_said_belongs_to_its_line(slot: Slot, watch: ScriptWatch) -> None:
    watch.hear("Probing mesh point 3/25.")
    watch.begin_line(2)
    assert slot.read().script == ScriptProgress(2, 2)


def test_nothing_is_told_without_a_script_nor_after_its_end(slot: Slot, watch: ScriptWatch) -> None:
    watch.end()
    slot.end("t", Outcome.COMPLETED, PrinterState.IDLE)
    watch.hear("Probing mesh point 3/25.")
    watch.begin_line(2)
    assert slot.read().script is None


def test_progress_wakes_nobody(slot: Slot, watch: ScriptWatch) -> None:
    """A printer that talks without end must not keep the runner at work."""
    woken: list[None] = []
    slot.wake = lambda: woken.append(None)
    watch.hear("Probing mesh point 3/25.")
    watch.begin_line(2)
    assert woken == []

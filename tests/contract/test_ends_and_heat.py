"""However something ends, and whatever it left on, the heaters are off then, and the firmware watched until then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.command import Name
from agent.core.driver import PrinterState
from agent.core.task import TaskState
from agent.state.store import Store
from tests.rigs.heat_rig import HeatRig, heat_rig

S = PrinterState
LEFT = {
    "nozzle": ["M104 S210"],
    "bed": ["M140 S60"],
    "both": ["M140 S60", "M104 S210"],
    "nothing": ["M104 S210", "M140 S60", "G1 X5", "M104 S0", "M140 S0"],
}
MOVES = [f"G1 X{10 + n % 50}.{n % 10} F6000" for n in range(400)]
LONG = MOVES * 50


def started(rig: HeatRig, lines: list[str], moves: list[str]) -> str:
    """A print that has heated and moves."""
    task_id = rig.print([*lines, *moves])
    rig.until(lambda t: t.state is S.PRINTING and t.line > len(lines) + 20)
    return task_id


def completed(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    assert rig.ended(rig.print([*lines, *MOVES[:20]])).state is TaskState.COMPLETED


def cancelled(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.command(Name.CANCEL, f"j{task_id}")
    rig.ended(task_id)


def cancelled_in_a_pause(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.command(Name.PAUSE)
    rig.until(lambda t: t.state is S.PAUSED)
    rig.command(Name.CANCEL)
    rig.ended(task_id)


def file_unreadable(rig: HeatRig, lines: list[str]) -> None:
    """The card's folder is gone while it prints: what the driver reads ahead is in memory, so the file is cut."""
    rig.ready()
    task_id = started(rig, lines, LONG)
    next(rig.jobs.glob("*.gcode")).write_bytes(b"")
    assert rig.ended(task_id).state is TaskState.FAILED


def calibrated(rig: HeatRig, _lines: list[str]) -> None:
    rig.ready()
    assert rig.ended(rig.command(Name.CALIBRATE)).state is TaskState.COMPLETED


def script_failed(rig: HeatRig, _lines: list[str]) -> None:
    """Its last command is one that the firmware does not know."""
    rig.ready()
    assert rig.ended(rig.command(Name.HOME)).state is TaskState.FAILED


def script_cancelled(rig: HeatRig, _lines: list[str]) -> None:
    rig.ready()
    task_id = rig.command(Name.PARK)
    rig.command(Name.CANCEL)
    rig.ended(task_id)


def board_begins_anew(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    assert rig.ended(rig.print([*lines, *MOVES])).state is TaskState.FAILED


def unplugged_after_the_end(rig: HeatRig, lines: list[str]) -> None:
    rig.cool_after_s = 3600
    completed(rig, lines)
    rig.printer.stop()
    rig.until(lambda t: t.state is S.OFFLINE)
    rig.printer.start()


def agent_stopped_in_a_print(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    started(rig, lines, LONG)
    rig.stop()


def agent_stopped_in_a_script(rig: HeatRig, _lines: list[str]) -> None:
    rig.ready()
    rig.command(Name.PARK)
    rig.soon(lambda: rig.driver.telemetry().state is not S.IDLE or b"M109 S210" in rig.executed, "it begins")
    rig.stop()


def agent_stopped_after_the_end(rig: HeatRig, lines: list[str]) -> None:
    rig.cool_after_s = 3600
    completed(rig, lines)
    rig.stop()


def handed_over_after_the_end(rig: HeatRig, lines: list[str]) -> None:
    rig.cool_after_s = 3600
    completed(rig, lines)
    rig.stop(hand_over=True)


def handed_over_and_completed(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.stop(hand_over=True)
    assert rig.targets() != (0.0, 0.0)
    rig.start()
    assert rig.ended(task_id).state is TaskState.COMPLETED


def takeover_failed(rig: HeatRig, lines: list[str]) -> None:
    """Somebody has begun something else meanwhile, so the printer is not where the print was."""
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.stop(hand_over=True)
    next(rig.jobs.glob("*.gcode")).write_bytes(b"G28\n")
    rig.start()
    assert rig.ended(task_id).state is TaskState.FAILED


def takeover_of_a_printer_that_was_away(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.stop(hand_over=True)
    rig.printer.stop()
    rig.start()
    assert rig.ended(task_id).state is TaskState.FAILED
    rig.printer.start()


def cool(rig: HeatRig, lines: list[str]) -> None:
    rig.cool_after_s = 3600
    completed(rig, lines)
    assert rig.ended(rig.command(Name.COOL)).state is TaskState.COMPLETED


def cancel_when_idle(rig: HeatRig, lines: list[str]) -> None:
    rig.cool_after_s = 3600
    completed(rig, lines)
    on = rig.targets()
    rig.until(lambda t: tuple(heater.target for heater in t.heaters) == on)
    assert rig.ended(rig.command(Name.CANCEL)).state is (TaskState.COMPLETED if any(on) else TaskState.FAILED)


def reset_that_resets_nothing(rig: HeatRig, lines: list[str]) -> None:
    """A pty has no reset line, and Marlin no command for it."""
    rig.cool_after_s = 3600
    completed(rig, lines)
    assert rig.ended(rig.command(Name.RESET)).state is TaskState.FAILED


def emergency_stop(rig: HeatRig, lines: list[str]) -> None:
    rig.ready()
    task_id = started(rig, lines, LONG)
    rig.driver.halt()
    rig.ended(task_id)


PRINTS = (
    completed,
    cancelled,
    cancelled_in_a_pause,
    file_unreadable,
    unplugged_after_the_end,
    agent_stopped_in_a_print,
    agent_stopped_after_the_end,
    handed_over_after_the_end,
    handed_over_and_completed,
    takeover_failed,
    takeover_of_a_printer_that_was_away,
    cool,
    cancel_when_idle,
    reset_that_resets_nothing,
    emergency_stop,
)
SCRIPTS = (calibrated, script_failed, script_cancelled, agent_stopped_in_a_script)
FAULTS = ("reset@60", "unplug@60:0.2", "kill@60", "thermal-runaway@60")
ROWS = [
    *((end, left, ()) for end in PRINTS for left in ("both", "bed")),
    *((end, "nothing", ()) for end in (completed, agent_stopped_after_the_end, cancel_when_idle)),
    *((end, "both", ()) for end in SCRIPTS),
    *((board_begins_anew, left, (fault,)) for fault in FAULTS for left in ("both", "nozzle")),
]


@pytest.mark.parametrize(
    ("end", "left", "faults"), ROWS, ids=[" ".join((end.__name__, left, *faults)) for end, left, faults in ROWS]
)
def test_however_it_ends_the_heaters_are_off_and_were_watched_until_then(
    tmp_path: Path, store: Store, end: Callable[[HeatRig, list[str]], None], left: str, faults: tuple[str, ...]
) -> None:
    """docs/serial.md §28a, §31."""
    with heat_rig(tmp_path, store, faults=faults) as rig:
        end(rig, LEFT[left])
        rig.soon(lambda: rig.targets() == (0.0, 0.0), "the heaters are off")
        rig.stop()
        assert rig.targets() == (0.0, 0.0)
        if end is not cancelled_in_a_pause:  # a pause may be as long as a person likes
            assert rig.disarmed_while_hot() == []


def test_the_table_has_the_rows_that_it_promises() -> None:
    assert len(ROWS) >= 30


@pytest.mark.parametrize("stopped", [False, True], ids=["runs", "stops"])
def test_what_a_person_sets_afterwards_is_nobody_elses(tmp_path: Path, store: Store, stopped: bool) -> None:
    """A preheat, or a print from the printer's own card: the agent neither ends it after a while nor when it stops."""
    with heat_rig(tmp_path, store, cool_after_s=5.0) as rig:
        completed(rig, LEFT["bed"])
        rig.until(lambda t: any(heater.target == 60.0 for heater in t.heaters))
        rig.soon(lambda: any(text.startswith("hot, nobody needs it: bed 60 °C") for text in rig.said), "it is said")
        rig.set_at_the_display(200.0, 60.0)
        rig.soon(lambda: any("set at the printer" in text for text in rig.said), "it is said")
        if stopped:
            rig.stop()
        assert rig.targets() == (200.0, 60.0)
        assert rig.store.heat.task_id() == ""

"""Heat that nobody needs is switched off and said; what a person has set is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.core.command import Name
from agent.core.driver import Heater, Outcome, PrinterState
from agent.core.task import TaskState
from agent.errors import UnavailableError
from agent.runner.heat_control import AGAIN_S, HeatControl, script_off
from agent.runner.runner_store import RunnerStore
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.driver import SlotDriver

S = PrinterState
HOT = (Heater("tool0", 210.0, 210.0), Heater("bed", 60.0, 60.0))
COLD = (Heater("tool0", 180.0, 0.0), Heater("bed", 55.0, 0.0))
SAID = "hot, nobody needs it: tool0 210 °C, bed 60 °C; switched off 60 s after the end of what ran"


def step(rig: RunnerRig, seconds: float = 0.0) -> str:
    """Let the time pass and take a step; what is said of the heat then."""
    rig.clock.advance(seconds)
    rig.runner.step()
    return rig.conditions[-1]


def printed(rig: RunnerRig, *, hot: bool = True) -> str:
    """A print that has ended just now, and left the heaters on."""
    task_id = rig.printing()
    rig.printer.now(heaters=HOT if hot else COLD)
    rig.runner.step()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    return task_id


def recorded(rig: RunnerRig) -> str:
    return rig.store.heat.task_id()


def test_what_a_print_leaves_on_is_switched_off_after_a_minute_and_said(rig: RunnerRig) -> None:
    task_id = printed(rig)
    assert recorded(rig) == task_id
    assert step(rig, 6) == SAID
    assert step(rig, 53) == SAID
    assert "cool" not in rig.printer.asked
    with capture_logs() as log:
        step(rig, 1)
        assert rig.printer.asked[-1] == "cool"
        rig.printer.now(heaters=COLD)
        assert step(rig, 1) == ""
    assert recorded(rig) == ""
    assert [(line["event"], line.get("task_id")) for line in log] == [
        ("heaters switched off", task_id),
        ("heaters reported off", None),
    ]


def test_a_print_that_leaves_nothing_on_is_not_followed_by_anything(rig: RunnerRig) -> None:
    printed(rig, hot=False)
    assert step(rig, 6) == ""
    assert recorded(rig) == ""
    step(rig, 3600)
    assert "cool" not in rig.printer.asked


def test_heaters_that_stay_on_are_switched_off_again_and_that_is_said(rig: RunnerRig) -> None:
    printed(rig)
    step(rig, 60)
    for _ in range(3):
        said = step(rig, AGAIN_S)
    assert rig.printer.asked.count("cool") == 4
    assert said.startswith("hot, nobody needs it, and it does not go off: tool0 210 °C, bed 60 °C")


def test_a_print_that_begins_in_time_keeps_the_heat(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store, "job.bed=free")
    printed(rig)
    step(rig, 30)
    rig.print("second", settings={})
    rig.woken.clear()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.printer.slot.state is S.PRINTING
    assert step(rig, 3600) == ""
    assert "cool" not in rig.printer.asked
    assert recorded(rig) == "second"


@pytest.mark.parametrize("after", [0, 5, 3600])
def test_how_long_heat_is_left_is_configured_and_0_means_at_once(tmp_path: Path, store: Store, after: int) -> None:
    rig = RunnerRig(tmp_path, store, f"job.cool_after_s={after}")
    printed(rig)
    if after:
        step(rig, after - 1)
        assert "cool" not in rig.printer.asked
        step(rig, 1)
    assert rig.printer.asked[-1] == "cool"


def test_what_a_person_sets_after_the_end_is_left_alone_and_said(rig: RunnerRig) -> None:
    printed(rig)
    step(rig, 30)
    rig.printer.now(heaters=(Heater("tool0", 210.0, 240.0), Heater("bed", 60.0, 60.0)))
    assert step(rig, 1) == ""
    assert recorded(rig) == ""
    said = step(rig, 60)
    assert said == (
        "hot, nothing runs: tool0 240 °C, bed 60 °C, set at the printer; `printer-agent cool` switches it off"
    )
    step(rig, 86400)
    assert "cool" not in rig.printer.asked


def test_heat_that_was_on_when_the_agent_came_is_said_and_left_alone(rig: RunnerRig) -> None:
    """It may be a print from the printer's own card."""
    rig.printer.now(heaters=HOT)
    step(rig)
    assert step(rig, 1) == ""
    assert step(rig, 60).startswith("hot, nothing runs: tool0 210 °C")
    assert rig.printer.asked == []


def test_an_agent_that_finds_the_record_switches_the_heaters_off_at_once(rig: RunnerRig, tmp_path: Path) -> None:
    printed(rig)
    rig.clock.advance(20)
    again = RunnerRig(tmp_path, rig.store)
    again.printer.now(state=S.OFFLINE)
    step(again)
    again.printer.now(state=S.IDLE, heaters=HOT)
    assert step(again, 1).endswith("switched off now")
    assert again.printer.asked == ["cool"]
    again.printer.now(heaters=COLD)
    assert step(again, 6) == ""
    assert recorded(again) == ""


@pytest.mark.parametrize("name", [Name.HOME, Name.PARK, Name.CALIBRATE])
@pytest.mark.parametrize("known", [True, False], ids=["reported hot", "not reported"])
def test_a_script_that_was_killed_is_as_unsafe_as_a_print(
    tmp_path: Path, store: Store, name: Name, known: bool
) -> None:
    rig = RunnerRig(tmp_path, store, 'scripts.calibrate=["M140 S60"]')
    rig.task(name)
    rig.runner.step()
    assert rig.printer.asked == ["script"]
    again = RunnerRig(tmp_path, store)  # the one before was killed
    again.printer.now(state=S.IDLE, heaters=HOT if known else ())
    again.runner.step()
    again.runner.step()
    assert again.printer.asked == ["cool"]
    assert again.state(f"t-{name}") is TaskState.FAILED


def test_a_script_of_an_agent_that_kept_no_record_is_unsafe_too(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    store.tasks.start(rig.task(Name.HOME))
    assert recorded(rig) == ""
    rig.printer.now(heaters=HOT)
    rig.runner.step()
    rig.runner.step()
    assert rig.printer.asked == ["cool"]


def test_a_disk_that_takes_no_record_refuses_the_script(tmp_path: Path, store: Store) -> None:
    """Nothing may heat that a next agent would not know of."""
    rig = RunnerRig(tmp_path, store)
    control = HeatControl(driver=rig.printer, store=RunnerStore(store), clock=rig.clock, say=lambda _: None)
    store.database.execute("PRAGMA query_only = 1")  # SQLite's own refusal, as on a card that went read-only
    with pytest.raises(UnavailableError):
        control.begin("t")
    store.database.execute("PRAGMA query_only = 0")


@pytest.mark.parametrize("state", [S.OFFLINE, S.ERROR])
def test_heat_of_a_printer_that_cannot_be_asked_is_switched_off_when_it_is_back(rig: RunnerRig, state: S) -> None:
    printed(rig)
    step(rig, 6)
    rig.printer.now(state=state)
    said = step(rig, 100)
    assert said == ("was hot when it was last heard of: tool0 210 °C, bed 60 °C" if state is S.OFFLINE else "")
    assert "cool" not in rig.printer.asked
    rig.printer.now(state=S.IDLE)
    step(rig, 1)
    assert rig.printer.asked[-1] == "cool"


def test_a_disk_that_takes_no_write_keeps_no_heater_on(rig: RunnerRig) -> None:
    task_id = printed(rig)
    rig.store.database.execute("PRAGMA query_only = 1")
    step(rig, 60)
    assert rig.printer.asked[-1] == "cool"
    rig.printer.now(heaters=COLD)
    step(rig, 1)
    assert recorded(rig) == task_id
    rig.store.database.execute("PRAGMA query_only = 0")
    step(rig, 1)
    assert recorded(rig) == ""


# --- cool, cancel, reset


@pytest.mark.parametrize(
    ("name", "job_id"), [(Name.COOL, ""), (Name.CANCEL, ""), (Name.CANCEL, "job")], ids=["cool", "cancel", "its job"]
)
def test_cool_and_cancel_switch_an_idle_hot_printer_off_and_complete_when_it_is(
    rig: RunnerRig, name: Name, job_id: str
) -> None:
    printed(rig)
    task_id = rig.task(name, job_id=job_id)
    step(rig, 10)
    assert rig.printer.asked[-1] == "cool"
    assert rig.state(task_id) is TaskState.RUNNING
    rig.printer.now(heaters=COLD)
    step(rig, 1)
    assert rig.end(task_id)["data"]["message"] == "the heaters are off"


@pytest.mark.parametrize("name", [Name.COOL, Name.CANCEL])
def test_heat_that_a_person_has_set_is_switched_off_by_command(rig: RunnerRig, name: Name) -> None:
    rig.printer.now(heaters=HOT)
    step(rig, 60)
    task_id = rig.task(name)
    step(rig)
    assert rig.printer.asked == ["cool"]
    rig.printer.now(heaters=COLD)
    step(rig)
    assert rig.state(task_id) is TaskState.COMPLETED


def test_a_cancel_that_has_nothing_to_do_is_refused(rig: RunnerRig) -> None:
    printed(rig, hot=False)
    task_id = rig.task(Name.CANCEL)
    step(rig, 10)
    assert rig.end(task_id)["error_code"] == 409


def test_a_cancel_of_another_job_switches_nothing_off(rig: RunnerRig) -> None:
    """It came late: what is hot now may be somebody else's."""
    printed(rig)
    task_id = rig.task(Name.CANCEL, job_id="another")
    step(rig, 10)
    assert rig.end(task_id)["error_code"] == 409
    assert "cool" not in rig.printer.asked


def test_cool_is_refused_while_something_runs(rig: RunnerRig) -> None:
    rig.printing()
    task_id = rig.task(Name.COOL)
    step(rig)
    assert rig.end(task_id)["error_message"] == "cool: the printer is printing; cancel ends that"


def test_cool_fails_when_the_heaters_stay_on(rig: RunnerRig) -> None:
    rig.printer.now(heaters=HOT)
    task_id = rig.task(Name.COOL)
    step(rig)
    for _ in range(3):
        step(rig, AGAIN_S)
    assert rig.printer.asked.count("cool") >= 3, "it goes on"
    assert rig.end(task_id)["error_message"] == "cool: the printer has not reported its heaters off"


def test_cool_of_a_printer_that_is_not_there_is_refused(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE, reason="unplugged")
    task_id = rig.task(Name.COOL)
    step(rig)
    assert rig.end(task_id)["error_code"] == 409


@pytest.mark.parametrize("reset_error", ["", "nothing was reset: the port has no reset line"])
def test_a_reset_cools_also_where_nothing_was_reset(rig: RunnerRig, reset_error: str) -> None:
    rig.printer.now(heaters=HOT)
    rig.runner.step()
    task_id = rig.task(Name.RESET)
    rig.runner.step()
    assert rig.printer.asked == ["reset"]
    rig.printer.now(state=S.IDLE, reset_error=reset_error)
    step(rig, 2)
    assert rig.printer.asked == ["reset", "cool"]
    assert rig.state(task_id) is (TaskState.FAILED if reset_error else TaskState.COMPLETED)


# --- a driver without `SupportsCooling`


class ScriptOnlyDriver(SlotDriver):
    """Takes scripts, and has no way of its own to cool."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[list[str]] = []

    def run_script(self, task_id: str, lines: object) -> None:
        """Note it; the test says what comes of it."""
        self.scripts.append(list(lines))  # type: ignore[call-overload]
        self.now(state=S.BUSY, task_id=task_id)


def test_a_driver_without_a_way_to_cool_is_asked_for_a_script(store: Store) -> None:
    driver, clock = ScriptOnlyDriver(), FakeClock()
    said: list[str] = []
    control = HeatControl(driver=driver, store=RunnerStore(store), clock=clock, say=said.append)
    control.begin("t")
    driver.now(heaters=HOT)
    control.step(driver.telemetry(), 60)
    clock.advance(60)
    control.step(driver.telemetry(), 60)
    assert driver.scripts == [["M104 S0", "?M140 S0", "?M141 S0", "?M107"]]
    control.step(driver.telemetry(), 60)
    driver.now(state=S.IDLE, task_id="")
    control.step(driver.telemetry(), 60)
    clock.advance(AGAIN_S)
    control.step(driver.telemetry(), 60)
    assert len(driver.scripts) == 2, "its own script is no operation that needs heat"
    driver.now(state=S.IDLE, task_id="", heaters=COLD)
    control.step(driver.telemetry(), 60)
    assert store.heat.task_id() == ""
    assert said[-1] == ""


def test_each_tool_that_is_known_is_switched_off() -> None:
    known = [Heater("tool0", 0.0), Heater("tool2", 0.0), Heater("bed", 0.0)]
    assert script_off(known)[:2] == ["M104 T0 S0", "M104 T2 S0"]

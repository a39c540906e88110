"""home, park and calibrate: progress, cancel, defaults; and a cancel's own end."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.command import Name
from agent.core.driver import Outcome, PrinterState, ScriptProgress
from agent.core.task import TaskState
from agent.gcode.default_scripts import DEFAULT_SCRIPTS
from agent.runner.cancel_activity import STOP_MAY_TAKE
from agent.runner.running_activities import WAITING_STOPS
from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig

S = PrinterState


def calibrating(folder: Path, store: Store) -> tuple[RunnerRig, str]:
    """A calibration under way."""
    rig = RunnerRig(folder, store, 'scripts.calibrate=["G28","G29"]')
    task_id = rig.task(Name.CALIBRATE)
    rig.runner.step()
    assert rig.printer.slot.task_id == task_id
    return rig, task_id


def test_the_progress_of_a_script_is_reported_with_what_the_firmware_says(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    seen = []
    for done, said in ((0, ""), (1, "Probing mesh point 1/4."), (1, "Probing mesh point 3/4."), (2, "")):
        rig.printer.now(script=ScriptProgress(done, 2, said))
        rig.clock.advance(2.0)
        rig.runner.step()
        report = rig.said(task_id)[-1]
        seen.append((report["progress"], report["data"].get("message")))
        assert report["data"]["ui_sub_state"] == report["data"]["message"]
    assert seen == [
        (0.0, "line 1 of 2"),
        (0.5, "line 2 of 2: Probing mesh point 1/4."),
        (0.75, "line 2 of 2: Probing mesh point 3/4."),
        (0.9999, "2 lines done, until it stands still"),
    ]
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.end(task_id)["data"]["state"] == "completed"


def test_progress_that_is_more_often_than_reports_progress_s_waits(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    rig.printer.now(script=ScriptProgress(0, 2))
    rig.runner.step()
    rig.printer.now(script=ScriptProgress(1, 2))
    rig.clock.advance(1.9)
    rig.runner.step()
    assert rig.said(task_id)[-1]["progress"] == 0
    rig.clock.advance(0.2)
    rig.runner.step()
    assert rig.said(task_id)[-1]["progress"] == 0.5


def test_a_driver_that_tells_no_progress_is_borne(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    rig.clock.advance(10.0)
    rig.runner.step()
    assert len(rig.said(task_id)) == 1  # the receipt


@pytest.mark.parametrize("dialect", DEFAULT_SCRIPTS)
@pytest.mark.parametrize("name", [Name.HOME, Name.PARK, Name.CALIBRATE])
def test_without_a_script_of_the_owners_it_is_the_dialects(
    tmp_path: Path, store: Store, name: Name, dialect: str
) -> None:
    rig = RunnerRig(tmp_path, store, "scripts.calibrate=[]")
    rig.runner.step()
    rig.printer.now(dialect=dialect)
    rig.task(name)
    rig.runner.step()
    assert tuple(rig.printer.script) == getattr(DEFAULT_SCRIPTS[dialect], str(name))


def test_the_owners_script_takes_the_place_of_the_dialects(tmp_path: Path, store: Store) -> None:
    rig, _ = calibrating(tmp_path, store)
    assert rig.printer.script == ["G28", "G29"]


def test_a_cancel_is_completed_when_the_script_has_stopped_and_the_script_says_that_it_was_canceled(
    tmp_path: Path, store: Store
) -> None:
    rig, task_id = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    assert rig.printer.asked[-1] == "cancel"
    rig.clock.advance(30.0)
    rig.runner.step()
    assert rig.state(cancel) is TaskState.RUNNING
    rig.printer.ends(Outcome.CANCELLED)
    rig.runner.step()
    end = rig.end(task_id)
    assert (end["error_code"], end["error_message"]) == (409, "calibrate: canceled")
    end = rig.end(cancel)
    assert (end["data"]["state"], end["data"]["message"]) == ("completed", "calibrate: canceled")


def test_a_cancel_that_comes_too_late_says_so(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.end(task_id)["data"]["state"] == "completed"
    end = rig.end(cancel)
    assert (end["error_code"], end["error_message"]) == (409, "cancel: calibrate had already ended")


def test_a_script_that_fails_while_it_is_canceled_keeps_its_reason(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.printer.ends(Outcome.FAILED, "the printer restarted")
    rig.runner.step()
    assert rig.end(task_id)["error_message"] == "the printer restarted"
    assert rig.end(cancel)["error_code"] == 409


def test_a_cancel_of_a_script_that_does_not_stop_ends_in_time(tmp_path: Path, store: Store) -> None:
    rig, _ = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.clock.advance(STOP_MAY_TAKE)
    rig.runner.step()
    assert rig.end(cancel)["error_message"] == "cancel: calibrate has not stopped in time"


def test_a_cancel_of_a_job_does_not_stop_a_script(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL, job_id="job")
    rig.runner.step()
    assert rig.end(cancel)["error_message"] == "cancel: no job is running"
    assert rig.state(task_id) is TaskState.RUNNING


def test_a_cancel_that_the_driver_refuses_is_refused(tmp_path: Path, store: Store) -> None:
    rig, _ = calibrating(tmp_path, store)
    rig.printer.refusing = True
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    assert rig.end(cancel)["error_message"] == "cancel: nothing runs yet"


def test_of_many_cancels_the_oldest_make_room(tmp_path: Path, store: Store) -> None:
    rig, _ = calibrating(tmp_path, store)
    cancels = [rig.task(Name.CANCEL, f"cancel{number}") for number in range(WAITING_STOPS + 2)]
    rig.runner.step()
    rig.runner.step()
    ends = [rig.said(cancel)[-1].get("error_message") for cancel in cancels]
    assert ends == ["cancel: newer commands took its place"] * 2 + [None] * WAITING_STOPS


def test_an_agent_that_stops_ends_the_cancel_too(tmp_path: Path, store: Store) -> None:
    rig, task_id = calibrating(tmp_path, store)
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.stop()
    assert rig.end(cancel)["error_message"] == "cancel: the agent was stopped"
    assert rig.end(task_id)["error_message"] == "calibrate: the agent was stopped"


def test_a_dismiss_takes_the_job_out_of_the_heartbeat(rig: RunnerRig) -> None:
    rig.printing()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.board.read().body().job_id == "job"
    rig.task(Name.DISMISS)
    rig.runner.step()
    rig.runner.step()
    assert "job_id" not in rig.heartbeat()
    assert "job_id" not in rig.heartbeat()["data"]


@pytest.mark.parametrize("name", [Name.HOME, Name.CALIBRATE])
def test_a_cancel_that_is_heard_in_the_same_step_does_not_overtake_the_script(
    tmp_path: Path, store: Store, name: Name
) -> None:
    rig = RunnerRig(tmp_path, store, "scripts.calibrate=[]")
    rig.runner.step()
    script, cancel = rig.task(name), rig.task(Name.CANCEL)
    rig.runner.step()
    assert rig.printer.asked == ["script", "cancel"]
    rig.printer.ends(Outcome.CANCELLED)
    rig.runner.step()
    assert rig.end(script)["error_message"] == f"{name}: canceled"
    assert rig.end(cancel)["data"]["state"] == "completed"


def test_a_cancel_that_is_heard_in_the_same_step_does_not_overtake_the_print(rig: RunnerRig) -> None:
    rig.runner.step()
    task_id, cancel = rig.print(), rig.task(Name.CANCEL, job_id="job")
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.end(task_id)["job_status"] == "canceled"
    assert rig.end(cancel)["data"]["state"] == "completed"
    assert "print" not in rig.printer.asked

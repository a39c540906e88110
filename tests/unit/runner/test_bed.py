"""The bed between two prints: who waits for whom, what confirms it, and for how long a start waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.bed import BedState
from agent.core.command import Command, Name
from agent.core.conditions import Part
from agent.core.driver import Outcome, PrinterState
from agent.core.printer_status import WAITS_FOR_BED
from agent.core.task import TaskState
from agent.errors import NotReadyError
from agent.service.condition_tracker import ConditionTracker
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.store import open_store

S = PrinterState


def fetched(rig: RunnerRig, task_id: str = "q", **more: Any) -> str:
    """A second print, its file looked at."""
    rig.woken.clear()
    rig.print(task_id, **more)
    rig.runner.step()
    if rig.state(task_id) is TaskState.RUNNING:
        assert rig.woken.wait(5)
        rig.runner.step()
    return task_id


@pytest.fixture
def rig(tmp_path: Path, store: Store, clock: FakeClock) -> RunnerRig:
    """A runner whose store has the same clock."""
    return RunnerRig(tmp_path, store, "job.bed=ask", clock=clock)


@pytest.fixture
def used(rig: RunnerRig) -> RunnerRig:
    """A rig whose last print has ended."""
    rig.printing()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    rig.clock.advance(5.0)
    return rig


def test_a_start_waits_until_somebody_says_that_the_bed_is_clear(used: RunnerRig) -> None:
    task_id = fetched(used)
    assert used.printer.asked.count("print") == 1
    told = used.said(task_id)[-1]
    assert (told["job_status"], told["data"]["ui_sub_state"], told["data"]["bed"]) == (
        "received",
        WAITS_FOR_BED,
        "not_confirmed",
    )
    beat = used.board.read().body()
    assert (beat.printer_status, beat.data.ui_sub_state, beat.data.bed) == ("busy", WAITS_FOR_BED, "not_confirmed")
    used.store.bed.confirm()
    used.runner.step()
    assert used.printer.asked.count("print") == 2
    assert used.said(task_id)[-1]["job_status"] == "printing"


def test_a_print_takes_the_bed_before_the_driver_has_it(rig: RunnerRig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[BedState] = []
    start = rig.printer.start_print

    def look(*arguments: object) -> None:
        seen.append(rig.store.bed.read().state)
        start(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.printer, "start_print", look)
    rig.printing()
    assert seen == [BedState.PRINTING]


@pytest.mark.parametrize("outcome", Outcome)
def test_however_a_print_ends_the_bed_is_not_clear(rig: RunnerRig, outcome: Outcome) -> None:
    rig.printing()
    rig.printer.ends(outcome, "why")
    rig.runner.step()
    assert rig.board.read().bed == "not_confirmed"
    fetched(rig)
    assert rig.printer.asked.count("print") == 1


def test_a_start_that_the_printer_did_not_take_leaves_the_bed_clear(rig: RunnerRig) -> None:
    def refuse(*_: object) -> None:
        raise NotReadyError("not now")

    rig.printer.start_print = refuse  # type: ignore[method-assign,assignment]
    task_id = fetched(rig)
    assert rig.end(task_id)["error_code"] == 409
    assert rig.store.bed.read().state is BedState.CLEAR


def test_a_dismiss_confirms_the_bed_and_a_second_one_does_no_more(used: RunnerRig) -> None:
    task_id = fetched(used)
    dismiss = used.task(Name.DISMISS, job_id="job")
    used.runner.step()
    assert used.end(dismiss)["data"]["state"] == "completed"
    used.runner.step()
    assert used.said(task_id)[-1]["job_status"] == "printing"
    again = used.task(Name.DISMISS, "again", job_id="job")
    used.runner.step()
    assert used.end(again)["error_message"] == "dismiss: a job is running"
    used.printer.ends(Outcome.COMPLETED)
    used.runner.step()
    assert not used.store.tasks.accept(_command(used, dismiss), b"{}"), "heard again"
    used.runner.step()
    assert used.store.bed.read().state is BedState.NOT_CONFIRMED


def test_a_dismiss_of_another_job_does_not_confirm_the_bed(used: RunnerRig) -> None:
    dismiss = used.task(Name.DISMISS, job_id="an older one")
    used.runner.step()
    assert used.end(dismiss)["error_code"] == 409
    assert "an older one is not the one that was printed last (job job)" in used.end(dismiss)["error_message"]
    assert used.store.bed.read().state is BedState.NOT_CONFIRMED


def test_a_dismiss_that_was_sent_before_the_print_had_ended_does_not_confirm_the_bed(used: RunnerRig) -> None:
    late = used.task(Name.DISMISS, "late", sent_at=1.0, age_on_receipt=6.0)
    used.runner.step()
    assert "it was sent before the last print had ended" in used.end(late)["error_message"]
    in_time = used.task(Name.DISMISS, "in time", sent_at=1.0, age_on_receipt=3.0)
    used.runner.step()
    assert used.end(in_time)["data"]["state"] == "completed"
    assert used.store.bed.read().state is BedState.CLEAR


def test_where_the_bed_is_not_waited_for_a_start_is_refused_with_what_to_do(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printing()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    end = rig.end(fetched(rig))
    assert (end["error_code"], end["job_status"]) == (409, "failed")
    assert "printer-agent ready" in end["error_message"]
    rig.store.bed.confirm()
    fetched(rig, "r")
    assert rig.printer.asked.count("print") == 2


def test_a_printer_that_ejects_is_not_asked(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store, "job.bed=free")
    rig.printing()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    fetched(rig)
    assert rig.printer.asked.count("print") == 2
    assert "bed" not in rig.said("q")[-1]["data"]
    assert rig.board.read().bed == ""


def test_a_waiting_start_can_be_cancelled_and_not_paused(used: RunnerRig) -> None:
    task_id = fetched(used)
    pause = used.task(Name.PAUSE)
    used.runner.step()
    assert used.end(pause)["error_message"] == f"pause: the job has not begun to print; it {WAITS_FOR_BED}"
    cancel = used.task(Name.CANCEL, job_id="job")
    used.runner.step()
    used.runner.step()
    assert used.end(cancel)["data"]["state"] == "completed"
    assert used.end(task_id)["job_status"] == "canceled"
    assert used.store.bed.read().state is BedState.NOT_CONFIRMED
    assert used.printer.asked == ["print"]


def test_a_start_waits_no_longer_than_it_may(used: RunnerRig) -> None:
    task_id = fetched(used)
    used.clock.advance(599.0)
    used.runner.step()
    assert used.state(task_id) is TaskState.RUNNING
    used.clock.advance(2.0)
    used.store.bed.confirm()
    used.runner.step()
    end = used.end(task_id)
    assert (end["error_code"], end["job_status"]) == (410, "failed")
    assert "not begun within 600 s" in end["error_message"]
    assert "the bed to be confirmed clear" in end["error_message"]
    assert used.printer.asked == ["print"]


def test_what_a_start_was_old_already_counts(used: RunnerRig) -> None:
    task_id = fetched(used, age_on_receipt=590.0)
    used.clock.advance(11.0)
    used.runner.step()
    assert used.end(task_id)["error_code"] == 410


def test_a_start_that_came_while_the_agent_was_off_for_hours_is_refused(rig: RunnerRig) -> None:
    task_id, home = rig.print(), rig.task(Name.HOME)
    rig.clock.advance(3 * 3600.0)
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 410
    assert "3.0 hours ago ([job] start_within_s)" in rig.end(task_id)["error_message"]
    assert rig.state(home) is TaskState.RUNNING


@pytest.mark.parametrize("begun", [False, True])
def test_after_a_power_cut_no_print_begins_by_itself_whatever_the_clock_says(tmp_path: Path, begun: bool) -> None:
    store = open_store(tmp_path / "agent.db", FakeClock(), boot="before")
    rig = RunnerRig(tmp_path, store, "job.bed=ask")
    task_id = rig.print()
    if begun:
        rig.printer.now(state=S.OFFLINE)
        rig.runner.step()
    store.close()
    again = open_store(tmp_path / "agent.db", FakeClock(), boot="after")
    rig = RunnerRig(tmp_path, again, "job.bed=ask")
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 410
    assert "started anew" in rig.end(task_id)["error_message"]
    assert rig.printer.asked == []
    again.close()


def test_a_waiting_start_waits_on_with_the_next_agent(used: RunnerRig, tmp_path: Path) -> None:
    task_id = fetched(used)
    used.stop(hand_over=True)
    rig = RunnerRig(tmp_path, used.store, "job.bed=ask")
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.board.read().body().data.ui_sub_state == WAITS_FOR_BED
    assert rig.printer.asked == []
    rig.store.bed.confirm()
    rig.runner.step()
    assert rig.printer.asked == ["print"]
    assert rig.said(task_id)[-1]["job_status"] == "printing"


def test_the_condition_is_raised_while_a_print_waits_and_not_before(used: RunnerRig) -> None:
    watch = ConditionTracker()
    watch.update_bed(used.board.read().busy)
    assert watch.read().first() == ""
    fetched(used)
    watch.update_bed(used.board.read().busy)
    assert "printer-agent ready" in watch.read().reasons[Part.BED]
    used.store.bed.confirm()
    used.runner.step()
    watch.update_bed(used.board.read().busy)
    assert watch.read().first() == ""


def _command(rig: RunnerRig, task_id: str) -> Command:
    task = rig.store.tasks.get(task_id)
    assert task is not None
    return task.command

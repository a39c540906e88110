"""What becomes of a print, and of what was asked of it, when its agent ends and another one starts."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from agent.core.command import Command, Name
from agent.core.driver import Outcome, PrinterState, Telemetry, Unfinished
from agent.core.job import JobState
from agent.core.task import TaskState
from agent.errors import UnavailableError
from agent.files.job_file import JobFile
from agent.gcode import Scanner
from agent.runner.print_recovery import ANSWER_MAY_TAKE
from agent.service.condition_tracker import ConditionTracker
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import FILE, RunnerRig
from tests.support.store import open_store

S = PrinterState


def killed(rig: RunnerRig, line: int = 3, state: PrinterState = S.PRINTING) -> tuple[RunnerRig, str]:
    """A print was at `line` when its agent was killed; the next agent, which has not looked at anything yet."""
    task_id = rig.printing()
    rig.store.checkpoints.remember(task_id, b"memory")
    rig.printer.now(line=line, state=state)
    rig.clock.advance(10)
    rig.runner.step()
    return RunnerRig(rig.jobs.parent, rig.store), task_id


def taken(rig: RunnerRig) -> Unfinished:
    """The driver's part of the take-over has begun."""
    rig.runner.step()
    assert rig.woken.wait(5)  # the file was looked at
    rig.runner.step()
    assert rig.printer.unfinished is not None
    return rig.printer.unfinished


def test_a_print_is_handed_to_the_driver_as_it_was(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    assert again.printer.opened == 0
    found = taken(again)
    assert (found.task_id, found.memory, found.line, found.preamble) == (
        task_id,
        b"memory",
        3,
        ("M220 S100", "M221 S100"),
    )
    assert list(found.source.lines(4)) == [b"G1 X3 E2"]
    assert found.settings_before(5) == [b"G28"]
    assert again.printer.opened == 1
    assert "print" not in again.printer.asked


def test_while_it_is_taken_over_everybody_is_told_so(rig: RunnerRig) -> None:
    again, _ = killed(rig)
    taken(again)
    body = msgspec.to_builtins(again.board.read().body())
    assert (body["printer_status"], body["job_status"]) == ("busy", "printing")
    assert body["data"]["ui_sub_state"] == "taking over the print"
    assert body["data"]["line"] == 3
    again.printer.now(state=S.PRINTING, reason="")
    again.runner.step()
    assert msgspec.to_builtins(again.board.read().body())["printer_status"] == "printing"


def test_a_print_that_is_taken_over_is_nothing_that_is_wrong() -> None:
    watch = ConditionTracker()
    watch.update_printer(Telemetry(state=S.RECOVERING, reason="asking the printer", task_id="p"))
    assert watch.read().first() == ""
    watch.update_printer(Telemetry(state=S.OFFLINE, reason="no serial port found"))
    assert watch.read().first() == "printer: no serial port found"


def test_the_same_task_goes_on_and_ends_once_and_its_progress_never_goes_back(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    before = again.said(task_id)[-1]["progress"]
    taken(again)
    again.printer.now(state=S.PRINTING, line=3)
    again.runner.step()
    again.printer.now(line=4)
    again.clock.advance(10)
    again.runner.step()
    assert again.said(task_id)[-1]["progress"] > before > 0
    again.printer.ends(Outcome.COMPLETED)
    again.runner.step()
    assert again.end(task_id)["job_status"] == "completed"
    assert len(again.said(task_id)) == 3  # one receipt, one milestone, one end
    assert again.store.checkpoints.get(task_id) is None
    assert not list(again.jobs.iterdir())


def test_a_driver_that_begins_further_back_takes_no_progress_away(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    taken(again)
    again.printer.now(state=S.PRINTING, line=1)
    again.clock.advance(10)
    again.runner.step()
    assert again.said(task_id)[-1]["data"]["line"] == 3


def test_a_paused_print_stays_paused(rig: RunnerRig) -> None:
    again, task_id = killed(rig, state=S.PAUSED)
    taken(again)
    assert again.board.read().job is not None
    again.printer.now(state=S.PAUSED)
    again.runner.step()
    job = again.board.read().job
    assert job is not None
    assert (job.state, job.line) == (JobState.PAUSED, 3)
    assert again.said(task_id)[-1]["job_status"] == "paused"


def test_a_print_that_the_driver_cannot_go_on_with_fails_with_its_layer_and_line(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    taken(again)
    again.printer.ends(Outcome.FAILED, "the board was reset")
    again.runner.step()
    end = again.end(task_id)
    assert (end["job_status"], end["error_message"]) == ("failed", "the board was reset at layer 1, line 3")


@pytest.mark.parametrize("how", ["changed", "gone", "longer"])
def test_a_file_that_is_another_one_ends_the_print_after_the_driver_has_made_the_printer_safe(
    rig: RunnerRig, how: str
) -> None:
    again, task_id = killed(rig)
    file = JobFile(again.jobs, task_id)
    if how == "gone":
        file.path.unlink()
    else:
        file.path.write_bytes(FILE.replace(b"X1", b"X9") + (b"G1\n" if how == "longer" else b""))
        os.utime(file.path, ns=(1, 1))
    found = taken(again)
    with pytest.raises(OSError, match="being printed"):
        next(iter(found.source.lines(4)))
    with pytest.raises(OSError, match="being printed"):
        found.settings_before(4)
    assert again.state(task_id) is TaskState.RUNNING  # until the driver has said so
    again.printer.ends(Outcome.FAILED, "line 4: the file cannot be read any more")
    again.runner.step()
    end = again.end(task_id)
    assert end["job_status"] == "failed"
    assert end["error_message"].startswith("the file that was being printed is")
    assert end["error_message"].endswith("at layer 1, line 3")


def test_the_same_file_at_another_place_of_the_disk_is_known_by_its_content(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    path = JobFile(again.jobs, task_id).path
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    assert list(taken(again).source.lines(4)) == [b"G1 X3 E2"]


def test_an_index_of_before_is_made_again(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    file = JobFile(again.jobs, task_id)
    file.index_path.write_bytes(file.index_path.read_bytes().replace(b'"format":2', b'"format":1'))
    assert taken(again).settings_before(5) == [b"G28"]
    assert file.load_index().sha256


@pytest.mark.parametrize(("name", "state"), [(Name.PAUSE, S.PAUSED), (Name.RESUME, S.PRINTING)])
def test_what_comes_while_it_is_taken_over_waits_for_it(rig: RunnerRig, name: Name, state: PrinterState) -> None:
    again, _ = killed(rig)
    taken(again)
    step = again.task(name)
    again.runner.step()
    assert again.state(step) is TaskState.RUNNING
    again.printer.now(state=S.PRINTING if name is Name.PAUSE else S.PAUSED)
    again.runner.step()
    assert again.printer.slot.state is (S.PAUSING if name is Name.PAUSE else S.RESUMING)
    again.printer.now(state=state)
    again.runner.step()
    assert again.end(step)["data"]["state"] == "completed"


def test_a_cancel_while_it_is_taken_over_ends_the_print(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    taken(again)
    again.printer.refusing = True
    cancel = again.task(Name.CANCEL)
    again.runner.step()
    assert "cancel" not in again.printer.asked
    again.printer.refusing = False
    again.printer.now(state=S.PRINTING)
    again.runner.step()
    assert again.printer.asked.count("cancel") == 1
    again.printer.ends(Outcome.CANCELLED)
    again.runner.step()
    assert again.end(task_id)["job_status"] == "canceled"
    assert again.end(cancel)["data"]["state"] == "completed"


def test_a_cancel_that_was_under_way_is_asked_for_again(rig: RunnerRig) -> None:
    rig.printing()
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    again = RunnerRig(rig.jobs.parent, rig.store)
    taken(again)
    again.printer.now(state=S.PRINTING)
    again.runner.step()
    assert "cancel" in again.printer.asked
    again.printer.ends(Outcome.CANCELLED)
    again.runner.step()
    assert again.end(cancel)["data"]["state"] == "completed"


@pytest.mark.parametrize("found", [S.PAUSED, S.PRINTING])
def test_a_pause_that_was_under_way_is_done_when_the_printer_has_paused(rig: RunnerRig, found: PrinterState) -> None:
    rig.printing()
    pause = rig.task(Name.PAUSE)
    rig.runner.step()
    again = RunnerRig(rig.jobs.parent, rig.store)
    taken(again)
    again.printer.now(state=found)
    again.runner.step()
    if found is S.PRINTING:  # the pause had not reached it: it does now
        assert again.printer.slot.state is S.PAUSING
        again.printer.now(state=S.PAUSED)
    again.runner.step()
    end = again.end(pause)
    assert (end["data"]["state"], end["job_status"]) == ("completed", "paused")


def test_a_step_of_a_print_that_cannot_go_on_fails(rig: RunnerRig) -> None:
    rig.printing()
    pause = rig.task(Name.PAUSE)
    rig.runner.step()
    again = RunnerRig(rig.jobs.parent, rig.store)
    taken(again)
    again.printer.ends(Outcome.FAILED, "the board was reset")
    again.runner.step()
    assert "ended first" in again.end(pause)["error_message"]


def test_another_print_is_refused_and_a_reset_is_not_while_one_is_taken_over(rig: RunnerRig) -> None:
    again, _ = killed(rig)
    taken(again)
    second = again.print("second")
    again.runner.step()
    assert again.end(second)["error_code"] == 409


def test_a_driver_that_says_nothing_does_not_keep_the_print_for_ever(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    taken(again)
    again.clock.advance(ANSWER_MAY_TAKE + 1)
    again.runner.step()
    assert again.end(task_id)["job_status"] == "failed"


def test_a_print_whose_file_was_still_to_come_begins_anew(rig: RunnerRig) -> None:
    """Killed between the file and the first line: nothing has moved."""
    rig.printer.now(state=S.OFFLINE)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.said(task_id)[-1]["job_status"] == "received"
    again = RunnerRig(rig.jobs.parent, rig.store)
    again.runner.step()
    assert again.printer.unfinished is None
    assert again.printer.opened == 1
    assert again.woken.wait(5)
    again.runner.step()
    assert again.printer.asked == ["print"]
    assert [body.get("job_status") for body in again.said(task_id)][1:] == ["received", "printing"]


def test_one_that_would_begin_anew_after_too_long_a_time_is_refused(tmp_path: Path, store: Store) -> None:
    store.close()
    first = open_store(tmp_path / "agent.db", FakeClock(), boot="one")
    rig = RunnerRig(tmp_path, first)
    rig.printer.now(state=S.OFFLINE)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    first.close()
    clock = FakeClock()
    clock.epoch += 86401
    again = RunnerRig(tmp_path, open_store(tmp_path / "agent.db", clock, boot="two"))
    again.runner.step()
    assert again.end(task_id)["error_code"] == 410
    assert not list(again.jobs.iterdir())
    again.store.close()


def test_a_hand_over_leaves_the_print_and_what_was_asked_of_it_and_ends_all_else(rig: RunnerRig) -> None:
    task_id = rig.printing()
    pause = rig.task(Name.PAUSE)
    settings = rig.task(Name.SETTINGS, settings={"speed_percent": 90})
    rig.runner.step()
    rig.printer.now(line=2)
    rig.stop(hand_over=True)
    assert rig.printer.asked[-1] == "hand over"
    assert [rig.state(one) for one in (task_id, pause)] == [TaskState.RUNNING] * 2
    assert rig.state(settings) is TaskState.COMPLETED
    found = rig.store.checkpoints.get(task_id)
    assert found is not None
    assert found.job.line == 2


def test_a_hand_over_ends_a_script(rig: RunnerRig) -> None:
    task_id = rig.task(Name.HOME)
    rig.runner.step()
    rig.stop(hand_over=True)
    assert rig.state(task_id) is TaskState.FAILED


def test_a_defect_of_the_runner_hands_the_print_over(rig: RunnerRig, monkeypatch: pytest.MonkeyPatch) -> None:

    task_id = rig.printing()
    monkeypatch.setattr(rig.runner, "step", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rig.runner.run(threading.Event())
    assert rig.printer.asked[-1] == "hand over"
    assert rig.state(task_id) is TaskState.RUNNING


def test_a_stop_before_the_driver_has_the_print_has_it_make_the_printer_safe(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    again.runner.recover()
    again.stop()
    assert again.printer.asked == ["close"]
    found = again.printer.unfinished
    assert found is not None
    with pytest.raises(OSError, match="the agent was stopped"):
        next(iter(found.source.lines()))
    assert again.end(task_id)["job_status"] == "failed"


def test_a_print_does_not_begin_while_its_beginning_cannot_be_written_down(rig: RunnerRig) -> None:
    """Nobody could tell it from one that has not begun, and print it twice."""
    rig.printer.now(state=S.OFFLINE)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.printer.now(state=S.IDLE)
    real = rig.store.checkpoints.begin

    def full(*_: object) -> None:
        raise UnavailableError("the state folder does not take a write")

    rig.store.checkpoints.begin = full  # type: ignore[method-assign,assignment]
    rig.runner.step()
    assert rig.printer.asked == []
    rig.store.checkpoints.begin = real  # type: ignore[method-assign]
    rig.runner.step()
    assert rig.printer.asked == ["print"]
    assert rig.state(task_id) is TaskState.RUNNING


def test_what_an_agent_without_checkpoints_left_is_not_begun_anew(tmp_path: Path, store: Store) -> None:
    """See the last step of agent.state.schema."""
    store.tasks.accept(Command(task_id="old", name=Name.PRINT_DATA, raw_name="print_data", job_id="job"), b"{}")
    store.tasks.start("old")
    with store.database.transaction():
        store.database.execute(
            "INSERT INTO checkpoints (task_id, job, file, preamble, updated_at)"
            """ VALUES ('old', '{"job_id":"","task_id":"old","state":"printing"}', '{}', '[]', 0)"""
        )
    rig = RunnerRig(tmp_path, store)
    scanner = Scanner()
    scanner.feed(FILE)
    file = JobFile(rig.jobs, "old")
    file.path.write_bytes(FILE)
    file.save_index(scanner.finish())
    with pytest.raises(OSError, match="kept nothing to go on with"):
        next(iter(taken(rig).source.lines()))
    rig.printer.ends(Outcome.FAILED, "x")
    rig.runner.step()
    assert rig.end("old")["job_id"] == "job"


def test_each_log_line_of_a_recovery_names_its_task_and_its_job(rig: RunnerRig) -> None:
    again, task_id = killed(rig)
    with capture_logs() as lines:
        taken(again)
        again.printer.now(state=S.PRINTING)
        again.runner.step()
        again.stop(hand_over=True)
    assert [line["event"] for line in lines] == [
        "print recovery started",
        "print recovery completed",
        "print handed over",
    ]
    assert {(line["task_id"], line["job_id"]) for line in lines} == {(task_id, "job")}

"""The runner, with a driver in the test's hands: what becomes of tasks at the edges that printers seldom show."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.core.command import Name
from agent.core.driver import Outcome, PrinterState
from agent.core.task import TaskState
from agent.errors import UnavailableError
from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.store import open_store

S = PrinterState


def test_a_print_tells_its_file_its_start_its_way_and_its_end(desk: RunnerRig) -> None:
    task_id = desk.printing()
    desk.printer.now(line=3)
    desk.clock.advance(10)
    desk.runner.step()
    assert [body.get("job_status") for body in desk.said(task_id)][1:] == ["received", "printing"]
    way = desk.said(task_id)[-1]
    assert (way["data"]["line"], way["data"]["layer"], way["data"]["total_layers"]) == (3, 1, 1)
    assert 0 < way["progress"] < 1
    desk.printer.ends(Outcome.COMPLETED)
    desk.runner.step()
    end = desk.end(task_id)
    assert (end["job_status"], end["job_progress"], end["data"]["line"]) == ("completed", 1.0, 4)
    assert not list(desk.jobs.iterdir())
    desk.runner.step()
    assert len(desk.said(task_id)) == 3  # receipt, milestone, terminal: nothing more


def test_progress_is_told_no_more_often_than_configured(desk: RunnerRig) -> None:
    task_id = desk.printing()
    for line in (1, 2):
        desk.printer.now(line=line)
        desk.runner.step()
    assert desk.said(task_id)[-1]["data"]["line"] == 0
    desk.clock.advance(2.0)
    desk.runner.step()
    assert desk.said(task_id)[-1]["data"]["line"] == 2


def test_the_printer_may_pause_by_itself_and_the_cloud_is_told_why(desk: RunnerRig) -> None:
    task_id = desk.printing()
    desk.printer.now(state=S.PAUSED, reason="the file asks for a pause (M0)")
    desk.runner.step()
    told = desk.said(task_id)[-1]
    assert told["job_status"] == "paused"
    assert "M0" in told["data"]["ui_sub_state"]
    desk.printer.now(state=S.PRINTING, reason="")
    desk.runner.step()
    assert desk.said(task_id)[-1]["job_status"] == "printing"


def test_a_pause_is_done_when_the_printer_has_paused_and_not_before(desk: RunnerRig) -> None:
    desk.printing()
    pause = desk.task(Name.PAUSE)
    desk.runner.step()
    assert len(desk.said(pause)) == 1
    desk.printer.now(state=S.PAUSED)
    desk.runner.step()
    assert desk.end(pause)["job_status"] == "paused"


def test_a_pause_that_the_end_of_the_job_overtakes_has_failed(desk: RunnerRig) -> None:
    desk.printing()
    pause = desk.task(Name.PAUSE)
    desk.runner.step()
    desk.printer.ends(Outcome.COMPLETED)
    desk.runner.step()
    assert "ended first" in desk.end(pause)["error_message"]


def test_a_cancel_ends_the_job_canceled_and_without_an_error(desk: RunnerRig) -> None:
    task_id = desk.printing()
    cancel = desk.task(Name.CANCEL, job_id="job")
    desk.runner.step()
    assert desk.printer.asked[-1] == "cancel"
    desk.printer.ends(Outcome.CANCELLED)
    desk.runner.step()
    assert desk.end(task_id)["job_status"] == "canceled"
    assert "error_code" not in desk.end(task_id)
    assert desk.end(cancel)["data"]["state"] == "completed"


def test_a_failed_print_says_what_the_driver_says_and_where(desk: RunnerRig) -> None:
    task_id = desk.printing()
    desk.printer.now(line=3)  # since the last look
    desk.printer.ends(Outcome.FAILED, "the printer was reset")
    desk.runner.step()
    end = desk.end(task_id)
    assert (end["job_status"], end["error_code"]) == ("failed", 500)
    assert end["error_message"] == "the printer was reset at layer 1, line 3"


def test_a_reset_is_completed_when_the_printer_is_idle_again_and_has_begun_anew(desk: RunnerRig) -> None:
    reset = desk.task(Name.RESET)
    desk.runner.step()
    assert desk.printer.asked == ["reset"]
    assert desk.state(reset) is not TaskState.COMPLETED
    desk.printer.now(state=S.IDLE, reason="")
    desk.runner.step()
    assert desk.end(reset)["data"]["state"] == "completed"


def test_a_reset_that_reset_nothing_fails_and_says_what_was_not_possible(desk: RunnerRig) -> None:
    reset = desk.task(Name.RESET)
    desk.runner.step()
    desk.printer.now(state=S.IDLE, reason="", reset_error="nothing was reset: the port has no reset line")
    desk.runner.step()
    end = desk.end(reset)
    assert (end["data"]["state"], end["error_code"]) == ("failed", 500)
    assert end["error_message"] == "reset: nothing was reset: the port has no reset line"


def test_a_reset_that_ends_in_an_error_fails_with_its_text(desk: RunnerRig) -> None:
    reset = desk.task(Name.RESET)
    desk.runner.step()
    desk.printer.now(state=S.OFFLINE, reason="Klipper is starting")
    desk.runner.step()
    assert desk.state(reset) is not TaskState.FAILED
    desk.printer.now(state=S.ERROR, reason="Option 'pin' in section 'fan' must be specified")
    desk.runner.step()
    assert desk.end(reset)["error_message"] == "reset: Option 'pin' in section 'fan' must be specified"


def test_a_printer_that_is_just_saying_hello_gets_time_and_one_that_is_gone_does_not(desk: RunnerRig) -> None:
    desk.printer.now(state=S.OFFLINE, reason="looking for the printer")
    task_id = desk.print()
    desk.runner.step()
    assert desk.woken.wait(5)
    desk.runner.step()
    assert desk.said(task_id)[-1]["job_status"] == "received"
    desk.clock.advance(31)
    desk.runner.step()
    end = desk.end(task_id)
    assert (end["job_status"], end["error_code"]) == ("failed", 503)
    assert "looking for the printer" in end["error_message"]


def test_a_job_may_be_cancelled_while_it_waits_for_the_printer(desk: RunnerRig) -> None:
    desk.printer.now(state=S.OFFLINE)
    task_id = desk.print()
    desk.runner.step()
    assert desk.woken.wait(5)
    desk.runner.step()
    cancel = desk.task(Name.CANCEL)
    desk.runner.step()
    desk.runner.step()
    assert desk.end(task_id)["job_status"] == "canceled"
    assert desk.end(cancel)["data"]["state"] == "completed"
    assert "print" not in desk.printer.asked


def test_a_halted_printer_takes_no_print(desk: RunnerRig) -> None:
    desk.printer.now(state=S.ERROR, reason="Printer halted")
    task_id = desk.print()
    desk.runner.step()
    assert "Printer halted" in desk.end(task_id)["error_message"]
    dismiss = desk.task(Name.DISMISS)
    desk.runner.step()
    assert "send reset" in desk.end(dismiss)["error_message"]


def test_a_script_that_is_not_configured_is_said_to_be_missing(desk: RunnerRig) -> None:
    task_id = desk.task(Name.CALIBRATE)
    desk.runner.step()
    assert desk.end(task_id)["error_code"] == 501
    assert "[scripts] calibrate" in desk.end(task_id)["error_message"]


def test_a_cancel_also_stops_a_script(desk: RunnerRig) -> None:
    home = desk.task(Name.HOME)
    desk.runner.step()
    cancel = desk.task(Name.CANCEL)
    desk.runner.step()
    desk.printer.ends(Outcome.CANCELLED)
    desk.runner.step()
    assert desk.end(cancel)["data"]["state"] == "completed"
    assert desk.end(home)["data"]["state"] == "failed"


def test_the_settings_of_printer_and_job_go_before_the_file(desk: RunnerRig) -> None:
    desk.store.settings.update({"speed_percent": 120, "flow_percent": 90})
    desk.print(settings={"speed_percent": 150})
    desk.runner.step()
    assert desk.woken.wait(5)
    desk.runner.step()
    assert desk.printer.preamble == ["M220 S150", "M221 S90"]


def test_tasks_that_a_dead_agent_left_get_an_honest_end_and_its_files_go(desk: RunnerRig) -> None:
    running = desk.task(Name.HOME)
    desk.runner.step()
    waiting = desk.task(Name.PARK)
    (desk.jobs / "stranger.gcode.part").write_bytes(b"x")
    again = RunnerRig(desk.jobs.parent, desk.store)
    again.runner.recover()
    end = again.end(running)
    assert (end["error_code"], end["data"]["state"]) == (500, "failed")
    assert not list(again.jobs.iterdir())
    again.runner.step()
    assert again.printer.asked == ["script"]  # what was only written down is done now
    assert again.store.tasks.get(waiting) is not None
    assert again.printer.opened == 1


@pytest.mark.parametrize("table", ["tasks", "checkpoints"])
def test_a_ledger_that_cannot_be_read_at_the_start_is_read_with_the_next_step(desk: RunnerRig, table: str) -> None:
    if table == "checkpoints":
        desk.task(Name.PRINT_DATA)
        desk.store.tasks.start("t-print_data")
    desk.store.database.execute(f"ALTER TABLE {table} RENAME TO hidden")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="does not give a row"):
            desk.runner.step()
    assert desk.printer.opened == 0
    desk.store.database.execute(f"ALTER TABLE hidden RENAME TO {table}")
    for _ in range(3):
        desk.runner.step()
    assert desk.printer.opened == 1


def test_a_stop_ends_what_runs_and_closes_the_driver(desk: RunnerRig) -> None:
    task_id = desk.printing()
    desk.stop()
    assert desk.end(task_id)["error_message"].startswith("the agent was stopped")
    assert desk.printer.asked[-1] == "close"


def test_an_end_that_the_disk_does_not_take_is_written_as_soon_as_it_does(desk: RunnerRig) -> None:
    task_id = desk.printing()
    desk.store.database.execute("PRAGMA query_only = 1")  # SQLite's own refusal, as on a card that went read-only
    with pytest.raises(UnavailableError):
        desk.store.settings.update({"x": "y"})
    desk.printer.ends(Outcome.COMPLETED)
    desk.runner.step()
    assert desk.state(task_id) is TaskState.RUNNING
    desk.store.database.execute("PRAGMA query_only = 0")
    desk.runner.step()
    assert desk.state(task_id) is TaskState.COMPLETED
    assert desk.end(task_id)["job_status"] == "completed"


def test_a_command_that_waited_too_long_is_refused_and_not_done(tmp_path: Path, store: Store) -> None:
    store.close()
    first = open_store(tmp_path / "agent.db", FakeClock(), boot="one")
    RunnerRig(tmp_path, first).task(Name.HOME)
    first.close()
    clock = FakeClock()
    clock.epoch += 86401
    again = RunnerRig(tmp_path, open_store(tmp_path / "agent.db", clock, boot="two"))
    again.runner.step()
    assert again.printer.asked == []
    assert (again.end("t-home")["error_code"], again.board.read().busy) == (410, "")
    again.store.close()


@pytest.mark.parametrize("years", [-10, 10])
def test_a_wall_clock_that_jumps_within_one_boot_makes_no_command_old(tmp_path: Path, store: Store, years: int) -> None:
    store.close()
    clock = FakeClock()
    first = open_store(tmp_path / "agent.db", clock, boot="one")
    RunnerRig(tmp_path, first).task(Name.HOME)
    first.close()
    clock.epoch += years * 365 * 86400
    again = RunnerRig(tmp_path, open_store(tmp_path / "agent.db", clock, boot="one"))
    again.runner.step()
    assert again.printer.asked == ["script"]
    clock.now += 86401
    late = again.task(Name.PARK)
    clock.now += 86401
    again.runner.step()
    assert again.end(late)["error_code"] == 410
    again.store.close()


def test_a_disk_that_takes_nothing_does_not_keep_a_print_from_its_end(desk: RunnerRig) -> None:
    task_id = desk.printing()
    waiting = desk.task(Name.HOME)
    desk.store.database.execute("PRAGMA query_only = 1")
    desk.printer.ends(Outcome.COMPLETED)
    desk.runner.step()
    assert desk.board.read().busy == ""
    desk.store.database.execute("PRAGMA query_only = 0")
    desk.runner.step()
    assert desk.end(task_id)["job_status"] == "completed"
    desk.runner.step()
    assert desk.printer.asked[-1] == "script"
    assert desk.store.tasks.get(waiting) is not None


def test_a_command_that_the_disk_stops_halfway_gets_an_end(desk: RunnerRig) -> None:
    """`settings` is begun in the ledger, and then cannot be kept."""
    task_id = desk.task(Name.SETTINGS, settings={"speed_percent": 90})
    real = desk.store.settings.update

    def full(settings: dict[str, Any]) -> None:
        raise UnavailableError("the state folder does not take a write")

    desk.store.settings.update = full  # type: ignore[method-assign]
    desk.runner.step()
    desk.store.settings.update = real  # type: ignore[method-assign]
    assert desk.end(task_id)["error_code"] == 503


def test_a_cancel_does_not_wait_for_a_silent_file_server(desk: RunnerRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/part.gcode"
        task_id = desk.task(Name.PRINT_DATA, url=url)
        desk.runner.step()
        connection, _ = silent.accept()
        with connection:
            cancel = desk.task(Name.CANCEL)
            desk.runner.step()
            desk.runner.step()
            assert desk.end(task_id)["job_status"] == "canceled"
            assert desk.end(cancel)["data"]["state"] == "completed"
    assert desk.woken.wait(5)  # the thread ends when the server does
    assert not list(desk.jobs.iterdir())


def test_each_log_line_of_a_print_names_its_task_and_its_job(desk: RunnerRig) -> None:
    with capture_logs() as lines:
        desk.printing()
        desk.printer.ends(Outcome.COMPLETED)
        desk.runner.step()
    assert [line["event"] for line in lines] == ["print started", "task completed"]
    assert {(line["task_id"], line["job_id"]) for line in lines} == {("p", "job")}

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


def test_a_print_tells_its_file_its_start_its_way_and_its_end(rig: RunnerRig) -> None:
    task_id = rig.printing()
    rig.printer.now(line=3)
    rig.clock.advance(10)
    rig.runner.step()
    assert [body.get("job_status") for body in rig.said(task_id)][1:] == ["received", "printing"]
    way = rig.said(task_id)[-1]
    assert (way["data"]["line"], way["data"]["layer"], way["data"]["total_layers"]) == (3, 1, 1)
    assert 0 < way["progress"] < 1
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    end = rig.end(task_id)
    assert (end["job_status"], end["job_progress"], end["data"]["line"]) == ("completed", 1.0, 4)
    assert not list(rig.jobs.iterdir())
    rig.runner.step()
    assert len(rig.said(task_id)) == 3  # receipt, milestone, terminal: nothing more


def test_progress_is_told_no_more_often_than_configured(rig: RunnerRig) -> None:
    task_id = rig.printing()
    for line in (1, 2):
        rig.printer.now(line=line)
        rig.runner.step()
    assert rig.said(task_id)[-1]["data"]["line"] == 0
    rig.clock.advance(2.0)
    rig.runner.step()
    assert rig.said(task_id)[-1]["data"]["line"] == 2


def test_the_printer_may_pause_by_itself_and_the_cloud_is_told_why(rig: RunnerRig) -> None:
    task_id = rig.printing()
    rig.printer.now(state=S.PAUSED, reason="the file asks for a pause (M0)")
    rig.runner.step()
    told = rig.said(task_id)[-1]
    assert told["job_status"] == "paused"
    assert "M0" in told["data"]["ui_sub_state"]
    rig.printer.now(state=S.PRINTING, reason="")
    rig.runner.step()
    assert rig.said(task_id)[-1]["job_status"] == "printing"


def test_a_pause_is_done_when_the_printer_has_paused_and_not_before(rig: RunnerRig) -> None:
    rig.printing()
    pause = rig.task(Name.PAUSE)
    rig.runner.step()
    assert len(rig.said(pause)) == 1
    rig.printer.now(state=S.PAUSED)
    rig.runner.step()
    assert rig.end(pause)["job_status"] == "paused"


def test_a_pause_that_the_end_of_the_job_overtakes_has_failed(rig: RunnerRig) -> None:
    rig.printing()
    pause = rig.task(Name.PAUSE)
    rig.runner.step()
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert "ended first" in rig.end(pause)["error_message"]


def test_a_cancel_ends_the_job_canceled_and_without_an_error(rig: RunnerRig) -> None:
    task_id = rig.printing()
    cancel = rig.task(Name.CANCEL, job_id="job")
    rig.runner.step()
    assert rig.printer.asked[-1] == "cancel"
    rig.printer.ends(Outcome.CANCELLED)
    rig.runner.step()
    assert rig.end(task_id)["job_status"] == "canceled"
    assert "error_code" not in rig.end(task_id)
    assert rig.end(cancel)["data"]["state"] == "completed"


def test_a_failed_print_says_what_the_driver_says_and_where(rig: RunnerRig) -> None:
    task_id = rig.printing()
    rig.printer.now(line=3)  # since the last look
    rig.printer.ends(Outcome.FAILED, "the printer was reset")
    rig.runner.step()
    end = rig.end(task_id)
    assert (end["job_status"], end["error_code"]) == ("failed", 500)
    assert end["error_message"] == "the printer was reset at layer 1, line 3"


def test_a_reset_is_completed_when_the_printer_is_idle_again_and_has_begun_anew(rig: RunnerRig) -> None:
    reset = rig.task(Name.RESET)
    rig.runner.step()
    assert rig.printer.asked == ["reset"]
    assert rig.state(reset) is not TaskState.COMPLETED
    rig.printer.now(state=S.IDLE, reason="")
    rig.runner.step()
    assert rig.end(reset)["data"]["state"] == "completed"


def test_a_reset_that_reset_nothing_fails_and_says_what_was_not_possible(rig: RunnerRig) -> None:
    reset = rig.task(Name.RESET)
    rig.runner.step()
    rig.printer.now(state=S.IDLE, reason="", reset_error="nothing was reset: the port has no reset line")
    rig.runner.step()
    end = rig.end(reset)
    assert (end["data"]["state"], end["error_code"]) == ("failed", 500)
    assert end["error_message"] == "reset: nothing was reset: the port has no reset line"


def test_a_reset_that_ends_in_an_error_fails_with_its_text(rig: RunnerRig) -> None:
    reset = rig.task(Name.RESET)
    rig.runner.step()
    rig.printer.now(state=S.OFFLINE, reason="Klipper is starting")
    rig.runner.step()
    assert rig.state(reset) is not TaskState.FAILED
    rig.printer.now(state=S.ERROR, reason="Option 'pin' in section 'fan' must be specified")
    rig.runner.step()
    assert rig.end(reset)["error_message"] == "reset: Option 'pin' in section 'fan' must be specified"


def test_a_printer_that_is_just_saying_hello_gets_time_and_one_that_is_gone_does_not(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE, reason="looking for the printer")
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.said(task_id)[-1]["job_status"] == "received"
    rig.clock.advance(31)
    rig.runner.step()
    end = rig.end(task_id)
    assert (end["job_status"], end["error_code"]) == ("failed", 503)
    assert "looking for the printer" in end["error_message"]


def test_a_job_may_be_cancelled_while_it_waits_for_the_printer(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.runner.step()
    assert rig.end(task_id)["job_status"] == "canceled"
    assert rig.end(cancel)["data"]["state"] == "completed"
    assert "print" not in rig.printer.asked


def test_a_halted_printer_takes_no_print(rig: RunnerRig) -> None:
    rig.printer.now(state=S.ERROR, reason="Printer halted")
    task_id = rig.print()
    rig.runner.step()
    assert "Printer halted" in rig.end(task_id)["error_message"]
    dismiss = rig.task(Name.DISMISS)
    rig.runner.step()
    assert "send reset" in rig.end(dismiss)["error_message"]


def test_a_script_that_is_not_configured_is_said_to_be_missing(rig: RunnerRig) -> None:
    task_id = rig.task(Name.CALIBRATE)
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 501
    assert "[scripts] calibrate" in rig.end(task_id)["error_message"]


def test_a_cancel_also_stops_a_script(rig: RunnerRig) -> None:
    home = rig.task(Name.HOME)
    rig.runner.step()
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.printer.ends(Outcome.CANCELLED)
    rig.runner.step()
    assert rig.end(cancel)["data"]["state"] == "completed"
    assert rig.end(home)["data"]["state"] == "failed"


def test_the_settings_of_printer_and_job_go_before_the_file(rig: RunnerRig) -> None:
    rig.store.settings.update({"speed_percent": 120, "flow_percent": 90})
    rig.print(settings={"speed_percent": 150})
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.printer.preamble == ["M220 S150", "M221 S90"]


def test_tasks_that_a_dead_agent_left_get_an_honest_end_and_its_files_go(rig: RunnerRig) -> None:
    running = rig.task(Name.HOME)
    rig.runner.step()
    waiting = rig.task(Name.PARK)
    (rig.jobs / "stranger.gcode.part").write_bytes(b"x")
    again = RunnerRig(rig.jobs.parent, rig.store)
    again.runner.recover()
    end = again.end(running)
    assert (end["error_code"], end["data"]["state"]) == (500, "failed")
    assert not list(again.jobs.iterdir())
    again.runner.step()
    assert again.printer.asked == ["cool", "script"]  # what was only written down is done now
    assert again.store.tasks.get(waiting) is not None
    assert again.printer.opened == 1


@pytest.mark.parametrize("table", ["tasks", "checkpoints"])
def test_a_ledger_that_cannot_be_read_at_the_start_is_read_with_the_next_step(rig: RunnerRig, table: str) -> None:
    if table == "checkpoints":
        rig.task(Name.PRINT_DATA)
        rig.store.tasks.start("t-print_data")
    rig.store.database.execute(f"ALTER TABLE {table} RENAME TO hidden")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="does not give a row"):
            rig.runner.step()
    assert rig.printer.opened == 0
    rig.store.database.execute(f"ALTER TABLE hidden RENAME TO {table}")
    for _ in range(3):
        rig.runner.step()
    assert rig.printer.opened == 1


def test_a_stop_ends_what_runs_and_closes_the_driver(rig: RunnerRig) -> None:
    task_id = rig.printing()
    rig.stop()
    assert rig.end(task_id)["error_message"].startswith("the agent was stopped")
    assert rig.printer.asked[-1] == "close"


def test_an_end_that_the_disk_does_not_take_is_written_as_soon_as_it_does(rig: RunnerRig) -> None:
    task_id = rig.printing()
    rig.store.database.execute("PRAGMA query_only = 1")  # SQLite's own refusal, as on a card that went read-only
    with pytest.raises(UnavailableError):
        rig.store.settings.update({"x": "y"})
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.state(task_id) is TaskState.RUNNING
    rig.store.database.execute("PRAGMA query_only = 0")
    rig.runner.step()
    assert rig.state(task_id) is TaskState.COMPLETED
    assert rig.end(task_id)["job_status"] == "completed"


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


def test_a_disk_that_takes_nothing_does_not_keep_a_print_from_its_end(rig: RunnerRig) -> None:
    task_id = rig.printing()
    waiting = rig.task(Name.HOME)
    rig.store.database.execute("PRAGMA query_only = 1")
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.board.read().busy == ""
    rig.store.database.execute("PRAGMA query_only = 0")
    rig.runner.step()
    assert rig.end(task_id)["job_status"] == "completed"
    rig.runner.step()
    assert rig.printer.asked[-1] == "script"
    assert rig.store.tasks.get(waiting) is not None


def test_a_command_that_the_disk_stops_halfway_gets_an_end(rig: RunnerRig) -> None:
    """`settings` is begun in the ledger, and then cannot be kept."""
    task_id = rig.task(Name.SETTINGS, settings={"speed_percent": 90})
    real = rig.store.settings.update

    def full(settings: dict[str, Any]) -> None:
        raise UnavailableError("the state folder does not take a write")

    rig.store.settings.update = full  # type: ignore[method-assign]
    rig.runner.step()
    rig.store.settings.update = real  # type: ignore[method-assign]
    assert rig.end(task_id)["error_code"] == 503


def test_a_cancel_does_not_wait_for_a_silent_file_server(rig: RunnerRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/part.gcode"
        task_id = rig.task(Name.PRINT_DATA, url=url)
        rig.runner.step()
        connection, _ = silent.accept()
        with connection:
            cancel = rig.task(Name.CANCEL)
            rig.runner.step()
            rig.runner.step()
            assert rig.end(task_id)["job_status"] == "canceled"
            assert rig.end(cancel)["data"]["state"] == "completed"
    assert rig.woken.wait(5)  # the thread ends when the server does
    assert not list(rig.jobs.iterdir())


def test_each_log_line_of_a_print_names_its_task_and_its_job(rig: RunnerRig) -> None:
    with capture_logs() as lines:
        rig.printing()
        rig.printer.ends(Outcome.COMPLETED)
        rig.runner.step()
    assert [line["event"] for line in lines] == ["print started", "task completed"]
    assert {(line["task_id"], line["job_id"]) for line in lines} == {("p", "job")}


def test_the_driver_is_told_the_job_of_a_print_before_it_is_to_print(rig: RunnerRig) -> None:
    asked: list[dict[str, str]] = []
    rig.printer.on_print = lambda task_id: asked.append(rig.board.log_keys(task_id))
    rig.printing()
    assert asked == [{"task_id": "p", "job_id": "job"}]
    assert rig.board.log_keys("another") == {"task_id": "another"}


def test_a_print_waits_for_a_printer_that_says_that_it_is_starting(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE, reason="Klipper is starting", starting=True)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    for _ in range(5):
        rig.runner.step()
        rig.clock.advance(100)
    assert rig.state(task_id) is TaskState.RUNNING
    rig.printer.now(state=S.IDLE, reason="", starting=False)
    rig.runner.step()
    assert rig.printer.slot.state is S.PRINTING


def test_a_printer_that_starts_for_ever_fails_the_print(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE, reason="Klipper is starting", starting=True)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    rig.clock.advance(601)
    rig.runner.step()
    assert rig.end(task_id)["error_message"].endswith("([job] start_within_s); it waited for the printer")


def test_a_printer_that_is_not_found_any_more_after_its_start_is_given_up_soon(rig: RunnerRig) -> None:
    rig.printer.now(state=S.OFFLINE, reason="Klipper is starting", starting=True)
    task_id = rig.print()
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.clock.advance(100)
    rig.runner.step()
    rig.printer.now(reason="no serial port", starting=False)
    rig.clock.advance(31)
    rig.runner.step()
    assert rig.end(task_id)["error_message"] == "the printer is offline: no serial port"


def test_a_report_tells_the_printer_s_status_without_the_task_that_ends(rig: RunnerRig) -> None:
    rig.runner.step()
    home = rig.task(Name.HOME)
    rig.runner.step()
    park = rig.task(Name.PARK)
    rig.runner.step()
    assert rig.end(park)["printer_status"] == "busy", "it homes"
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert rig.end(home)["printer_status"] == "ready", "it has homed"


def test_the_reports_of_a_print_tell_the_printer_s_status(rig: RunnerRig) -> None:
    task_id = rig.printing()
    refused = rig.task(Name.HOME)
    rig.runner.step()
    assert rig.end(refused)["printer_status"] == "printing"
    cancel = rig.task(Name.CANCEL)
    rig.runner.step()
    rig.printer.ends(Outcome.CANCELLED)
    rig.runner.step()
    assert [rig.end(one)["printer_status"] for one in (task_id, cancel)] == ["ready", "ready"]


def test_a_refused_local_print_leaves_no_file(rig: RunnerRig) -> None:
    rig.printing()
    other = rig.print("local-2")
    assert (rig.jobs / f"{other}.gcode").exists()
    rig.runner.step()
    assert rig.end(other)["error_code"] == 409
    assert sorted(path.stem for path in rig.jobs.iterdir()) == ["p", "p"]


def test_a_local_print_that_cannot_begin_leaves_no_file(rig: RunnerRig) -> None:
    task_id = rig.print(settings={"speed_percent": 9000})
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 422
    assert list(rig.jobs.iterdir()) == []

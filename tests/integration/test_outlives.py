"""A print outlives its agent: real processes, killed, stopped and handed over in the middle of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from agent.app import EX_SOFTWARE
from agent.local.local_requests import CommandRequest, TaskRequest
from agent.local.socket_client import ask
from benchmarks.outlives import PARTS, outlives
from tests.rigs.agent_rig import KillableAgentRig, killable_agent_rig
from tests.support.prints import assert_whole, check_record, gcode, of_the_file, write_gcode

QUICKLY = 4.0  # seconds for what takes less than two on an idle machine


def under_way(made: KillableAgentRig, moves: int = 160, until: int = 40) -> list[str]:
    """A print that has come to about line `until`."""
    lines = gcode(moves)
    made.submit(write_gcode(made.folder / "job.gcode", lines))
    made.until("the print is under way", lambda: len(of_the_file(made.executed(), lines)) >= until)
    return lines


def completed_as_one(made: KillableAgentRig, lines: list[str]) -> None:
    """The file, each line once, in order; one record of one task at the cloud."""
    assert made.ended()["job_status"] == "completed"
    assert_whole(made.executed(), lines)
    check_record(made.reports())


def heaters_are_off(made: KillableAgentRig) -> None:
    """The last word on the nozzle is «off», once the printer has done what it has."""

    def off() -> bool:
        last = [code for _, code in made.executed() if code.startswith(("M104", "M109"))][-1]
        return last == "M104 S0" or last.startswith("M104 T0 S0")

    made.until("the heaters are off", off)


@pytest.mark.parametrize("part", ["one-at-a-time", "half-lines-window"])
def test_ten_kills_leave_the_file_whole(tmp_path: Path, part: str) -> None:
    assert outlives(tmp_path, PARTS[part], 10 if part == "one-at-a-time" else 5, 7, lambda _: None)["kills"] >= 5


def test_a_hand_over_ends_the_agent_at_once_and_leaves_the_print(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        began = time.monotonic()
        assert made.kill(signal.SIGUSR2) == 0
        assert time.monotonic() - began < QUICKLY
        assert "handing over" in made.log()
        made.start()
        completed_as_one(made, lines)


def test_a_stop_ends_the_print_with_the_heaters_off(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        assert made.kill(signal.SIGTERM) == 0
        heaters_are_off(made)
        made.start()
        end = made.ended()
        assert (end["job_status"], end["data"]["state"]) == ("failed", "failed")
        made.until("ready", lambda: made.status()["printer_status"] == "ready")
        assert len(of_the_file(made.executed(), lines)) < len(lines) / 2


def test_a_stop_hands_over_where_that_is_wanted(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path, more="[job]\nstop_hands_over = true\n") as made:
        lines = under_way(made)
        assert made.kill(signal.SIGTERM) == 0
        made.start()
        completed_as_one(made, lines)


def test_a_defect_of_a_thread_ends_the_agent_and_not_the_print(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path, module=("tests.support.crashing", str(tmp_path / "crash"))) as made:
        lines = under_way(made)
        (tmp_path / "crash").touch()
        assert made.wait() == EX_SOFTWARE
        (tmp_path / "crash").unlink()
        made.start()
        completed_as_one(made, lines)


def test_a_paused_print_stays_paused_until_it_is_resumed(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        assert made.ended(made.job_command("pause"))["job_status"] == "paused"
        made.kill()
        before = len(of_the_file(made.executed(), lines))
        made.start()
        made.until("paused again", lambda: made.status()["printer_status"] == "paused")
        time.sleep(0.5)
        assert len(of_the_file(made.executed(), lines)) == before
        assert made.ended(made.job_command("resume"))["data"]["state"] == "completed"
        completed_as_one(made, lines)


def test_a_print_that_is_taken_over_can_be_cancelled(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        made.kill()
        made.start()
        cancel = made.until(
            "the agent listens to the person there", lambda: ask(made.socket, CommandRequest("cancel"))["task_id"]
        )
        assert made.ended()["job_status"] == "canceled"
        request = TaskRequest(cancel)
        made.until("the cancel has its end", lambda: ask(made.socket, request)["state"] == "completed")
        assert len(of_the_file(made.executed(), lines)) < len(lines) / 2
        heaters_are_off(made)


def test_a_stop_while_a_print_is_taken_over_ends_it_with_the_heaters_off(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        under_way(made)
        made.kill()
        made.start()
        made.until("it is taken over", lambda: '"print recovery started"' in made.log())
        assert made.kill(signal.SIGTERM) == 0
        heaters_are_off(made)
        made.start()
        assert made.ended()["job_status"] == "failed"


def test_a_file_that_is_another_one_now_ends_the_print_with_the_heaters_off(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        made.kill()
        (file,) = (tmp_path / "state" / "jobs").glob("*.gcode")
        file.write_bytes(file.read_bytes().replace(b"X50.00", b"X51.00"))
        os.utime(file, ns=(1, 1))
        made.start()
        end = made.ended()
        assert end["job_status"] == "failed"
        assert "is another one now at layer " in end["error_message"]
        assert end["data"]["line"] >= 30
        made.until("ready", lambda: made.status()["printer_status"] == "ready")
        heaters_are_off(made)
        assert len(of_the_file(made.executed(), lines)) < len(lines) / 2


def test_a_board_that_was_switched_off_meanwhile_ends_the_print(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path) as made:
        lines = under_way(made)
        made.kill()
        made.unplug()
        before = len(of_the_file(made.executed(), lines))
        made.plug_in()
        made.start()
        end = made.ended()
        assert end["job_status"] == "failed"
        assert " at layer " in end["error_message"]
        made.until("ready", lambda: made.status()["printer_status"] == "ready")
        assert len(of_the_file(made.executed(), lines)) == before


def test_a_simulated_driver_s_printer_dies_with_its_agent_and_the_print_fails(tmp_path: Path) -> None:
    with killable_agent_rig(tmp_path, more='[printer]\ndriver = "simulated"\n') as made:
        made.submit(write_gcode(tmp_path / "job.gcode", gcode(160)))
        made.until("printing", lambda: made.status()["data"].get("line", 0) > 10)
        made.kill()
        made.start()
        end = made.ended()
        assert end["job_status"] == "failed"
        made.until("ready", lambda: made.status()["printer_status"] == "ready")

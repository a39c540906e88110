"""A recovery waits for nothing without a limit, and takes no other task for its own."""

from __future__ import annotations

import os

import pytest

from agent.core.command import Name
from agent.core.driver import Operation, Outcome, PrinterState
from agent.core.task import TaskState
from agent.files.job_file import JobFile
from agent.runner.print_recovery import ANSWER_MAY_TAKE, LOOK_MAY_TAKE
from tests.rigs.runner_rig import RunnerRig


def restarted(rig: RunnerRig) -> tuple[RunnerRig, str]:
    """The agent after one that was killed while it printed, before its first step."""
    task_id = rig.printing()
    rig.store.checkpoints.remember(task_id, b"memory")
    rig.printer.now(line=3)
    rig.clock.advance(10)
    rig.runner.step()
    return RunnerRig(rig.jobs.parent, rig.store), task_id


def recovering(rig: RunnerRig) -> tuple[RunnerRig, str]:
    """The same, when the driver has been opened with the print."""
    again, task_id = restarted(rig)
    again.runner.step()
    assert again.woken.wait(5)  # the file was looked at
    again.runner.step()
    assert again.printer.unfinished is not None
    return again, task_id


def test_a_file_that_cannot_be_looked_at_in_time_is_given_up_and_the_driver_is_opened_nevertheless(
    rig: RunnerRig,
) -> None:
    again, task_id = restarted(rig)
    file = JobFile(again.jobs, task_id)
    file.index_path.unlink()
    os.mkfifo(file.index_path)  # a disk that does not answer
    again.runner.step()
    again.clock.advance(LOOK_MAY_TAKE - 1)
    again.runner.step()
    assert again.printer.opened == 0
    again.clock.advance(2)
    again.runner.step()
    os.close(os.open(file.index_path, os.O_RDWR | os.O_NONBLOCK))  # the thread that reads it ends
    found = again.printer.unfinished
    assert found is not None
    with pytest.raises(OSError, match="could not be looked at within 60 s"):
        next(iter(found.source.lines(4)))
    again.printer.ends(Outcome.FAILED, "line 4: the file cannot be read any more")
    again.runner.step()
    assert again.end(task_id)["error_message"].startswith("the file could not be looked at within 60 s")


def test_the_end_of_another_operation_is_not_that_of_the_print(rig: RunnerRig) -> None:
    again, task_id = recovering(rig)
    again.printer.now(last=Operation("another", Outcome.COMPLETED))
    again.runner.step()
    again.task(Name.PAUSE)
    again.runner.step()
    assert again.printer.slot.state is PrinterState.RECOVERING, "the pause waits until the driver has the print"
    again.clock.advance(ANSWER_MAY_TAKE + 1)
    again.runner.step()
    assert again.end(task_id)["job_status"] == "failed"


def test_a_script_that_ran_beside_a_print_has_ended_with_its_agent_and_its_pause_has_not(rig: RunnerRig) -> None:
    rig.printing()
    script, pause = rig.task(Name.HOME), rig.task(Name.PAUSE)
    rig.store.tasks.start(script)
    rig.store.tasks.start(pause)
    again = RunnerRig(rig.jobs.parent, rig.store)
    again.runner.step()
    end = again.end(script)
    assert (end["error_code"], end["error_message"]) == (500, "home: the agent ended while it ran")
    assert again.state(pause) is TaskState.RUNNING

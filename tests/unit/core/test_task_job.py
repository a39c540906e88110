"""A task's life and a job's life: each state with each event, by the tables that the modules' drawings show."""

from __future__ import annotations

import itertools

import pytest

from agent.core import job, task
from agent.core.driver import PrinterState
from agent.core.job import JobEvent, JobState, JobView, follow
from agent.core.task import TaskEvent, TaskState

TASK_STEPS = {
    "received": {"start": "running", "complete": "completed", "fail": "failed"},
    "running": {"complete": "completed", "fail": "failed"},
    "completed": {},
    "failed": {},
}
JOB_STEPS = {
    "accepted": {"file_here": "received", "cancel": "canceled", "fail": "failed"},
    "received": {"start": "printing", "cancel": "canceled", "fail": "failed"},
    "printing": {"pause": "paused", "complete": "completed", "cancel": "canceled", "fail": "failed"},
    "paused": {"resume": "printing", "cancel": "canceled", "fail": "failed"},
    "completed": {},
    "canceled": {},
    "failed": {},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TaskState, TaskEvent)))
def test_a_task_takes_exactly_the_steps_of_its_table(state: TaskState, event: TaskEvent) -> None:
    expected = TASK_STEPS[state].get(event)
    if expected is None:
        with pytest.raises(ValueError, match=f"a task that is {state} cannot {event}"):
            task.advance(state, event)
    else:
        assert task.advance(state, event) == expected


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_a_job_takes_exactly_the_steps_of_its_table(state: JobState, event: JobEvent) -> None:
    expected = JOB_STEPS[state].get(event)
    if expected is None:
        with pytest.raises(ValueError, match=f"a job that is {state} cannot {event}"):
            job.advance(state, event)
    else:
        assert job.advance(state, event) == expected


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_has_ended_when_no_step_is_left(state: JobState) -> None:
    assert state.ended == (not JOB_STEPS[state])


@pytest.mark.parametrize(("state", "printer"), list(itertools.product(JobState, PrinterState)))
def test_a_job_follows_the_printer_into_and_out_of_a_pause(state: JobState, printer: PrinterState) -> None:
    """A pause at the printer itself counts as well; nothing else of the driver's state moves a job on."""
    expected = None
    if state == "printing" and printer in ("paused", "resuming"):
        expected = JobEvent.PAUSE
    if state == "paused" and printer in ("printing", "pausing"):
        expected = JobEvent.RESUME
    assert follow(state, printer) is expected


@pytest.mark.parametrize(("state", "printer"), list(itertools.product(JobState, PrinterState)))
def test_what_follow_asks_for_is_allowed_and_settles(state: JobState, printer: PrinterState) -> None:
    event = follow(state, printer)
    if event is not None:
        assert follow(job.advance(state, event), printer) is None


@pytest.mark.parametrize("state", list(JobState))
def test_the_cloud_hears_of_a_job_when_its_file_is_here(state: JobState) -> None:
    status = JobView(job_id="j", task_id="t", state=state).status
    assert status == (None if state == "accepted" else str(state))


def test_the_states_of_a_job_are_the_words_of_the_protocol() -> None:
    assert {str(state) for state in JobState} - {"accepted"} == {
        "received",
        "printing",
        "paused",
        "canceled",
        "completed",
        "failed",
    }

"""What stops the printer is always served, whatever else runs or waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.command import Command, Name
from agent.core.driver import PrinterState as S
from agent.core.task import TaskState
from agent.runner.loop import BEGUN_AT_ONCE
from agent.runner.running_activities import WAITING_STOPS
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.store import open_store


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RunnerRig]:
    store = open_store(tmp_path / "agent.db", FakeClock())
    made = RunnerRig(tmp_path, store)
    made.runner.step()
    yield made
    made.stop()
    store.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/log"


def accept(rig: RunnerRig, task_id: str, name: Name, url: str = "") -> None:
    rig.store.tasks.accept(Command(task_id=task_id, name=name, raw_name=str(name), url=url), b"{}")


def test_one_upload_runs_at_a_time_and_pause_and_cancel_are_served_beside_it(rig: RunnerRig, silent: str) -> None:
    """Thirty-two uploads to a server that drips made pause and cancel answer 503."""
    rig.printing()
    for number in range(32):
        accept(rig, f"logs{number}", Name.LOGS, silent)
    for _ in range(4):
        rig.runner.step()
    assert rig.state("logs0") is TaskState.RUNNING
    assert {rig.end(f"logs{number}")["error_code"] for number in range(1, 32)} == {409}
    states = []
    for name in (Name.PAUSE, Name.CANCEL):
        task_id = rig.task(name)
        rig.runner.step()
        states.append((rig.printer.slot.state, rig.state(task_id)))
    assert states == [(S.PAUSING, TaskState.RUNNING), (S.CANCELLING, TaskState.RUNNING)]


def test_a_cancel_does_not_wait_behind_what_came_before_it(rig: RunnerRig) -> None:
    rig.printing()
    for number in range(5 * BEGUN_AT_ONCE):
        accept(rig, f"home{number}", Name.HOME)
    rig.task(Name.CANCEL)
    rig.runner.step()
    assert rig.printer.slot.state is S.CANCELLING
    assert len(rig.store.tasks.in_state(TaskState.RECEIVED)) > 3 * BEGUN_AT_ONCE
    assert rig.woken.is_set(), "the next step goes on at once"


def test_a_cancel_does_not_wait_behind_those_of_another_job_nor_behind_pauses(rig: RunnerRig) -> None:
    """Two thousand cancels of another job made one of this job wait 28 s."""
    rig.printing()
    for number in range(3 * BEGUN_AT_ONCE):
        rig.task(Name.CANCEL, f"other{number}", job_id="another")
        accept(rig, f"pause{number}", Name.PAUSE)
    rig.task(Name.CANCEL, "mine")
    rig.runner.step()
    assert rig.printer.slot.state is S.CANCELLING
    assert rig.store.tasks.get("other0").state is TaskState.RECEIVED  # type: ignore[union-attr]


def test_the_newest_of_many_pauses_is_served_and_the_oldest_make_room(rig: RunnerRig) -> None:
    rig.printing()
    rig.printer.now(state=S.PRINTING)
    for number in range(3 * WAITING_STOPS):
        rig.printer.now(state=S.PRINTING)
        accept(rig, f"pause{number}", Name.PAUSE)
        rig.runner.step()
    running = {task.command.task_id for task in rig.store.tasks.in_state(TaskState.RUNNING)} - {"p"}
    assert running == {f"pause{number}" for number in range(2 * WAITING_STOPS, 3 * WAITING_STOPS)}
    rig.printer.now(state=S.PAUSED)
    rig.runner.step()
    assert rig.end(f"pause{3 * WAITING_STOPS - 1}")["data"]["state"] == "completed"

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
from agent.runner.running import WAITING_STOPS
from agent.testing import FakeClock
from tests.rigs.runner_rig import RunnerRig
from tests.support.store import open_store


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[RunnerRig]:
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


def accept(desk: RunnerRig, task_id: str, name: Name, url: str = "") -> None:
    desk.store.tasks.accept(Command(task_id=task_id, name=name, raw_name=str(name), url=url), b"{}")


def test_one_upload_runs_at_a_time_and_pause_and_cancel_are_served_beside_it(desk: RunnerRig, silent: str) -> None:
    """Thirty-two uploads to a server that drips made pause and cancel answer 503."""
    desk.printing()
    for number in range(32):
        accept(desk, f"logs{number}", Name.LOGS, silent)
    for _ in range(4):
        desk.runner.step()
    assert desk.state("logs0") is TaskState.RUNNING
    assert {desk.end(f"logs{number}")["error_code"] for number in range(1, 32)} == {409}
    states = []
    for name in (Name.PAUSE, Name.CANCEL):
        task_id = desk.task(name)
        desk.runner.step()
        states.append((desk.printer.slot.state, desk.state(task_id)))
    assert states == [(S.PAUSING, TaskState.RUNNING), (S.CANCELLING, TaskState.RUNNING)]


def test_a_cancel_does_not_wait_behind_what_came_before_it(desk: RunnerRig) -> None:
    desk.printing()
    for number in range(5 * BEGUN_AT_ONCE):
        accept(desk, f"home{number}", Name.HOME)
    desk.task(Name.CANCEL)
    desk.runner.step()
    assert desk.printer.slot.state is S.CANCELLING
    assert len(desk.store.tasks.in_state(TaskState.RECEIVED)) > 3 * BEGUN_AT_ONCE
    assert desk.woken.is_set(), "the next step goes on at once"


def test_the_newest_of_many_pauses_is_served_and_the_oldest_make_room(desk: RunnerRig) -> None:
    desk.printing()
    desk.printer.now(state=S.PRINTING)
    for number in range(3 * WAITING_STOPS):
        desk.printer.now(state=S.PRINTING)
        accept(desk, f"pause{number}", Name.PAUSE)
        desk.runner.step()
    running = {task.command.task_id for task in desk.store.tasks.in_state(TaskState.RUNNING)} - {"p"}
    assert running == {f"pause{number}" for number in range(2 * WAITING_STOPS, 3 * WAITING_STOPS)}
    desk.printer.now(state=S.PAUSED)
    desk.runner.step()
    assert desk.end(f"pause{3 * WAITING_STOPS - 1}")["data"]["state"] == "completed"

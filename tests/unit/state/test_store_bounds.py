"""Bounds of the stored state: rows and bytes, also of what an earlier version left."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from agent.core.command import Command, Name
from agent.core.task import TaskEvent, TaskState
from agent.state import store as store_module
from agent.state.store import KEEP_TASKS, TRIM_EVERY, Store
from agent.testing import FakeClock
from tests.support.store import open_store


def end(store: Store, task_id: str, *, settings: dict[str, object] | None = None, sent: bool = True) -> None:
    """A task that has ended, its reports sent or waiting."""
    command = Command(task_id=task_id, name=Name.HOME, raw_name="home", url="https://h/x", settings=settings or {})
    store.tasks.accept(command, b"r")
    store.tasks.end(task_id, TaskEvent.FAIL, b"end", "why" * 10_000)
    while sent and (heads := store.outbox.heads()):
        for head in heads:
            store.outbox.acknowledge(head)


def test_an_ended_task_keeps_little_of_its_command(store: Store) -> None:
    end(store, "t", settings={"x": "y" * 60_000})
    task = store.tasks.get("t")
    assert task is not None
    assert task.command == Command(task_id="t", name=Name.HOME, raw_name="home")
    assert len(task.message) == 500


def test_the_oldest_ended_tasks_go_and_what_runs_or_waits_stays(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEEP_TASKS", 20)
    store.tasks.accept(Command(task_id="runs", name=Name.HOME, raw_name="home"), None)
    for number in range(250):
        end(store, f"t{number}")
    end(store, "waits", sent=False)
    clock.advance(TRIM_EVERY)
    store.tidy()
    left = [task.command.task_id for state in TaskState for task in store.tasks.in_state(state)]
    assert sorted(left) == sorted(["runs", "waits", *(f"t{number}" for number in range(232, 250))])
    assert KEEP_TASKS == 2000


def test_what_stops_the_printer_is_begun_first(store: Store) -> None:
    for number in range(30):
        store.tasks.accept(Command(task_id=f"t{number}", name=Name.HOME, raw_name="cancel", job_name="cancel"), None)
    for name in (Name.RESET, Name.CANCEL, Name.PAUSE):
        store.tasks.accept(Command(task_id=name, name=name, raw_name=name), None)
    order = [task.command.task_id for task in store.tasks.next_received(5)]
    assert order == ["reset", "cancel", "pause", "t0", "t1"]


def test_a_large_state_of_an_earlier_version_is_reduced_at_the_start(tmp_path: Path) -> None:
    """A thousand `settings` left 120 MB, and each small print then took 160 MB, for ever."""
    path = tmp_path / "old" / "agent.db"
    open_store(path, FakeClock()).close()
    with sqlite3.connect(path) as db:
        value = json.dumps("x" * 60_000)
        db.executemany("INSERT INTO settings VALUES (?, ?)", ((f"s{n}", value) for n in range(500)))
        db.execute("INSERT INTO settings VALUES ('speed_percent', '120')")
        fat = json.dumps({"task_id": "t", "name": "settings", "said": "settings", "settings": {"x": "y" * 60_000}})
        db.executemany(
            "INSERT INTO tasks (task_id, command, state, local, received_at, updated_at)"
            " VALUES (?, ?, 'failed', 0, 0, 0)",
            ((f"t{n}", fat.encode()) for n in range(300)),
        )
    db.close()
    before = path.stat().st_size
    assert before > 40 << 20
    reduced = open_store(path, FakeClock())
    assert reduced.settings.read() == {"speed_percent": 120}
    assert len(reduced.tasks.in_state(TaskState.FAILED)) == 300
    reduced.close()
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 8 << 20


def test_the_oldest_refused_reports_go(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEEP_REFUSED", 5)
    for number in range(150):
        store.tasks.accept(Command(task_id=f"t{number}", name=Name.HOME, raw_name="home"), b"r")
    while heads := store.outbox.heads():
        for head in heads:
            store.outbox.set_aside(head, 422, "no")
    clock.advance(TRIM_EVERY)
    store.tidy()
    left = [row["task_id"] for row in store.outbox.overview()]
    assert left == [f"t{number}" for number in range(145, 150)]

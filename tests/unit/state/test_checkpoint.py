"""The checkpoint's row: from a print's beginning to its end, in the transactions of what it belongs to."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.core.command import Command, Name
from agent.core.job import JobState, JobView
from agent.core.report_bodies import Kind
from agent.core.task import TaskEvent, TaskState
from agent.errors import UnavailableError
from agent.state.checkpoint import FileMark
from agent.state.schema import STEPS, VERSION
from agent.state.store import Store
from agent.testing import FakeClock
from tests.support.store import open_store

JOB = JobView("job", "t", JobState.PRINTING, name="part", line=7, layer=2, progress=0.25)
END = b'{"progress":1.0,"data":{"state":"completed","command":"print_data","is_error":false}}'
MARK = FileMark(3, "ab", 1, 2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = open_store(path, FakeClock())
    made.tasks.accept(Command(task_id="t", name=Name.PRINT_DATA, raw_name="print_data"), b"{}")
    made.tasks.start("t")
    yield made
    made.close()


def test_it_is_there_from_the_beginning_to_the_end_of_its_print(path: Path, store: Store) -> None:
    assert store.checkpoints.get("t") is None
    store.checkpoints.begin(JOB, MARK, ["M220 S90"], "ask")
    store.checkpoints.remember("t", b"\0memory")
    store.close()
    again = open_store(path, FakeClock())
    found = again.checkpoints.get("t")
    assert found is not None
    assert (found.job, found.file, found.preamble, found.memory) == (JOB, MARK, ("M220 S90",), b"\0memory")
    again.tasks.end("t", TaskEvent.COMPLETE, b"{}")
    assert again.checkpoints.get("t") is None
    again.close()


def test_the_place_rides_along_with_a_report_and_no_commit_is_made_for_it(store: Store) -> None:
    store.checkpoints.begin(JOB, MARK, [], "ask")
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1

    store.database.on_commit(before=lambda: None, after=counted)
    moved = msgspec.structs.replace(JOB, line=9, state=JobState.PAUSED)
    store.tasks.progress("t", 0.3, b"{}", job=moved)
    found = store.checkpoints.get("t")
    assert found is not None
    assert (found.job, count) == (moved, 1)


def test_a_driver_may_remember_from_its_own_thread(store: Store) -> None:
    store.checkpoints.begin(JOB, MARK, [], "ask")
    thread = threading.Thread(target=store.checkpoints.remember, args=("t", b"m"))
    thread.start()
    thread.join(5)
    found = store.checkpoints.get("t")
    assert found is not None
    assert found.memory == b"m"


def test_what_cannot_be_kept_is_said(store: Store) -> None:
    with pytest.raises(UnavailableError, match="not under way"):
        store.checkpoints.remember("t", b"m")
    store.checkpoints.begin(JOB, MARK, [], "ask")
    store.database.execute("PRAGMA query_only = 1")
    with pytest.raises(UnavailableError, match="does not take a write"):
        store.checkpoints.remember("t", b"m")
    store.database.execute("PRAGMA query_only = 0")


def test_a_file_of_the_second_version_is_brought_up_to_date_and_what_ran_is_not_begun_anew(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for step in STEPS[:2]:
            for statement in step:
                db.execute(statement)
        for task_id, state in (("ran", "running"), ("waits", "received"), ("done", "completed")):
            command = msgspec.json.encode(Command(task_id=task_id, name=Name.PRINT_DATA, raw_name="print_data"))
            db.execute(
                "INSERT INTO tasks (task_id, command, state, local, received_at, updated_at) VALUES (?, ?, ?, 0, 1, 1)",
                (task_id, command, state),
            )
        db.execute("INSERT INTO outbox (task_id, kind, body, key) VALUES ('done', 'terminal', ?, 'key')", (END,))
        db.execute("PRAGMA user_version = 2")
    store = open_store(path, FakeClock())
    assert store.database.row("PRAGMA user_version") == (VERSION,)
    found = store.checkpoints.get("ran")
    assert found is not None
    assert (found.job.state, found.file, found.memory) == (JobState.PRINTING, FileMark(), b"")
    assert [store.checkpoints.get(one) for one in ("waits", "done")] == [None, None]
    assert [(head.kind, head.body, head.key) for head in store.outbox.heads()] == [(Kind.TERMINAL, END, "key")]
    assert len(store.tasks.in_state(TaskState.RUNNING)) == 1
    store.close()


def test_an_end_its_report_and_the_checkpoints_removal_are_one_transaction(store: Store) -> None:
    store.checkpoints.begin(JOB, MARK, [], "ask")
    store.tasks.progress("t", 0.3, b"progress", job=JOB)
    store.database.execute("CREATE TRIGGER no BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        store.tasks.end("t", TaskEvent.COMPLETE, b"terminal")
    task = store.tasks.get("t")
    assert task is not None
    assert (task.state, task.progress) == (TaskState.RUNNING, 0.3)
    assert [row["kind"] for row in store.outbox.overview()] == ["receipt", "progress"]
    assert store.checkpoints.get("t") is not None
    store.database.execute("DROP TRIGGER no")
    store.tasks.end("t", TaskEvent.COMPLETE, b"terminal")
    assert [row["kind"] for row in store.outbox.overview()] == ["receipt", "terminal"]
    assert store.checkpoints.get("t") is None

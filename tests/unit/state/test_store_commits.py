"""What of a task is one commit: seen at the statements that SQLite executes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Command, Name
from agent.core.job import JobState, JobView
from agent.core.task import TaskEvent
from agent.state.checkpoint import FileMark
from agent.state.store import Store
from agent.testing import FakeClock
from tests.support.store import open_store

JOB = JobView("job", "t", JobState.PRINTING, name="part", line=7, layer=2, progress=0.25)


def command(task_id: str) -> Command:
    return Command(task_id=task_id, name=Name.PRINT_DATA, raw_name="print_data")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all connections that are made from now on, in their order."""
    executed: list[str] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made = connect(*arguments, **options)
        made.set_trace_callback(executed.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", traced)
    return executed


@pytest.fixture
def store(tmp_path: Path, statements: list[str]) -> Iterator[Store]:
    made = open_store(tmp_path / "agent.db", FakeClock())
    made.tasks.accept(command("t"), b"r")
    made.tasks.start("t")
    made.checkpoints.begin(JOB, FileMark(3, "ab"), [], "ask")
    statements.clear()
    yield made
    made.close()


def verbs(statements: list[str]) -> list[str]:
    """Of the statements that begin, end or change something: verb and table."""
    found = []
    for statement in statements:
        words = statement.split()
        if words[0] in ("BEGIN", "COMMIT", "ROLLBACK"):
            found.append(words[0])
        elif words[0] != "SELECT":
            table = words[1] if words[0] == "UPDATE" else words[words.index("INTO" if "INTO" in words else "FROM") + 1]
            found.append(f"{words[0]} {table}")
    return found


def test_a_task_and_its_receipt_are_one_commit(store: Store, statements: list[str]) -> None:
    store.tasks.accept(command("n"), b"r")
    done = verbs(statements)
    assert (done[0], done[-1], done.count("COMMIT")) == ("BEGIN", "COMMIT", 1)
    assert {"INSERT tasks", "INSERT outbox"} <= set(done)


def test_progress_and_the_checkpoint_are_one_commit(store: Store, statements: list[str]) -> None:
    store.tasks.progress("t", 0.3, b"p", job=JOB)
    done = verbs(statements)
    assert (done[0], done[-1], done.count("COMMIT")) == ("BEGIN", "COMMIT", 1)
    assert {"UPDATE tasks", "INSERT outbox", "UPDATE checkpoints"} <= set(done)


def test_an_end_its_report_the_checkpoint_and_what_was_sent_are_one_commit(store: Store, statements: list[str]) -> None:
    store.outbox.acknowledge(store.outbox.heads()[0])
    store.tasks.progress("t", 0.3, b"p")
    statements.clear()
    store.outbox.acknowledge(store.outbox.heads()[0])
    assert verbs(statements) == [], "progress that was sent waits for the next commit"
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    done = verbs(statements)
    assert (done[0], done[-1], done.count("COMMIT")) == ("BEGIN", "COMMIT", 1)
    assert {"UPDATE tasks", "INSERT outbox", "DELETE checkpoints", "DELETE outbox"} <= set(done)


def test_a_report_that_was_taken_or_refused_is_one_commit(store: Store, statements: list[str]) -> None:
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    receipt = store.outbox.heads()[0]
    statements.clear()
    store.outbox.acknowledge(receipt)
    assert verbs(statements) == ["BEGIN", "DELETE outbox", "COMMIT"]
    end = store.outbox.heads()[0]
    statements.clear()
    store.outbox.set_aside(end, 422, "no")
    assert verbs(statements) == ["BEGIN", "INSERT refused", "DELETE outbox", "COMMIT"]


def test_what_a_hook_counts_as_a_commit_is_one(store: Store, statements: list[str]) -> None:
    """`on_commit` is what benchmarks count a print's writes with."""
    counted: list[str] = []
    store.database.on_commit(
        before=lambda: counted.append(f"before, after {verbs(statements)[-1]}"),
        after=lambda: counted.append(f"after {verbs(statements)[-1]}"),
    )
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    assert counted == ["before, after INSERT bed", "after COMMIT"]
    with pytest.raises(ValueError, match="no task"):
        store.tasks.start("unknown")
    assert len(counted) == 2, "what was rolled back is no commit"

"""The bed in the database: through the ends of prints, kills, migrations and a damaged file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.core.bed import BedEvent, BedState
from agent.core.command import Command, Name
from agent.core.job import JobState, JobView
from agent.core.task import TaskEvent
from agent.errors import RefusedError
from agent.state.checkpoint import FileMark
from agent.state.schema import STEPS
from agent.state.store import Store
from agent.testing import FakeClock
from tests.support.store import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "agent.db", FakeClock(), boot="boot")
    yield made
    made.close()


def begin(store: Store, task_id: str = "t", policy: str = "ask") -> None:
    command = Command(task_id=task_id, name=Name.PRINT_DATA, raw_name="print_data", job_id=f"job-{task_id}")
    store.tasks.accept(command, b"r")
    store.tasks.start(task_id)
    job = JobView(command.job_id, task_id, JobState.PRINTING)
    store.checkpoints.begin(job, FileMark(), [], policy)  # type: ignore[arg-type]


def test_a_new_printers_bed_is_clear(store: Store) -> None:
    assert store.bed.read().state is BedState.CLEAR


@pytest.mark.parametrize("event", [TaskEvent.COMPLETE, TaskEvent.FAIL])
def test_a_print_takes_the_bed_and_its_end_does_not_give_it_back(store: Store, event: TaskEvent) -> None:
    begin(store)
    assert store.bed.read().state is BedState.PRINTING
    store.tasks.end("t", event, b"e")
    bed = store.bed.read()
    assert (bed.state, bed.task_id, bed.job_id) == (BedState.NOT_CONFIRMED, "t", "job-t")
    assert store.bed.confirm().state is BedState.NOT_CONFIRMED
    assert store.bed.read().state is BedState.CLEAR
    assert store.bed.confirm().state is BedState.CLEAR


def test_a_second_print_leaves_no_checkpoint_on_a_bed_that_is_not_confirmed(store: Store) -> None:
    begin(store)
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    with pytest.raises(
        RefusedError, match=r"nobody has confirmed that the bed is clear after the last print .job job-t"
    ):
        begin(store, "u")
    assert store.checkpoints.get("u") is None
    assert store.bed.read().task_id == "t"


def test_a_confirmation_while_a_print_is_on_the_bed_changes_nothing(store: Store) -> None:
    begin(store)
    with pytest.raises(RefusedError, match="a print is on the bed"):
        store.bed.confirm()
    assert store.bed.read().state is BedState.PRINTING


def test_another_tasks_end_is_not_the_prints(store: Store) -> None:
    begin(store)
    store.tasks.accept(Command(task_id="h", name=Name.HOME, raw_name="home"), b"r")
    store.tasks.end("h", TaskEvent.COMPLETE, b"e")
    assert store.bed.read().state is BedState.PRINTING


def test_a_start_that_failed_gives_the_bed_back_as_it_was(store: Store) -> None:
    begin(store)
    store.tasks.end("t", TaskEvent.FAIL, b"e", bed=BedEvent.ABANDON)
    assert store.bed.read().state is BedState.CLEAR
    begin(store, "u")
    store.tasks.end("u", TaskEvent.COMPLETE, b"e")
    begin(store, "v", "free")
    store.tasks.end("v", TaskEvent.FAIL, b"e", bed=BedEvent.ABANDON)
    assert store.bed.read().state is BedState.NOT_CONFIRMED


def test_a_kill_between_the_statements_of_an_end_leaves_the_bed_taken(tmp_path: Path) -> None:
    store = open_store(tmp_path / "agent.db", FakeClock())
    begin(store)
    with store.database.locked():
        store.database.execute("BEGIN IMMEDIATE")
        store.bed.end_task("t", BedEvent.END)
        for name in ("agent.db", "agent.db-wal"):  # what is on the disk when the power goes
            (tmp_path / f"killed-{name}").write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "killed-agent.db-wal").rename(tmp_path / "killed.db-wal")
    (tmp_path / "killed-agent.db").rename(tmp_path / "killed.db")
    again = open_store(tmp_path / "killed.db", FakeClock())
    assert again.bed.read().state is BedState.PRINTING
    again.close()


def test_the_bed_survives_the_agent(tmp_path: Path) -> None:
    clock = FakeClock()
    store = open_store(tmp_path / "agent.db", clock, boot="boot")
    begin(store)
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    store.close()
    clock.advance(7.0)
    again = open_store(tmp_path / "agent.db", clock, boot="boot")
    assert (again.bed.read().state, again.bed.read().age) == (BedState.NOT_CONFIRMED, 7.0)
    again.close()


def test_after_a_damaged_database_nobody_knows_what_is_on_the_bed(tmp_path: Path) -> None:
    (tmp_path / "agent.db").write_bytes(b"no database" * 1000)
    store = open_store(tmp_path / "agent.db", FakeClock())
    assert store.bed.read().state is BedState.NOT_CONFIRMED
    store.bed.confirm()
    store.close()
    again = open_store(tmp_path / "agent.db", FakeClock())
    assert again.bed.read().state is BedState.CLEAR
    again.close()


@pytest.mark.parametrize(
    ("tasks", "state", "job_id"),
    [
        ([], "clear", ""),
        ([("h", "home", "completed", "")], "clear", ""),
        ([("t", "print_data", "received", "")], "clear", ""),
        ([("t", "print_data", "completed", "j")], "not_confirmed", "j"),
        ([("t", "print_data", "failed", "")], "not_confirmed", "t"),
        ([("t", "print_data", "running", "j"), ("u", "print_data", "failed", "k")], "printing", "j"),
    ],
)
def test_an_older_database_has_the_bed_of_its_last_print(
    tmp_path: Path, tasks: list[tuple[str, str, str, str]], state: str, job_id: str
) -> None:
    with sqlite3.connect(tmp_path / "agent.db") as db:
        for step in STEPS[:4]:
            for statement in step:
                db.execute(statement)
        for task_id, name, task_state, job in tasks:
            command = msgspec.json.encode(Command(task_id=task_id, name=Name(name), raw_name=name, job_id=job))
            row = (task_id, command, task_state)
            db.execute(
                "INSERT INTO tasks (task_id, command, state, local, received_at, updated_at) VALUES (?, ?, ?, 0, 1, 2)",
                row,
            )
            if task_state == "running":
                db.execute("INSERT INTO checkpoints VALUES (?, '{}', '{}', '[]', x'', 0)", (task_id,))
        db.execute("PRAGMA user_version = 4")
    db.close()
    store = open_store(tmp_path / "agent.db", FakeClock())
    bed = store.bed.read()
    assert (str(bed.state), bed.job_id) == (state, job_id)
    store.close()


def test_after_a_reboot_the_bed_is_as_old_as_the_boot_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    """A dismiss that was sent before the print had ended must not count because a clock was set in between."""
    clock = FakeClock()
    store = open_store(tmp_path / "agent.db", clock, boot="first")
    begin(store)
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    store.close()
    clock.now = 20.0
    clock.epoch += 1e6
    again = open_store(tmp_path / "agent.db", clock, boot="second")
    assert again.bed.read().age == 20.0
    assert "before the last print had ended" in again.bed.read().objection(age=185.0, sent=True)
    assert not again.bed.read().objection(age=10.0, sent=True)
    again.close()

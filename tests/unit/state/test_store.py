"""The store: a task and its receipt are one thing, so are an end and its report; their order; what outlives a close."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.command import Command, Name
from agent.core.report import Kind
from agent.core.task import TaskEvent, TaskState
from agent.errors import UnavailableError
from agent.state.schema import VERSION
from agent.state.store import Identity, Store
from agent.testing import FakeClock

TOKEN = "A" * 43


def command(task_id: str) -> Command:
    return Command(task_id=task_id, name=Name.HOME, said="home", settings={"a": [1, None, "ä"]})


def rows(store: Store, task_id: str) -> list[str]:
    return [str(row["kind"]) for row in store.outbox() if row["waiting"] and row["task_id"] == task_id]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agent.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store(path, FakeClock())
    yield made
    made.close()


def test_the_folder_and_the_files_are_the_owners_alone(store: Store, path: Path) -> None:
    store.accept(command("t"), b"{}")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    store.save_identity(Identity("https://a", 7, TOKEN))
    found = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    names = ("agent.db", "agent.db-wal", "agent.db-shm", "agent.db.spare", "identity.json")
    assert found == dict.fromkeys(names, 0o600)


def test_a_file_that_was_readable_by_others_no_longer_is(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    Store(path, FakeClock()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_committed_is_on_the_disk(path: Path, store: Store) -> None:
    assert store._one("PRAGMA synchronous") == (2,), "FULL"
    assert store._one("PRAGMA journal_mode") == ("wal",)


def test_progress_that_was_replaced_while_it_was_sent_stays_in_the_queue(store: Store) -> None:
    store.accept(command("t"), b"r")
    store.sent(store.heads()[0])
    store.progress("t", 0.1, b"old")
    old = store.heads()[0]
    store.progress("t", 0.2, b"new")
    store.sent(old)
    assert [head.body for head in store.heads()] == [b"new"]


def test_a_second_delivery_queues_the_last_report_once_under_the_key_it_had(store: Store) -> None:
    store.accept(command("t"), b"r")
    (first,) = store.heads()
    store.sent(first)
    assert not store.accept(command("t"), b"another")
    assert not store.accept(command("t"), b"another")
    (again,) = store.heads()
    assert (again.kind, again.body, again.key) == (Kind.RECEIPT, b"r", first.key)
    assert again.id != first.id
    assert len(store.outbox()) == 1


def test_a_milestone_is_never_replaced(store: Store) -> None:
    store.accept(command("t"), b"r")
    store.progress("t", 0.0, b"received", milestone=True)
    store.progress("t", 0.1, b"p")
    store.progress("t", 0.2, b"q")
    store.end("t", TaskEvent.COMPLETE, b"end")
    assert rows(store, "t") == ["receipt", "milestone", "terminal"]


def test_progress_after_the_end_is_not_told(store: Store) -> None:
    store.accept(command("t"), b"r")
    store.end("t", TaskEvent.FAIL, b"end", "why")
    store.progress("t", 0.2, b"late")
    task = store.task("t")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert task is not None
    assert (task.progress, task.message, task.state) == (1.0, "why", TaskState.FAILED)


def test_a_local_task_has_nothing_to_report(store: Store) -> None:
    assert store.accept(command("t"), b"r", local=True)
    store.start("t")
    store.progress("t", 0.5, b"p")
    store.end("t", TaskEvent.COMPLETE, b"end")
    assert not store.accept(command("t"), b"r", local=True)
    assert store.outbox() == []


def test_a_command_comes_out_of_the_ledger_as_it_went_in(path: Path, store: Store) -> None:
    full = Command("t", Name.PRINT_DATA, "print_data", "j", "n", "https://h/ä", {"a": {"b": [1.5, None]}}, "f.gcode")
    store.accept(full, b"r")
    unknown = Command("u", None, "levitate")
    store.accept(unknown, b"r")
    assert [task.command for task in store.tasks(TaskState.RECEIVED)] == [full, unknown]


def test_a_refusal_is_a_receipt_and_an_end_at_once(store: Store) -> None:
    assert store.refuse(command("t"), b"r", b"end", "why")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert not store.refuse(command("t"), b"r2", b"end2", "again")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert store.refuse(command("u"), None, b"end", "unknown")
    assert rows(store, "u") == ["terminal"]


def test_a_refusal_that_cannot_be_finished_leaves_nothing(store: Store) -> None:
    store._db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON outbox WHEN NEW.kind = 'terminal' BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        store.refuse(command("t"), b"r", b"end", "why")
    assert store.task("t") is None
    assert store.outbox() == []


def test_more_heads_than_a_page_are_all_reached(store: Store) -> None:
    for number in range(250):
        store.accept(command(f"t{number}"), b"r")
    first = store.heads()
    second = store.heads(first[-1].id)
    third = store.heads(second[-1].id)
    assert [len(page) for page in (first, second, third)] == [100, 100, 50]
    assert len({head.task_id for head in (*first, *second, *third)}) == 250
    assert store.heads(third[-1].id) == []


def test_an_identity_belongs_to_one_server(path: Path, store: Store) -> None:
    mine = Identity("https://a", 7, TOKEN, registration_code="CODE", registration_url="u")
    store.save_identity(mine)
    store.save_identity(Identity("https://b", 8, "B" * 43))
    assert store.identity("https://c") is None
    store.forget_identity("https://b")
    store.close()
    again = Store(path, FakeClock())
    assert again.identity("https://a") == mine
    assert again.identity("https://b") is None
    again.close()


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(Identity("https://a", 7, TOKEN)) + str(Identity("https://a", 7, TOKEN))


def test_settings_are_laid_over_each_other_and_kept(path: Path, store: Store) -> None:
    store.keep_settings({"a": 1, "b": {"c": None}})
    store.keep_settings({"a": 2})
    store.close()
    again = Store(path, FakeClock())
    assert again.settings() == {"a": 2, "b": {"c": None}}
    again.close()


def test_what_was_refused_is_kept_with_the_answer_and_shown_without_secrets(store: Store) -> None:
    store.accept(command("t"), b"r")
    store.set_aside(store.heads()[0], 422, "x" * 5000)
    assert store.outbox() == [
        {"task_id": "t", "kind": "receipt", "waiting": False, "status": 422, "answer": "x" * 2000, "id": 1}
    ]


def test_a_state_of_a_newer_agent_is_left_alone(path: Path) -> None:
    Store(path, FakeClock()).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(UnavailableError, match=f"newer agent .version {VERSION + 1}, this one knows {VERSION}"):
        Store(path, FakeClock())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be used"):
        Store(tmp_path / "file" / "agent.db", FakeClock())


def test_a_full_disk_is_unavailable_and_nothing_is_half_done(store: Store) -> None:
    store.accept(command("t"), b"r")
    (pages,) = store._one("PRAGMA page_count")
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UnavailableError, match="does not take a write"):
        store.end("t", TaskEvent.COMPLETE, b"x" * 2_000_000)
    task = store.task("t")
    assert task is not None
    assert task.state is TaskState.RECEIVED
    assert rows(store, "t") == ["receipt"]
    store._db.execute("PRAGMA max_page_count = 100000")
    store.end("t", TaskEvent.COMPLETE, b"x" * 100_000)
    assert rows(store, "t") == ["receipt", "terminal"]


def test_a_row_that_cannot_be_read_is_unavailable(store: Store) -> None:
    store._db.execute("DROP TABLE outbox")
    with pytest.raises(UnavailableError, match="does not give a row"):
        store.heads()


def test_threads_share_the_store(store: Store) -> None:
    """Each of eight threads leads its own tasks through their lives; nobody's transaction mixes with another's."""
    problems: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                task_id = f"{name}-{number}"
                store.accept(command(task_id), b"r")
                store.start(task_id)
                store.progress(task_id, 0.5, b"p")
                store.end(task_id, TaskEvent.COMPLETE, b"e")
        except BaseException as error:
            problems.append(error)
            raise

    threads = [threading.Thread(target=work, args=(name,), name=f"worker-{name}") for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert len(store.tasks(TaskState.COMPLETED)) == 80
    assert len(store.outbox()) == 160

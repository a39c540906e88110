"""The store: a task and its receipt are one thing, so are an end and its report; their order; what outlives a close."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Command, Name
from agent.core.report_bodies import Kind
from agent.core.task import TaskEvent, TaskState
from agent.errors import UnavailableError
from agent.state.firmware_table import Installation
from agent.state.schema import STEPS, VERSION
from agent.state.store import Identity, Store
from agent.testing import FakeClock
from tests.support.store import open_store

TOKEN = "A" * 43


def command(task_id: str) -> Command:
    return Command(task_id=task_id, name=Name.HOME, raw_name="home", settings={"a": [1, None, "ä"]})


def rows(store: Store, task_id: str) -> list[str]:
    return [str(row["kind"]) for row in store.outbox.overview() if row["waiting"] and row["task_id"] == task_id]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agent.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = open_store(path, FakeClock())
    yield made
    made.close()


def test_the_folder_and_the_files_are_the_owners_alone(store: Store, path: Path) -> None:
    store.tasks.accept(command("t"), b"{}")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    store.identities.save(Identity("https://a", 7, TOKEN))
    found = {part.name: stat.S_IMODE(part.stat().st_mode) for part in path.parent.iterdir()}
    names = ("agent.db", "agent.db-wal", "agent.db-shm", "agent.db.spare", "identity.json")
    assert found == dict.fromkeys(names, 0o600)


def test_a_file_that_was_readable_by_others_no_longer_is(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    open_store(path, FakeClock()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_committed_is_on_the_disk(path: Path, store: Store) -> None:
    assert store.database.row("PRAGMA synchronous") == (2,), "FULL"
    assert store.database.row("PRAGMA journal_mode") == ("wal",)


def test_progress_that_was_replaced_while_it_was_sent_stays_in_the_queue(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    store.outbox.acknowledge(store.outbox.heads()[0])
    store.tasks.progress("t", 0.1, b"old")
    old = store.outbox.heads()[0]
    store.tasks.progress("t", 0.2, b"new")
    store.outbox.acknowledge(old)
    assert [head.body for head in store.outbox.heads()] == [b"new"]


def test_a_second_delivery_queues_the_last_report_once_under_the_key_it_had(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    (first,) = store.outbox.heads()
    store.outbox.acknowledge(first)
    assert not store.tasks.accept(command("t"), b"another")
    assert not store.tasks.accept(command("t"), b"another")
    (again,) = store.outbox.heads()
    assert (again.kind, again.body, again.key) == (Kind.RECEIPT, b"r", first.key)
    assert again.id != first.id
    assert len(store.outbox.overview()) == 1


def test_a_milestone_is_never_replaced(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    store.tasks.progress("t", 0.0, b"received", milestone=True)
    store.tasks.progress("t", 0.1, b"p")
    store.tasks.progress("t", 0.2, b"q")
    store.tasks.end("t", TaskEvent.COMPLETE, b"end")
    assert rows(store, "t") == ["receipt", "milestone", "terminal"]


def test_progress_after_the_end_is_not_told(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    store.tasks.end("t", TaskEvent.FAIL, b"end", "why")
    store.tasks.progress("t", 0.2, b"late")
    task = store.tasks.get("t")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert task is not None
    assert (task.progress, task.message, task.state) == (1.0, "why", TaskState.FAILED)


def test_a_local_task_has_nothing_to_report(store: Store) -> None:
    assert store.tasks.accept(command("t"), b"r", local=True)
    store.tasks.start("t")
    store.tasks.progress("t", 0.5, b"p")
    store.tasks.end("t", TaskEvent.COMPLETE, b"end")
    assert not store.tasks.accept(command("t"), b"r", local=True)
    assert store.outbox.overview() == []


def test_a_command_comes_out_of_the_ledger_as_it_went_in(path: Path, store: Store) -> None:
    full = Command("t", Name.PRINT_DATA, "print_data", "j", "n", "https://h/ä", {"a": {"b": [1.5, None]}}, "f.gcode")
    store.tasks.accept(full, b"r")
    unknown = Command("u", None, "levitate")
    store.tasks.accept(unknown, b"r")
    assert [task.command for task in store.tasks.in_state(TaskState.RECEIVED)] == [full, unknown]


def test_a_refusal_is_a_receipt_and_an_end_at_once(store: Store) -> None:
    assert store.tasks.refuse(command("t"), b"r", b"end", "why")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert not store.tasks.refuse(command("t"), b"r2", b"end2", "again")
    assert rows(store, "t") == ["receipt", "terminal"]
    assert store.tasks.refuse(command("u"), None, b"end", "unknown")
    assert rows(store, "u") == ["terminal"]


def test_a_refusal_that_cannot_be_finished_leaves_nothing(store: Store) -> None:
    store.database.execute(
        "CREATE TRIGGER no BEFORE INSERT ON outbox WHEN NEW.kind = 'terminal' BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        store.tasks.refuse(command("t"), b"r", b"end", "why")
    assert store.tasks.get("t") is None
    assert store.outbox.overview() == []


def test_more_heads_than_a_page_are_all_reached(store: Store) -> None:
    for number in range(250):
        store.tasks.accept(command(f"t{number}"), b"r")
    first = store.outbox.heads()
    second = store.outbox.heads(first[-1].id)
    third = store.outbox.heads(second[-1].id)
    assert [len(page) for page in (first, second, third)] == [100, 100, 50]
    assert len({head.task_id for head in (*first, *second, *third)}) == 250
    assert store.outbox.heads(third[-1].id) == []


def test_an_identity_belongs_to_one_server(path: Path, store: Store) -> None:
    mine = Identity("https://a", 7, TOKEN, registration_code="CODE", registration_url="u")
    store.identities.save(mine)
    store.identities.save(Identity("https://b", 8, "B" * 43))
    assert store.identities.get("https://c") is None
    store.identities.forget("https://b")
    store.close()
    again = open_store(path, FakeClock())
    assert again.identities.get("https://a") == mine
    assert again.identities.get("https://b") is None
    again.close()


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(Identity("https://a", 7, TOKEN)) + str(Identity("https://a", 7, TOKEN))


def test_settings_are_laid_over_each_other_and_kept(path: Path, store: Store) -> None:
    store.settings.update({"speed_percent": 90, "flow_percent": 95})
    store.settings.update({"speed_percent": 110, "colour": "blue" * 1000})
    store.close()
    again = open_store(path, FakeClock())
    assert again.settings.read() == {"speed_percent": 110, "flow_percent": 95}
    again.close()


def test_what_a_job_has_changed_is_kept_until_something_else_is(path: Path, store: Store) -> None:
    store.settings.replace_overridden({"retract_lift": 0.2, "bed_mesh": True, "colour": 1, "babystep_z": 0.1})
    store.close()
    again = open_store(path, FakeClock())
    assert again.settings.overridden() == {"retract_lift": 0.2, "bed_mesh": True}
    again.settings.update({"bed_mesh": False})
    assert again.settings.overridden() == {"retract_lift": 0.2}
    assert again.settings.read() == {"bed_mesh": False}
    again.settings.replace_overridden({})
    assert again.settings.overridden() == {}
    again.close()


def test_what_was_refused_is_kept_with_the_answer_and_shown_without_secrets(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    store.outbox.set_aside(store.outbox.heads()[0], 422, "x" * 5000)
    assert store.outbox.overview() == [
        {"task_id": "t", "kind": "receipt", "waiting": False, "status": 422, "answer": "x" * 2000, "id": 1}
    ]


def test_a_state_of_a_newer_agent_is_left_alone(path: Path) -> None:
    open_store(path, FakeClock()).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(UnavailableError, match=f"newer agent .version {VERSION + 1}, this one knows {VERSION}"):
        open_store(path, FakeClock())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be used"):
        open_store(tmp_path / "file" / "agent.db", FakeClock())


def test_a_full_disk_is_unavailable_and_nothing_is_half_done(store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    (pages,) = store.database.row("PRAGMA page_count")
    store.database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UnavailableError, match="does not take a write"):
        store.tasks.end("t", TaskEvent.COMPLETE, b"x" * 2_000_000)
    task = store.tasks.get("t")
    assert task is not None
    assert task.state is TaskState.RECEIVED
    assert rows(store, "t") == ["receipt"]
    store.database.execute("PRAGMA max_page_count = 100000")
    store.tasks.end("t", TaskEvent.COMPLETE, b"x" * 100_000)
    assert rows(store, "t") == ["receipt", "terminal"]


def test_a_row_that_cannot_be_read_is_unavailable(store: Store) -> None:
    store.database.execute("DROP TABLE outbox")
    with pytest.raises(UnavailableError, match="does not give a row"):
        store.outbox.heads()


def test_threads_share_the_store(store: Store) -> None:
    """Each of eight threads leads its own tasks through their lives; nobody's transaction mixes with another's."""
    problems: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                task_id = f"{name}-{number}"
                store.tasks.accept(command(task_id), b"r")
                store.tasks.start(task_id)
                store.tasks.progress(task_id, 0.5, b"p")
                store.tasks.end(task_id, TaskEvent.COMPLETE, b"e")
        except BaseException as error:
            problems.append(error)
            raise

    threads = [threading.Thread(target=work, args=(name,), name=f"worker-{name}") for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert len(store.tasks.in_state(TaskState.COMPLETED)) == 80
    assert len(store.outbox.overview()) == 160


def installation(task_id: str, *, model: str = "Mk-3", **more: Any) -> Installation:
    return Installation(**{"task_id": task_id, "model": model, "old_version": "", "old_firmware": "", **more})


def test_the_installed_firmware_is_kept_for_each_model(path: Path, store: Store) -> None:
    assert store.firmware.installed("Mk-3") == ""
    for model, version in (("Mk-3", "2.1"), ("mk-3", "2.2"), ("Mk-4", "9")):
        store.firmware.begin(installation("t", model=model, new_version=version))
    store.close()
    again = open_store(path, FakeClock())
    assert (again.firmware.installed("MK-3"), again.firmware.installed("Mk-4")) == ("2.2", "9")
    again.close()


def test_an_installation_is_known_until_the_next_one_with_how_it_ended(path: Path, store: Store) -> None:
    store.firmware.begin(installation("a", new_version="2"))
    store.firmware.end(installation("a", new_version="2", ended=True, installed=True))
    begun = installation("b", old_version="2", new_version="3")
    store.firmware.begin(begun)
    store.close()
    again = open_store(path, FakeClock())
    assert again.firmware.installation("b") == begun
    assert again.firmware.installation("a") is None
    assert again.firmware.installed("Mk-3") == "3", "an agent that is killed cannot know how far it came"
    again.firmware.end(installation("b", old_version="2", new_version="3", ended=True, installed=False))
    assert again.firmware.installed("Mk-3") == "2"
    again.firmware.end(installation("b", old_version="", new_version="3", ended=True, installed=False))
    assert again.firmware.installed("Mk-3") == ""
    again.close()


def test_a_state_of_before_firmware_was_recorded_is_migrated(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        for step in STEPS[:3]:
            for statement in step:
                db.execute(statement)
        db.execute("INSERT INTO settings VALUES ('speed_percent', '90')")
        db.execute("PRAGMA user_version = 3")
    db.close()
    store = open_store(path, FakeClock())
    assert store.settings.read() == {"speed_percent": 90}
    assert store.firmware.installed("Mk-3") == ""
    store.close()

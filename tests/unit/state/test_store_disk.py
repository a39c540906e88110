"""The store's file on bad days: damaged, missing, old, a full disk, a clock that jumps."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.core.command import Command, Name
from agent.core.task import TaskEvent, TaskState
from agent.errors import UnavailableError
from agent.state.database import RESERVE, SPARE
from agent.state.schema import STEPS, VERSION
from agent.state.store import KEEP, Identity, Store
from agent.testing import FakeClock
from tests.support.store import open_store

SERVER, TOKEN = "https://a", "A" * 43
ME = Identity(SERVER, 7, TOKEN, registered=True)
DAY = 86400.0


def command(task_id: str) -> Command:
    return Command(task_id=task_id, name=Name.HOME, raw_name="home")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[Store]:
    made = open_store(path, clock, boot="one")
    yield made
    made.close()


def ended(store: Store, task_id: str) -> None:
    """A task that has come and gone, with nothing left to send."""
    store.tasks.accept(command(task_id), b"r")
    store.tasks.end(task_id, TaskEvent.COMPLETE, b"e")
    for _ in range(2):
        store.outbox.acknowledge(next(one for one in store.outbox.heads() if one.task_id == task_id))


def known(store: Store) -> set[str]:
    return {task.command.task_id for state in TaskState for task in store.tasks.in_state(state)}


# --- damage


@pytest.mark.parametrize("damage", ["no database", "torn", "zeros inside"])
def test_a_damaged_file_is_set_aside_and_the_printer_stays_who_it_was(path: Path, store: Store, damage: str) -> None:
    store.identities.save(ME)
    for number in range(200):
        store.tasks.accept(command(f"t{number}"), b"r" * 100)
    store.close()
    content = path.read_bytes()
    broken = {
        "no database": b"not a database at all" * 400,
        "torn": content[: len(content) // 3],
        "zeros inside": content[:4096] + bytes(40960) + content[45056:],
    }[damage]
    path.write_bytes(broken)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    again = open_store(path, FakeClock())
    assert again.database.damaged is not None
    assert again.database.damaged.read_bytes() == broken, "set aside, not thrown away"
    assert again.database.damaged.name == "agent.db.damaged-20160301T120000Z"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert again.identities.get(SERVER) == ME
    assert again.tasks.accept(command("t"), b"r")
    again.close()


@pytest.mark.parametrize("damage", ["no database", "zeros inside"])
def test_the_log_of_a_damaged_file_is_set_aside_with_it(path: Path, store: Store, damage: str) -> None:
    """What was committed last is in the log alone, and must not get into the new file."""
    for number in range(200):
        store.tasks.accept(command(f"t{number}"), b"r" * 100)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE tasks SET message = 'last words'")
        db.commit()
        log = path.with_name("agent.db-wal").read_bytes()
    content = path.read_bytes()
    path.write_bytes(
        b"not a database at all" * 400
        if damage == "no database"
        else content[:4096] + bytes(len(content) - 8192) + content[-4096:]
    )
    path.with_name("agent.db-wal").write_bytes(log)
    path.with_name("agent.db-shm").unlink(missing_ok=True)
    again = open_store(path, FakeClock())
    assert again.database.damaged is not None
    kept = path.parent.glob(again.database.damaged.name + "*")  # SQLite itself may have moved the log into the file
    assert any(b"last words" in file.read_bytes() for file in kept)
    assert known(again) == set()
    again.close()


def test_a_second_damage_in_the_same_second_keeps_the_first(path: Path) -> None:
    for _ in range(3):
        path.write_bytes(b"nonsense" * 1000)
        open_store(path, FakeClock()).close()
    assert len(list(path.parent.glob("agent.db.damaged-*Z*"))) >= 3


def test_a_database_that_is_gone_leaves_the_printer_who_it_was(path: Path, store: Store) -> None:
    store.identities.save(ME)
    store.close()
    for part in path.parent.glob("agent.db*"):
        part.unlink()
    again = open_store(path, FakeClock())
    assert again.identities.get(SERVER) == ME
    assert again.database.damaged is None
    again.close()


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b'{"server":"https://a","printer_id":7,"auth_token":""}'])
def test_an_identity_that_cannot_be_read_comes_from_the_copy(path: Path, store: Store, value: bytes) -> None:
    store.identities.save(ME)
    store.database.execute("UPDATE identity SET value = ?", (value,))
    assert store.identities.get(SERVER) is None
    store.close()
    again = open_store(path, FakeClock())
    assert again.identities.get(SERVER) == ME
    again.close()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xff", b'[{"server": 1}]'])
def test_a_copy_that_cannot_be_read_stops_nothing(path: Path, content: bytes) -> None:
    (path.parent / "identity.json").write_bytes(content)
    store = open_store(path, FakeClock())
    assert store.identities.get(SERVER) is None
    store.identities.save(ME)
    store.close()


def test_a_forgotten_identity_does_not_come_back(path: Path, store: Store) -> None:
    store.identities.save(ME)
    store.identities.save(Identity("https://b", 8, TOKEN))
    store.identities.forget(SERVER)
    store.close()
    for part in path.parent.glob("agent.db*"):
        part.unlink()
    again = open_store(path, FakeClock())
    assert again.identities.get(SERVER) is None
    assert again.identities.get("https://b") is not None
    again.identities.forget("https://b")
    assert not (path.parent / "identity.json").exists()
    again.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in STEPS[0]:
            db.execute(statement)
        row = ("old", b'{"task_id":"old","name":"home","said":"home"}', "received", 0, 1456833600.0, 1456833600.0)
        db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, 0, '', ?, ?, NULL, NULL, NULL)", row)
        db.execute("PRAGMA user_version = 1")
    store = open_store(path, FakeClock())
    (task,) = store.tasks.in_state(TaskState.RECEIVED)
    assert (task.command.name, task.command.raw_name, task.age) == (Name.HOME, "home", 0.0)
    assert b'"said":"home"' in msgspec.json.encode(task.command), "an older agent reads it too"
    assert store.database.row("PRAGMA user_version") == (VERSION,)
    store.close()


# --- space


def test_space_is_set_aside_at_the_first_start_and_kept(path: Path, store: Store) -> None:
    (free,), (size,) = store.database.row("PRAGMA freelist_count"), store.database.row("PRAGMA page_size")
    assert free * size >= RESERVE
    wal = path.with_name("agent.db-wal")
    length = wal.stat().st_size
    assert length >= RESERVE
    assert path.stat().st_blocks * 512 >= RESERVE, "not a hole in the file"
    for number in range(300):
        store.tasks.accept(command(f"t{number}"), b"r" * 200)
        store.tasks.end(f"t{number}", TaskEvent.COMPLETE, b"e")
    store.close()
    assert wal.stat().st_size == length, "the log is reused, and stays after the end"
    assert path.with_name("agent.db.spare").stat().st_size == SPARE


def test_a_second_start_does_not_take_more(path: Path, store: Store) -> None:
    store.close()
    before = path.stat().st_size
    for _ in range(3):
        open_store(path, FakeClock()).close()
    assert path.stat().st_size == before


def test_what_is_in_the_log_after_the_end_is_not_lost(path: Path, store: Store) -> None:
    store.tasks.accept(command("t"), b"r")
    store.close()
    again = open_store(path, FakeClock())
    assert known(again) == {"t"}
    again.close()


def test_trouble_with_the_disk_is_told_and_its_end_too(path: Path) -> None:
    told: list[str] = []
    store = open_store(path, FakeClock(), on_trouble=told.append)
    store.database.execute("PRAGMA query_only = 1")
    with pytest.raises(UnavailableError):
        store.tasks.accept(command("t"), b"r")
    store.database.execute("PRAGMA query_only = 0")
    store.tasks.accept(command("t"), b"r")
    assert [bool(reason) for reason in told] == [True, False]
    store.close()


# --- writes


@pytest.fixture
def commits(store: Store, path: Path) -> Iterator[Callable[[], int]]:
    """SQLite's own count of changes to the file, as another connection sees it."""
    assert store.database.damaged is None
    with closing(sqlite3.connect(path)) as db:
        yield lambda: int(db.execute("PRAGMA data_version").fetchone()[0])


def test_progress_that_was_sent_costs_the_disk_no_commit_of_its_own(store: Store, commits: Callable[[], int]) -> None:
    store.tasks.accept(command("t"), b"r")
    store.outbox.acknowledge(store.outbox.heads()[0])
    store.tasks.progress("t", 0.1, b"p")
    before = commits()
    store.outbox.acknowledge(store.outbox.heads()[0])
    assert commits() == before
    assert (store.outbox.heads(), store.outbox.overview(), store.outbox.pending_count()) == ([], [], 0)
    assert not store.tasks.accept(command("t"), b"r")
    assert [head.body for head in store.outbox.heads()] == [b"p"], "a second delivery is answered all the same"
    store.tasks.end("t", TaskEvent.COMPLETE, b"e")
    assert [head.body for head in store.outbox.heads()] == [b"p", b"e"][-1:]
    assert store.database.row("SELECT count(*) FROM outbox") == (1,)


# --- time


def test_the_age_within_a_boot_is_monotonic_and_over_a_boot_by_the_wall_clock(path: Path, clock: FakeClock) -> None:
    store = open_store(path, clock, boot="one")
    store.tasks.accept(command("t"), b"r")
    clock.now += 50
    clock.epoch += 10 * 365 * DAY
    assert store.tasks.get("t").age == 50  # type: ignore[union-attr]
    store.close()
    other = open_store(path, clock, boot="two")
    assert other.tasks.get("t").age == 10 * 365 * DAY  # type: ignore[union-attr]
    clock.epoch -= 20 * 365 * DAY
    assert other.tasks.get("t").age == 10 * 365 * DAY, "a clock that was set back is no youth"  # type: ignore[union-attr]
    other.close()


def test_what_ended_goes_after_thirty_days_of_running_and_what_waits_stays(path: Path, clock: FakeClock) -> None:
    store = open_store(path, clock)
    for number in range(450):
        ended(store, f"old{number}")
    store.tasks.accept(command("waits"), b"r")
    store.tasks.end("waits", TaskEvent.FAIL, b"e")
    store.tasks.accept(command("runs"), b"r")
    store.tasks.start("runs")
    store.tasks.accept(command("refused"), b"r")
    store.outbox.set_aside(next(head for head in store.outbox.heads() if head.task_id == "refused"), 422, "no")
    clock.now += KEEP - 10
    ended(store, "young")
    clock.now += 20
    store.tidy()
    assert known(store) == {"waits", "runs", "young", "refused"}
    assert [row["task_id"] for row in store.outbox.overview() if not row["waiting"]] == []
    store.close()


@pytest.mark.parametrize("years", [-10, 10])
def test_a_wall_clock_that_jumps_removes_nothing(path: Path, clock: FakeClock, years: int) -> None:
    store = open_store(path, clock)
    ended(store, "t")
    clock.epoch += years * 365 * DAY
    clock.now += 7200
    store.tidy()
    assert known(store) == {"t"}
    assert not store.tasks.accept(command("t"), b"r"), "still known: it is not done twice"
    store.close()


def tidy_and_close(store: Store) -> None:
    store.tidy()
    store.close()


def tidy_and_kill(store: Store) -> None:
    store.tidy()
    store.database.close()  # nothing is saved


@pytest.mark.parametrize("end", [Store.close, tidy_and_close, tidy_and_kill])
def test_the_days_of_running_add_up_over_restarts_and_kills(path: Path, end: Callable[[Store], None]) -> None:
    """A life counts up to its close, tidied before or not, and up to the last tidying before a kill."""
    clock = FakeClock()
    store = open_store(path, clock)
    ended(store, "t")
    for _ in range(31):
        clock.now += DAY
        end(store)
        clock.now = 5.0  # another boot
        store = open_store(path, clock)
    store.tidy()
    assert known(store) == set()
    store.close()


def test_what_ended_in_a_later_life_is_young_then_and_old_thirty_days_later(path: Path) -> None:
    """Also a task that came long before its end: its age is counted from there."""
    clock = FakeClock()
    store = open_store(path, clock)
    store.tasks.accept(command("slow"), b"r")
    store.tasks.start("slow")
    clock.now += KEEP + DAY
    store.close()
    clock.now = 5.0
    store = open_store(path, clock)
    store.tasks.end("slow", TaskEvent.COMPLETE, b"e")
    for _ in range(2):
        store.outbox.acknowledge(store.outbox.heads()[0])
    ended(store, "quick")
    clock.now += KEEP - 10
    store.tidy()
    assert known(store) == {"slow", "quick"}
    assert not store.tasks.accept(command("slow"), b"r"), "still known: it is not done twice"
    clock.now += 7200
    store.outbox.acknowledge(store.outbox.heads()[0])
    store.tidy()
    assert known(store) == set()
    store.close()


def test_a_machine_that_was_up_for_long_makes_nothing_old(path: Path) -> None:
    clock = FakeClock()
    clock.now = 10 * KEEP  # seconds since the boot, of which the agent ran none
    store = open_store(path, clock)
    ended(store, "t")
    store.tidy()
    store.close()
    store = open_store(path, clock)
    store.tidy()
    assert known(store) == {"t"}
    store.close()


def test_the_tidying_writes_once_an_hour(store: Store, clock: FakeClock, commits: Callable[[], int]) -> None:
    store.tidy()
    before = commits()
    for _ in range(59):
        clock.advance(60)
        store.tidy()
    assert commits() == before
    clock.advance(60)
    store.tidy()
    assert commits() > before

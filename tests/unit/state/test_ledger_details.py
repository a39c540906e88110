"""Details of the ledger that nobody sees until they are wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.core.command import Command, Name
from agent.state.checkpoint import FileMark
from agent.state.store import Store


def accepted(store: Store, task_id: str) -> None:
    store.tasks.accept(Command(task_id=task_id, name=Name.HOME, raw_name="home"), b"receipt of " + task_id.encode())


def test_a_refused_report_that_is_tried_again_is_queued_as_it_was_under_its_key(store: Store) -> None:
    for task_id in ("a", "b"):
        accepted(store, task_id)
    before = store.outbox.heads()
    for report in before:
        store.outbox.set_aside(report, 422, "no")
    assert store.outbox.heads() == []
    number = next(row["id"] for row in store.outbox.overview() if row["task_id"] == "b")
    assert store.outbox.retry(number) == 1
    assert [(head.task_id, head.body, head.key) for head in store.outbox.heads()] == [
        ("b", b"receipt of b", before[1].key)
    ]
    assert store.outbox.retry(None) == 1
    assert [(head.body, head.key) for head in store.outbox.heads()] == [
        (before[1].body, before[1].key),
        (before[0].body, before[0].key),
    ]
    assert all(row["waiting"] for row in store.outbox.overview())


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_mark_that_says_nothing_is_that_of_no_file(tmp_path: Path, size: int) -> None:
    """An older agent may have stored none."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert msgspec.json.decode(b"{}", type=FileMark).size != FileMark.of(path, "").size


def test_a_closed_ledger_holds_no_file_open(store: Store, tmp_path: Path) -> None:
    def held() -> list[str]:
        files = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sorted(path.name for path in files if path.parent == tmp_path)

    accepted(store, "a")
    assert "agent.db" in held()
    store.close()
    assert held() == []
    store.close()


def test_the_oldest_refused_reports_go_when_there_is_one_too_many(store: Store) -> None:
    for task_id in ("a", "b", "c"):
        accepted(store, task_id)
    for report in store.outbox.heads():
        store.outbox.set_aside(report, 422, "no")
    assert store.outbox.remove_surplus_refused(3, 10) == 0
    assert store.outbox.remove_surplus_refused(2, 10) == 1
    assert [row["task_id"] for row in store.outbox.overview()] == ["b", "c"]
    assert store.outbox.remove_surplus_refused(0, 1) == 1
    assert [row["task_id"] for row in store.outbox.overview()] == ["c"]


def test_where_nothing_is_left_of_an_earlier_version_nothing_is_cut(store: Store) -> None:
    accepted(store, "a")
    assert store.tasks.slim_ended(10) == 0

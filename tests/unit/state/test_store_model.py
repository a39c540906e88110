"""Any life of tasks, told to the store and to a plain model that cannot lose anything: both say the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.core.command import Command, Name
from agent.core.report_bodies import Kind
from agent.core.task import TaskEvent, TaskState
from agent.state.store import Queued, Store
from agent.testing import FakeClock
from tests.support.store import open_store

ENDED = (TaskState.COMPLETED, TaskState.FAILED)
IDS = ("t0", "t1", "t2")


def command(task_id: str) -> Command:
    return Command(task_id=task_id, name=Name.HOME, raw_name="home")


def rows(store: Store, task_id: str) -> list[str]:
    return [str(row["kind"]) for row in store.outbox.overview() if row["waiting"] and row["task_id"] == task_id]


class Life(RuleBasedStateMachine):
    """What a task's reports are, told twice: by the store and by a plain model that cannot lose anything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "agent.db"
        self.store = open_store(self.path, FakeClock())
        self.count = 0
        self.state: dict[str, TaskState] = {}
        self.waiting: dict[str, list[tuple[Kind, bytes]]] = {task_id: [] for task_id in IDS}
        self.last: dict[str, tuple[Kind, bytes]] = {}
        self.done: list[tuple[str, Kind, bytes]] = []  # in the order in which they left the queue
        self.keys: dict[bytes, str] = {}
        self.flying: Queued | None = None  # read by the reporter, not yet answered
        self.refused = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def body(self) -> bytes:
        self.count += 1
        return b'{"n": %d}' % self.count

    def queue(self, task_id: str, kind: Kind, body: bytes) -> None:
        if kind in (Kind.PROGRESS, Kind.MILESTONE, Kind.TERMINAL):
            self.waiting[task_id] = [row for row in self.waiting[task_id] if row[0] is not Kind.PROGRESS]
        self.waiting[task_id].append((kind, body))
        self.last[task_id] = (kind, body)

    @rule(task_id=st.sampled_from(IDS))
    def accept(self, task_id: str) -> None:
        body = self.body()
        new = self.store.tasks.accept(command(task_id), body)
        assert new == (task_id not in self.state), "a second delivery is not new"
        if new:
            self.state[task_id] = TaskState.RECEIVED
            self.queue(task_id, Kind.RECEIPT, body)
        elif not self.waiting[task_id]:
            self.waiting[task_id].append(self.last[task_id])

    @rule(task_id=st.sampled_from(IDS))
    def start(self, task_id: str) -> None:
        if self.state.get(task_id) is TaskState.RECEIVED:
            self.store.tasks.start(task_id)
            self.state[task_id] = TaskState.RUNNING
        else:
            with pytest.raises(ValueError, match=task_id if task_id not in self.state else "cannot start"):
                self.store.tasks.start(task_id)

    @rule(task_id=st.sampled_from(IDS), milestone=st.booleans())
    def progress(self, task_id: str, milestone: bool) -> None:
        body = self.body()
        self.store.tasks.progress(task_id, 0.5, body, milestone=milestone)
        if task_id in self.state and self.state[task_id] not in ENDED:
            self.queue(task_id, Kind.MILESTONE if milestone else Kind.PROGRESS, body)

    @rule(task_id=st.sampled_from(IDS), event=st.sampled_from([TaskEvent.COMPLETE, TaskEvent.FAIL]))
    def end(self, task_id: str, event: TaskEvent) -> None:
        body = self.body()
        if task_id in self.state and self.state[task_id] not in ENDED:
            self.store.tasks.end(task_id, event, body, "why")
            self.state[task_id] = TaskState.COMPLETED if event is TaskEvent.COMPLETE else TaskState.FAILED
            self.queue(task_id, Kind.TERMINAL, body)
        else:
            with pytest.raises(ValueError, match=r"cannot|no task"):
                self.store.tasks.end(task_id, event, body)

    @precondition(lambda self: self.flying is None and any(self.waiting.values()))
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        """The reporter reads a head; before the answer comes, anything may happen."""
        self.flying = data.draw(st.sampled_from(self.store.outbox.heads()))

    @precondition(lambda self: self.flying is not None)
    @rule(taken=st.booleans())
    def answer(self, taken: bool) -> None:
        queued, self.flying = self.flying, None
        assert queued is not None
        if taken:
            self.store.outbox.acknowledge(queued)
        else:
            self.store.outbox.set_aside(queued, 422, "no")
            self.refused += 1
        self.done.append((queued.task_id, queued.kind, queued.body))
        head = self.waiting[queued.task_id][:1]
        if head == [(queued.kind, queued.body)]:
            del self.waiting[queued.task_id][0]

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.path, FakeClock())

    @rule()
    def kill(self) -> None:
        """As `kill -9`: what is in the files now, the write-ahead log included, is all there is. Only progress that was
        sent, and of which the disk does not know yet, is sent once more."""
        copy = Path(self.folder.name) / "copy"
        copy.mkdir(exist_ok=True)
        for part in self.path.parent.glob("agent.db*"):
            (copy / part.name).write_bytes(part.read_bytes())
        other = open_store(copy / "agent.db", FakeClock())
        ours, theirs = self.store.outbox.overview(), other.outbox.overview()
        assert [row for row in theirs if row["kind"] != "progress"] == [r for r in ours if r["kind"] != "progress"]
        assert all(row in theirs for row in ours)
        other.close()
        for part in copy.iterdir():
            part.unlink()

    @invariant()
    def the_queue_is_as_told(self) -> None:
        for task_id in IDS:
            kinds = [kind for kind, _ in self.waiting[task_id]]
            assert rows(self.store, task_id) == kinds
            assert kinds.count(Kind.PROGRESS) <= 1
        heads = {head.task_id: (head.kind, head.body) for head in self.store.outbox.heads()}
        assert heads == {task_id: row[0] for task_id, row in self.waiting.items() if row}
        for head in self.store.outbox.heads():
            assert self.keys.setdefault(head.body, head.key) == head.key, "a report has one key for good"
        assert len(set(self.keys.values())) == len(self.keys)
        assert sum(1 for row in self.store.outbox.overview() if not row["waiting"]) == self.refused

    @invariant()
    def the_ledger_is_as_told(self) -> None:
        for task_id in IDS:
            task = self.store.tasks.get(task_id)
            assert (task.state if task else None) == self.state.get(task_id)
        for state in TaskState:
            found = {task.command.task_id for task in self.store.tasks.in_state(state)}
            assert found == {task_id for task_id, is_in in self.state.items() if is_in is state}

    @invariant()
    def the_order_within_a_task_holds(self) -> None:
        for task_id in IDS:
            told = [*((k, b) for t, k, b in self.done if t == task_id), *self.waiting[task_id]]
            first = list(dict.fromkeys(body for _, body in told))  # without what was asked for a second time
            kinds = [next(kind for kind, seen in told if seen == body) for body in first]
            assert kinds.count(Kind.RECEIPT) <= 1
            assert kinds.count(Kind.TERMINAL) <= 1
            if kinds:
                assert kinds[0] is Kind.RECEIPT
            if Kind.TERMINAL in kinds:
                assert kinds[-1] is Kind.TERMINAL


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_any_life_of_tasks_keeps_the_promises = Life.TestCase

"""The reporter and the store against an API in a storm, with the hours in our hands: 429 with Retry-After, 500, 503, a
time-out after the report was taken, a reset, a body that is cut, a byte a second."""

from __future__ import annotations

import random
import resource
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.core.command import Command, Name
from agent.core.task import TaskEvent
from agent.service.config import CloudSection
from agent.service.snapshot import AgentSnapshot
from agent.service.system_clock import SystemClock
from agent.state.store import Identity
from agent.testing import FakeClock
from benchmarks.failing_server import FailingServer
from tests.support.cloud_side import make_client, make_registrar, make_reporter
from tests.support.driver import SlotDriver
from tests.support.store import open_store

HOUR = 3600.0
TASK_EVERY, PROGRESS_EVERY = 600.0, 30.0  # simulated seconds
MEMORY = 2048  # KiB
KEPT = 20  # tasks; the storms have breaks, so that older ones have all been taken


class Sender:
    """A store and a reporter that lives as its own loop would, in simulated time."""

    def __init__(self, folder: Path, url: str) -> None:
        self.clock = FakeClock()
        self.store = open_store(folder / "agent.db", self.clock)
        self.wake = threading.Event()
        limits = CloudSection(server=url, connect_timeout_s=0.05, read_timeout_s=0.05)
        self.cloud = make_client(limits, SystemClock())
        self.store.identities.save(Identity(url, 7, "T" * 43, registered=True))
        registrar = make_registrar(url, self.store, clock=self.clock)
        board = AgentSnapshot(SlotDriver())
        self.reporter = make_reporter(self.store, self.cloud, registrar, board, clock=self.clock, wake=self.wake)
        self.most = 0

    def until(self, then: float) -> None:
        """Run the loop until the simulated time `then`."""
        while self.clock.now < then:
            self.reporter.step()
            self.most = max(self.most, self.store.outbox.pending_count())
            rows = self.store.database.rows("SELECT count(*) FROM outbox WHERE kind = 'progress' GROUP BY task_id")
            assert all(count == 1 for (count,) in rows), "more than one progress of a task waits"
            self.clock.advance(min(max(self.reporter.seconds_until_due(), 0.05), max(then - self.clock.now, 0.05)))

    def close(self) -> None:
        """Close the store and the client."""
        self.cloud.close()
        self.store.close()


@contextmanager
def sender(folder: Path, url: str) -> Iterator[Sender]:
    """Open a sender for one test."""
    made = Sender(folder, url)
    try:
        yield made
    finally:
        made.close()


def begin(made: Sender, task_id: str) -> None:
    """Accept a print."""
    made.store.tasks.accept(Command(task_id, Name.PRINT_DATA, "print_data"), b'{"progress":0,"n":"receipt"}')
    made.store.tasks.start(task_id)
    made.store.tasks.progress(task_id, 0.0, b'{"progress":0,"n":"milestone"}', milestone=True)


def go_on(made: Sender, task_id: str, value: float) -> None:
    """Report progress of a print."""
    made.store.tasks.progress(task_id, value, msgspec.json.encode({"progress": value, "n": "progress"}))


def end(made: Sender, task_id: str) -> None:
    """End a print."""
    made.store.tasks.end(task_id, TaskEvent.COMPLETE, b'{"progress":1,"n":"terminal"}')


def storm(folder: Path, hours: float, seed: int) -> dict[str, Any]:
    """Report prints to an API that fails most of the time, for simulated hours; the figures. Raises AssertionError for
    a report that is lost or out of order, and for a queue or a memory that grows."""
    rng = random.Random(seed)
    with FailingServer(seed) as server, sender(folder, server.url) as made:
        began = made.clock.now
        tasks: list[str] = []
        unchecked: deque[str] = deque()
        current = ""
        value = 0.0
        memory = 0
        while (now := made.clock.now - began) < hours * HOUR:
            if now >= len(tasks) * TASK_EVERY:
                if current:
                    end(made, current)
                current, value = f"task-{len(tasks)}", 0.0
                tasks.append(current)
                unchecked.append(current)
                if len(unchecked) > KEPT:
                    check(server, [unchecked.popleft()])
                begin(made, current)
            value = min(value + 0.04, 0.99)
            go_on(made, current, round(value, 4))
            server.stormy = now % HOUR < 0.75 * HOUR
            server.rate = rng.choice((0.5, 0.9, 1.0))
            made.until(began + now + PROGRESS_EVERY)
            if not memory and now > hours * HOUR / 8:
                memory = resident()
        grown = resident() - memory
        end(made, current)
        server.stormy = False
        returned = made.clock.now
        while made.store.outbox.pending_count():
            made.until(made.clock.now + 1.0)
            assert made.clock.now - returned < 3600, "never taken"
        check(server, unchecked)
        assert made.store.outbox.overview() == []
        assert grown < MEMORY, f"the memory grew by {grown} KiB"
        return {
            "simulated_hours": hours,
            "tasks": len(tasks),
            "requests": server.requests,
            "faults": dict(sorted(server.faults.items())),
            "most_waiting": made.most,
            "memory_grew_KiB": grown,
            "drained_s": round(made.clock.now - returned, 1),
        }


def check(server: FailingServer, tasks: Iterable[str]) -> None:
    """Check each task: receipt, milestone, rising progress, one terminal, in this order; a repeat has its first one's
    key."""
    for task_id in tasks:
        kinds, values = zip(*server.taken[task_id].values(), strict=True)
        assert kinds[:2] == ("receipt", "milestone"), f"{task_id}: {kinds[:3]}"
        assert kinds[-1] == "terminal", f"{task_id}: {kinds[-1]}"
        assert Counter(kinds)["terminal"] == Counter(kinds)["receipt"] == 1
        assert list(values) == sorted(values)
        server.taken[task_id].clear()  # the memory is looked at, and this one is not the agent's


def resident() -> int:
    """Resident memory of this process, KiB."""
    text = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * resource.getpagesize() // 1024


def week(folder: Path, days: float) -> dict[str, Any]:
    """Queue the reports of three prints while the API is gone for days; how long they take after its return."""
    with FailingServer(0) as server, sender(folder, server.url) as made:
        server.stop()
        began = made.clock.now
        for number in range(3):
            begin(made, f"print-{number}")
            for step in range(20):
                go_on(made, f"print-{number}", step / 20)
                made.until(made.clock.now + 60)
            end(made, f"print-{number}")
        assert made.store.outbox.pending_count() == 9
        made.until(began + days * 24 * HOUR)
        server.start()
        returned = made.clock.now
        while made.store.outbox.pending_count():
            made.until(made.clock.now + 0.5)
            assert made.clock.now - returned < 3600, "never taken"
        check(server, [f"print-{number}" for number in range(3)])
        took = made.clock.now - returned
        assert took <= 60.0, f"{took:.0f} s after the return"
        return {"simulated_days": days, "reports": 9, "all_there_after_s": round(took, 1)}

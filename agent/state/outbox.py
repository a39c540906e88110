"""The reports that wait to be sent, and those that the server refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.core.clock import Clock
from agent.core.report import Kind
from agent.state.database import Database


class Queued(msgspec.Struct, frozen=True):
    """A row of the outbox. `key` names the report for good: the same on each try."""

    id: int
    task_id: str
    kind: Kind
    body: bytes
    key: str


class Outbox(Database):
    """The part of the store that the reporter lives on. What puts reports in is the ledger's: see Store."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        boot: str = "",
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(path, clock, boot=boot, on_trouble=on_trouble)
        self._taken: set[int] = set()  # progress that the server took; the next commit removes it

    def heads(self, after: int = 0) -> list[Queued]:
        """The oldest unsent report of each task: they are sent in order within a task, tasks beside each other. At
        most 100, those with an id above `after`: the last one's id leads to the next page."""
        with self._lock:
            rows = self._all(
                "SELECT id, task_id, kind, body, key FROM outbox WHERE id IN"  # noqa: S608 our own numbers
                f" (SELECT min(id) FROM outbox WHERE {self._untaken()} GROUP BY task_id)"
                " AND id > ? ORDER BY id LIMIT 100",
                after,
            )
        return [Queued(id=i, task_id=t, kind=Kind(k), body=b, key=key) for i, t, k, b, key in rows]

    def sent(self, report: Queued) -> None:
        """The server took it. A row that was replaced in the meantime stays. Progress goes with the next commit, which
        spares the disk one; after a kill in between it is sent again, with its key."""
        if report.kind is Kind.PROGRESS:
            with self._lock:
                self._taken.add(report.id)
            return
        with self._transaction():
            self._db.execute("DELETE FROM outbox WHERE id = ?", (report.id,))

    def set_aside(self, report: Queued, status: int, answer: str) -> None:
        """The server will never take it: keep it with the answer, out of the queue."""
        with self._transaction():
            what = (report.task_id, report.kind, report.body, report.key, status, answer[:2000])
            self._db.execute(
                "INSERT INTO refused (task_id, kind, body, key, status, answer, at, lived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*what, self._clock.wall(), self._now_lived()),
            )
            self._db.execute("DELETE FROM outbox WHERE id = ?", (report.id,))

    def outbox(self) -> list[dict[str, Any]]:
        """What waits and what was refused, for a person: no bodies, no secrets. `id` is for `retry` and `drop`."""
        with self._lock:
            waiting = self._all(f"SELECT task_id, kind FROM outbox WHERE {self._untaken()} ORDER BY id")  # noqa: S608
            refused = self._all("SELECT task_id, kind, status, answer, id FROM refused ORDER BY id")
        return [{"task_id": t, "kind": k, "waiting": True} for t, k in waiting] + [
            {"task_id": t, "kind": k, "waiting": False, "status": s, "answer": a, "id": i} for t, k, s, a, i in refused
        ]

    def waiting(self) -> int:
        """How many reports wait."""
        with self._lock:
            return int(self._one(f"SELECT count(*) FROM outbox WHERE {self._untaken()}")[0])  # noqa: S608

    def retry(self, number: int | None) -> int:
        """Queue a refused report once more (None: all of them), as it was and under its key; how many there were."""
        which, values = _which(number)
        with self._transaction():
            self._db.execute(
                "INSERT INTO outbox (task_id, kind, body, key) SELECT task_id, kind, body, key FROM refused"  # noqa: S608
                f" WHERE {which} ORDER BY id",
                values,
            )
            return self._db.execute(f"DELETE FROM refused WHERE {which}", values).rowcount  # noqa: S608

    def drop(self, number: int | None) -> int:
        """Throw a refused report away (None: all of them); how many there were."""
        which, values = _which(number)
        with self._transaction():
            return self._db.execute(f"DELETE FROM refused WHERE {which}", values).rowcount  # noqa: S608

    # --- inside

    def _untaken(self) -> str:
        """SQL: the rows of the outbox without those that were sent already. A few numbers at most."""
        return f"id NOT IN ({', '.join(map(str, self._taken))})"

    def _before_commit(self) -> None:
        if self._taken:
            self._db.execute(f"DELETE FROM outbox WHERE NOT ({self._untaken()})")  # noqa: S608 our own numbers

    def _after_commit(self) -> None:
        self._taken.clear()


def _which(number: int | None) -> tuple[str, tuple[int, ...]]:
    return ("1", ()) if number is None else ("id = ?", (number,))

"""The queue of reports that wait to be sent, and those that the server refused."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.core.report_bodies import Kind
from agent.state.database import Database
from agent.state.service_time import ServiceTime

PAGE = 100  # rows that `heads` gives at most
ANSWER_TEXT = 2000  # characters of the server's answer that are kept with a refused report

_OLD_REFUSED = "DELETE FROM refused WHERE id IN (SELECT id FROM refused WHERE lived < ? LIMIT ?)"

_SURPLUS_REFUSED = "DELETE FROM refused WHERE id IN (SELECT id FROM refused ORDER BY id LIMIT ?)"


class Queued(msgspec.Struct, frozen=True):
    """A row of the outbox. `key` is the report's idempotency key: the same on each try."""

    id: int
    task_id: str
    kind: Kind
    body: bytes
    key: str


class Outbox:
    """The tables `outbox` and `refused`. What puts reports in is TaskTable: a report and the task's state that it tells
    are one transaction."""

    def __init__(self, database: Database, time: ServiceTime) -> None:
        self._database = database
        self._time = time
        self._sent: set[int] = set()  # progress that the server took; the next commit removes it
        database.on_commit(before=self._remove_sent, after=self._sent.clear)

    # --- the reporter's side

    def heads(self, after: int = 0) -> list[Queued]:
        """The oldest unsent report of each task: they are sent in order within a task, tasks beside each other. At
        most PAGE, those with an id above `after`: the last one's id leads to the next page."""
        with self._database.locked():
            rows = self._database.rows(
                "SELECT id, task_id, kind, body, key FROM outbox WHERE id IN"  # noqa: S608 our own numbers
                f" (SELECT min(id) FROM outbox WHERE {self._unsent()} GROUP BY task_id)"
                f" AND id > ? ORDER BY id LIMIT {PAGE}",
                after,
            )
        return [Queued(id=i, task_id=t, kind=Kind(k), body=b, key=key) for i, t, k, b, key in rows]

    def acknowledge(self, report: Queued) -> None:
        """Remove a report that the server took. A row that was replaced in the meantime stays. Progress goes with the
        next commit, which spares the disk one; after a kill in between it is sent again, with its key."""
        if report.kind is Kind.PROGRESS:
            with self._database.locked():
                self._sent.add(report.id)
            return
        with self._database.transaction():
            self._remove(report)

    def set_aside(self, report: Queued, status: int, answer: str) -> None:
        """Move a report that the server will never take out of the queue, and keep it with the answer."""
        row = (report.task_id, report.kind, report.body, report.key, status, answer[:ANSWER_TEXT])
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO refused (task_id, kind, body, key, status, answer, at, lived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, self._time.wall(), self._time.elapsed()),
            )
            self._remove(report)

    # --- a person's side

    def overview(self) -> list[dict[str, Any]]:
        """What waits and what was refused, for a person: no bodies, no secrets. `id` is for `retry` and `drop`."""
        with self._database.locked():
            waiting = self._database.rows(
                f"SELECT task_id, kind FROM outbox WHERE {self._unsent()} ORDER BY id"  # noqa: S608 our own numbers
            )
            refused = self._database.rows("SELECT task_id, kind, status, answer, id FROM refused ORDER BY id")
        return [{"task_id": t, "kind": k, "waiting": True} for t, k in waiting] + [
            {"task_id": t, "kind": k, "waiting": False, "status": s, "answer": a, "id": i} for t, k, s, a, i in refused
        ]

    def pending_count(self, task_id: str | None = None) -> int:
        """How many reports wait (None: of all tasks)."""
        which, values = _which("task_id", task_id)
        with self._database.locked():
            return int(
                self._database.row(
                    f"SELECT count(*) FROM outbox WHERE {self._unsent()} AND {which}",  # noqa: S608 our own numbers
                    *values,
                )[0]
            )

    def retry(self, number: int | None) -> int:
        """Queue a refused report once more (None: all of them), as it was and under its key; how many there were."""
        which, values = _which("id", number)
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO outbox (task_id, kind, body, key) SELECT task_id, kind, body, key FROM refused"  # noqa: S608
                f" WHERE {which} ORDER BY id",
                values,
            )
            return self._database.execute(f"DELETE FROM refused WHERE {which}", values)  # noqa: S608

    def drop(self, number: int | None) -> int:
        """Delete a refused report (None: all of them); how many there were."""
        which, values = _which("id", number)
        with self._database.transaction():
            return self._database.execute(f"DELETE FROM refused WHERE {which}", values)  # noqa: S608

    # --- inside the transaction of a task

    def add(self, task_id: str, kind: Kind, body: bytes, key: str) -> None:
        """Queue a report behind those of its task."""
        row = (task_id, kind, body, key)
        self._database.execute("INSERT INTO outbox (task_id, kind, body, key) VALUES (?, ?, ?, ?)", row)

    def has_progress(self, task_id: str) -> bool:
        """Whether unsent progress of the task is in the queue."""
        with self._database.locked():
            return bool(
                self._database.row(
                    f"SELECT 1 FROM outbox WHERE {self._unsent()} AND task_id = ? AND kind = ?",  # noqa: S608 our own numbers
                    task_id,
                    Kind.PROGRESS,
                )
            )

    def remove_progress(self, task_id: str) -> None:
        """Remove unsent progress, which a newer report makes superfluous."""
        self._database.execute("DELETE FROM outbox WHERE task_id = ? AND kind = ?", (task_id, Kind.PROGRESS))

    def remove_surplus_refused(self, keep: int, limit: int) -> int:
        """Delete at most `limit` of the oldest refused reports beyond `keep`; how many."""
        surplus = min(int(self._database.row("SELECT count(*) FROM refused")[0]) - keep, limit)
        if surplus <= 0:
            return 0
        with self._database.transaction():
            return self._database.execute(_SURPLUS_REFUSED, (surplus,))

    def remove_old_refused(self, before: float, limit: int) -> int:
        """Delete at most `limit` reports that were refused before that ServiceTime; how many there were."""
        with self._database.transaction():
            return self._database.execute(_OLD_REFUSED, (before, limit))

    # --- inside

    def _remove(self, report: Queued) -> None:
        self._database.execute("DELETE FROM outbox WHERE id = ?", (report.id,))

    def _unsent(self) -> str:
        """SQL: the rows of the outbox without those that were sent already. A few numbers at most."""
        return f"id NOT IN ({', '.join(map(str, self._sent))})"

    def _remove_sent(self) -> None:
        if self._sent:
            self._database.execute(f"DELETE FROM outbox WHERE NOT ({self._unsent()})")  # noqa: S608 our own numbers


def _which(column: str, value: int | str | None) -> tuple[str, tuple[int | str, ...]]:
    return ("1", ()) if value is None else (f"{column} = ?", (value,))

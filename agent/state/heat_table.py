"""The record that an operation may have left heaters on: written before a print or script begins, deleted when the
printer has reported its heaters off. An agent that finds it at its start switches them off."""

from __future__ import annotations

from agent.state.database import Database
from agent.state.service_time import ServiceTime


class HeatTable:
    """The table `heat`: at most one row. Methods raise UnavailableError."""

    def __init__(self, database: Database, time: ServiceTime) -> None:
        self._database = database
        self._time = time

    def begin(self, task_id: str) -> None:
        """Record that the operation of `task_id` may switch heaters on from now on."""
        with self._database.transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO heat (id, task_id, updated_at) VALUES (1, ?, ?)", (task_id, self._time.wall())
            )

    def task_id(self) -> str:
        """The task whose operation may have left heaters on; empty for none."""
        row = self._database.row("SELECT task_id FROM heat")
        return str(row[0]) if row else ""

    def clear(self) -> None:
        """Delete the record: the heaters are off, or somebody else's."""
        with self._database.transaction():
            self._database.execute("DELETE FROM heat")

"""Firmware versions that `firmware_upgrade` installed: what an older package is refused by, also after a restart."""

from __future__ import annotations

from agent.state.database import Database
from agent.state.service_time import ServiceTime


class FirmwareTable:
    """The table `firmware`: model → the version that was installed last. Methods raise UnavailableError."""

    def __init__(self, database: Database, time: ServiceTime) -> None:
        self._database = database
        self._time = time

    def installed(self, model: str) -> str:
        """The version that was installed last; empty for none."""
        row = self._database.row("SELECT version FROM firmware WHERE model = ?", model.casefold())
        return str(row[0]) if row else ""

    def record(self, model: str, version: str) -> None:
        """Store the version that is being installed; an empty one removes what is stored."""
        with self._database.transaction():
            if version:
                self._database.execute(
                    "INSERT OR REPLACE INTO firmware (model, version, updated_at) VALUES (?, ?, ?)",
                    (model.casefold(), version, self._time.wall()),
                )
            else:
                self._database.execute("DELETE FROM firmware WHERE model = ?", (model.casefold(),))

"""Firmware versions that `firmware_upgrade` installed: what an older package is refused by, also after a restart. And
the installation that has begun last: what is known of it when the power goes."""

from __future__ import annotations

import msgspec

from agent.state.database import Database
from agent.state.service_time import ServiceTime


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """One installation. Versions are packages'; `old_firmware` is what the printer said of itself before. `installed`
    is None until it is known whether the package was, `error` says why not, or why nobody knows."""

    task_id: str
    model: str
    old_version: str
    new_version: str
    old_firmware: str
    ended: bool = False  # the install command has
    installed: bool | None = None
    error: str = ""


class FirmwareTable:
    """The tables `firmware` (model → the version that was installed last) and `installation` (one row at most). Methods
    raise UnavailableError."""

    def __init__(self, database: Database, time: ServiceTime) -> None:
        self._database = database
        self._time = time

    def installed(self, model: str) -> str:
        """The version that was installed last; empty for none."""
        row = self._database.row("SELECT version FROM firmware WHERE model = ?", model.casefold())
        return str(row[0]) if row else ""

    def installation(self, task_id: str) -> Installation | None:
        """The installation that the task has begun, if it is the last one."""
        row = self._database.row("SELECT record FROM installation WHERE task_id = ?", task_id)
        return msgspec.json.decode(row[0], type=Installation) if row else None

    def begin(self, installation: Installation) -> None:
        """Record that an installation begins. Its version counts from now on: an agent that is killed meanwhile cannot
        know how far it came."""
        with self._database.transaction():
            self._store(installation)
            self._record(installation.model, installation.new_version)

    def end(self, installation: Installation) -> None:
        """Record how the installation ended. Where nothing was installed, the version of before counts again."""
        with self._database.transaction():
            self._store(installation)
            if installation.installed is False:
                self._record(installation.model, installation.old_version)

    def _store(self, installation: Installation) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO installation (id, task_id, record, updated_at) VALUES (1, ?, ?, ?)",
            (installation.task_id, msgspec.json.encode(installation), self._time.wall()),
        )

    def _record(self, model: str, version: str) -> None:
        if version:
            self._database.execute(
                "INSERT OR REPLACE INTO firmware (model, version, updated_at) VALUES (?, ?, ?)",
                (model.casefold(), version, self._time.wall()),
            )
        else:
            self._database.execute("DELETE FROM firmware WHERE model = ?", (model.casefold(),))

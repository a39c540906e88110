"""The printer's settings that the `settings` command stored, and what jobs have changed of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.core.settings import KNOWN, kept
from agent.state.database import Database

VALUE_LIMIT = 64  # bytes of a value as JSON; each is a small number
_USABLE = f"key IN ({', '.join('?' * len(KNOWN))}) AND length(value) <= {VALUE_LIMIT}"


class SettingsTable:
    """The tables `settings` and `overridden`: name → JSON value, for the names of agent/core/settings.py alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> dict[str, Any]:
        """All stored settings."""
        rows = self._database.rows(f"SELECT key, value FROM settings WHERE {_USABLE}", *KNOWN)  # noqa: S608 a constant
        return {key: msgspec.json.decode(value) for key, value in rows}

    def update(self, settings: dict[str, Any]) -> None:
        """Store these over what is stored; unknown names are left out. What a job has changed of them is not put back
        any more."""
        with self._database.transaction():
            for key, value in kept(settings).items():
                row = (key, msgspec.json.encode(value))
                self._database.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", row)
                self._database.execute("DELETE FROM overridden WHERE key = ?", (key,))

    def overridden(self) -> dict[str, Any]:
        """The settings that a job has changed, with what they were before."""
        rows = self._database.rows(f"SELECT key, value FROM overridden WHERE {_USABLE}", *KNOWN)  # noqa: S608 a constant
        return {key: msgspec.json.decode(value) for key, value in rows}

    def replace_overridden(self, before: Mapping[str, Any]) -> None:
        """Store these, and no others, as settings that a job has changed."""
        with self._database.transaction():
            self._database.execute("DELETE FROM overridden", ())
            for key, value in kept(before).items():
                row = (key, msgspec.json.encode(value))
                self._database.execute("INSERT INTO overridden (key, value) VALUES (?, ?)", row)

    def remove_unusable(self, limit: int) -> int:
        """Delete at most `limit` rows that an earlier version stored and nothing reads; how many there were."""
        if self._database.row(f"SELECT 1 FROM settings WHERE NOT ({_USABLE})", *KNOWN) is None:  # noqa: S608 a constant
            return 0
        with self._database.transaction():
            return self._database.execute(
                f"DELETE FROM settings WHERE rowid IN (SELECT rowid FROM settings WHERE NOT ({_USABLE}) LIMIT ?)",  # noqa: S608 a constant
                (*KNOWN, limit),
            )

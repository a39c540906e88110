"""The printer's settings that the `settings` command stored."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.state.database import Database


class SettingsTable:
    """The table `settings`: name → JSON value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> dict[str, Any]:
        """All stored settings."""
        rows = self._database.rows("SELECT key, value FROM settings")
        return {key: msgspec.json.decode(value) for key, value in rows}

    def update(self, settings: dict[str, Any]) -> None:
        """Store these over what is stored."""
        with self._database.transaction():
            for key, value in settings.items():
                row = (key, msgspec.json.encode(value))
                self._database.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", row)

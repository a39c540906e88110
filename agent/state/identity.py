"""The printer's identity at a server (id and token): its table, and a copy in a small file beside the database.

The database takes precedence. The copy is for the day on which the database is damaged or gone: the printer is then
still the printer that its owner has added, and does not ask for a new code. It is 0600 like the database: it holds the
token.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from agent.state import atomic_file
from agent.state.database import Database
from agent.state.service_time import ServiceTime

log = structlog.get_logger(part="identity")


class Identity(msgspec.Struct, frozen=True):
    """The printer's id and token at one server. `auth_token` is a secret; `registration_code` is for the person who
    adds the printer to the web portal and has no use once `registered`. `board` identifies the board that it was given
    to (agent/service/board_id.py), empty where nothing is known. `replaces` says for a person which printer it took the
    place of, and why; empty for the first one."""

    server: str
    printer_id: int
    auth_token: str
    registered: bool = False
    registration_code: str = ""
    registration_url: str = ""
    board: dict[str, str] = {}
    replaces: str = ""

    def __repr__(self) -> str:
        return f"Identity(server={self.server!r}, printer_id={self.printer_id}, registered={self.registered})"


def decode(value: bytes) -> Identity | None:
    """Decode a stored identity; None, and a line in the log, for one that cannot be read or has no token."""
    try:
        identity = msgspec.json.decode(value, type=Identity)
    except (msgspec.MsgspecError, UnicodeError):
        identity = None
    if identity is None or not identity.auth_token:
        log.error("stored identity unreadable")  # the printer registers anew
        return None
    return identity


class IdentityFile:
    """The copy of all identities, a JSON list. Never raises: what cannot be written or read is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Identity]:
        """Read all identities; none when the file is not there or cannot be read."""
        try:
            identities = msgspec.json.decode(self._path.read_bytes(), type=list[Identity])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            log.warning("identity copy unreadable", error=type(error).__name__)
            return []
        return [identity for identity in identities if identity.auth_token]

    def save(self, identities: list[Identity]) -> None:
        """Replace the file's content by these."""
        try:
            if not identities:
                self._path.unlink(missing_ok=True)
                return
            atomic_file.write(self._path, msgspec.json.encode(identities))
        except OSError as error:
            log.warning("identity copy not written", error=error.strerror)


class IdentityTable:
    """The table `identity`, one row a server, and the copy of it in `copy`."""

    def __init__(self, database: Database, time: ServiceTime, copy: IdentityFile) -> None:
        self._database = database
        self._time = time
        self._copy = copy
        self._restore()

    def get(self, server: str) -> Identity | None:
        """This printer's identity at `server`; a token is never shown to another server."""
        row = self._database.row("SELECT value FROM identity WHERE server = ?", server)
        return decode(row[0]) if row else None

    def ensure_writable(self) -> None:
        """Raise UnavailableError unless the disk takes a write now: a new printer is only asked for when it can be
        kept, or each try would make another one."""
        self._time.save()

    def save(self, identity: Identity) -> None:
        """Keep the identity, in place of what was known for its server."""
        with self._database.transaction():
            self._put(identity)
        self._save_copy()

    def forget(self, server: str) -> None:
        """Delete the identity: the server no longer knows the token."""
        with self._database.transaction():
            self._database.execute("DELETE FROM identity WHERE server = ?", (server,))
        self._save_copy()

    def secrets(self) -> list[str]:
        """The tokens and registration codes of all servers."""
        known = [decode(value) for (value,) in self._database.rows("SELECT value FROM identity")]
        return [text for one in known if one for text in (one.auth_token, one.registration_code) if text]

    def _restore(self) -> None:
        """Take from the copy what the database does not have, or has in no readable form: it may be a new one."""
        rows = self._database.rows("SELECT server, value FROM identity")
        broken = [server for server, value in rows if decode(value) is None]
        missing = [one for one in self._copy.load() if one.server in broken or one.server not in dict(rows)]
        if broken or missing:
            with self._database.transaction():
                for server in broken:
                    self._database.execute("DELETE FROM identity WHERE server = ?", (server,))
                for identity in missing:
                    self._put(identity)

    def _put(self, identity: Identity) -> None:
        row = (identity.server, msgspec.json.encode(identity))
        self._database.execute("INSERT OR REPLACE INTO identity (server, value) VALUES (?, ?)", row)

    def _save_copy(self) -> None:
        rows = self._database.rows("SELECT value FROM identity ORDER BY server")
        self._copy.save([identity for row in rows if (identity := decode(row[0])) is not None])

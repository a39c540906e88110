"""Who this printer is at a server, and the small file that keeps a copy of it beside the database.

The database has the say. The copy is for the day on which the database is damaged or gone: the printer is then still
the printer that its owner has added, and does not ask for a new code. It is 0600 like the database: it holds the token.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from agent.state import atomic_file

log = structlog.get_logger(part="identity")


class Identity(msgspec.Struct, frozen=True):
    """Who this printer is at one server. `auth_token` is a secret; `registration_code` is for the person who adds the
    printer to the web portal and has no use once `registered`."""

    server: str
    printer_id: int
    auth_token: str
    registered: bool = False
    registration_code: str = ""
    registration_url: str = ""

    def __repr__(self) -> str:
        return f"Identity(server={self.server!r}, printer_id={self.printer_id}, registered={self.registered})"


def decode(value: bytes) -> Identity | None:
    """A kept identity; None, and a line in the log, for one that cannot be read or has no token."""
    try:
        found = msgspec.json.decode(value, type=Identity)
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    if found is None or not found.auth_token:
        log.error("the identity that was kept cannot be read; this printer registers anew")
        return None
    return found


class IdentityFile:
    """The copy, a JSON list. It never stops anything: what cannot be written or read is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Identity]:
        """All identities in it; none when it is not there or cannot be read."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Identity])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            log.warning("the copy of the identity cannot be read", reason=type(error).__name__)
            return []
        return [identity for identity in found if identity.auth_token]

    def save(self, identities: list[Identity]) -> None:
        """Put these in place of what it has."""
        try:
            if not identities:
                self._path.unlink(missing_ok=True)
                return
            atomic_file.write(self._path, msgspec.json.encode(identities))
        except OSError as error:
            log.warning("the copy of the identity cannot be written", reason=error.strerror)

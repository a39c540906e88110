"""Accounts of the local cloud: members, printers, and which member has registered which printer. Survives a restart.

Of a printer's token only its SHA-256 is kept. The one member's token is kept as it is, because each start shows it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import sqlite3

import msgspec

from agent.sandbox.records_file import RecordsFile

_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that a person takes for another
_CODE_LENGTH = 6


class PrinterAccount(msgspec.Struct, frozen=True):
    """A printer that has asked for a registration code. `last_seen` is the time of its last report, seconds since the
    epoch."""

    printer_id: int
    firmware: str
    type_id: str
    code: str
    last_seen: float | None
    last_state: str


class OwnedPrinter(msgspec.Struct, frozen=True):
    """A printer as one member sees it; its primary owner has all rights. `registered_at` is in seconds since the
    epoch."""

    printer: PrinterAccount
    name: str
    registered_at: float
    is_primary: bool
    is_printer_scoped: bool = False
    is_job_scoped: bool = True

    @property
    def printer_scoped(self) -> bool:
        """Whether the member may send commands to the printer."""
        return self.is_primary or self.is_printer_scoped

    @property
    def job_scoped(self) -> bool:
        """Whether the member may start a job, and send commands to it."""
        return self.is_primary or self.is_job_scoped


class MemberRights(msgspec.Struct, frozen=True):
    """A member of a printer, with what was given beyond what `is_primary` gives."""

    member_id: str
    is_primary: bool
    is_printer_scoped: bool
    is_job_scoped: bool


class Accounts:
    """Members, printers and uploads in the records file. Any thread may call."""

    def __init__(self, records: RecordsFile) -> None:
        self._records = records

    def first_member(self) -> tuple[str, str]:
        """Return the id and bearer token of the member made at first start; make it the first time."""
        return self.first_members(1)[0]

    def first_members(self, count: int) -> list[tuple[str, str]]:
        """Return ids and bearer tokens of the first `count` members; make those that there are not yet."""
        rows = self._records.rows("SELECT member_id, token FROM members ORDER BY rowid LIMIT ?", count)
        known = [(str(row["member_id"]), str(row["token"])) for row in rows]
        return known + [self.add_member() for _ in range(count - len(known))]

    def add_member(self) -> tuple[str, str]:
        """Add a member; returns its id (13 letters and digits) and bearer token."""
        member_id = base64.b32encode(secrets.token_bytes(10)).decode()[:13]
        token = secrets.token_urlsafe(32)
        self._records.change(("INSERT INTO members VALUES (?, ?)", (member_id, token)))
        return member_id, token

    def member_of(self, token: str) -> str:
        """Return the id of the member with this bearer token; empty when there is none."""
        for row in self._records.rows("SELECT member_id, token FROM members"):
            if hmac.compare_digest(row["token"].encode(), token.encode()):
                return str(row["member_id"])
        return ""

    def add_printer(self, firmware: str, type_id: str, serial_number: str) -> tuple[PrinterAccount, str]:
        """Add a printer; returns it and its token: 43 characters, URL-safe base64 of 32 bytes."""
        token = secrets.token_urlsafe(32)
        number, _ = self._records.change(
            (
                "INSERT INTO printers (token_hash, code, firmware, type_id, serial_number) VALUES (?, ?, ?, ?, ?)",
                (_digest(token), _new_code(), firmware, type_id, serial_number),
            )
        )
        return self._printer(number), token

    def known_printer(self, printer_id: int, firmware: str) -> PrinterAccount:
        """Update a printer that asks for a code again: its firmware, and a new code when the last one was used."""
        self._records.change(
            (
                "UPDATE printers SET firmware = ?, code = coalesce(code, ?) WHERE printer_id = ?",
                (firmware, _new_code(), printer_id),
            )
        )
        return self._printer(printer_id)

    def printer_of(self, token: str) -> PrinterAccount | None:
        """Return the printer with this token, None when there is none."""
        row = self._records.row("SELECT * FROM printers WHERE token_hash = ?", _digest(token))
        return _to_printer(row) if row else None

    def token_fits(self, printer_id: int, token: str) -> bool:
        """Return whether `token` is that printer's."""
        printer = self.printer_of(token)
        return printer is not None and printer.printer_id == printer_id

    def record_contact(self, printer_id: int, state: str, now: float) -> None:
        """Record that the printer reported at `now`; `state` is its printer_status, empty when it gave none."""
        self._records.change(
            (
                "UPDATE printers SET last_seen = ?1, last_state = iif(?2 = '', last_state, ?2) WHERE printer_id = ?3",
                (now, state, printer_id),
            )
        )

    def is_registered(self, printer_id: int) -> bool:
        """Return whether any member has registered the printer."""
        return self._records.row("SELECT 1 FROM owners WHERE printer_id = ?", printer_id) is not None

    def register(self, member_id: str, name: str, code: str, now: float) -> tuple[int, bool] | None:
        """Register the printer that shows `code`, which is used up. Returns the printer's id and whether the member is
        its primary owner (the first one is); None when no printer shows this code."""
        row = self._records.row("SELECT printer_id FROM printers WHERE code = ?", code.strip().upper())
        if row is None:
            return None
        printer_id = int(row["printer_id"])
        owner = (
            "INSERT INTO owners (printer_id, member_id, name, registered_at, is_primary) VALUES"
            " (?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM owners WHERE printer_id = ?1))"
            " ON CONFLICT DO UPDATE SET name = excluded.name"
        )
        _, used = self._records.change(
            (owner, (printer_id, member_id, name, now)),
            ("UPDATE printers SET code = NULL WHERE printer_id = ?", (printer_id,)),
        )
        owned = self.owned(member_id, printer_id)
        return (printer_id, owned.is_primary) if used and owned else None

    def owned(self, member_id: str, printer_id: int) -> OwnedPrinter | None:
        """Return the printer, None when this member has not registered it."""
        found = [each for each in self.all_owned(member_id) if each.printer.printer_id == printer_id]
        return found[0] if found else None

    def all_owned(self, member_id: str) -> list[OwnedPrinter]:
        """Return the member's printers in the order of registration."""
        rows = self._records.rows(
            "SELECT * FROM owners JOIN printers USING (printer_id)"
            " WHERE member_id = ? ORDER BY registered_at, printer_id",
            member_id,
        )
        return [
            OwnedPrinter(
                printer=_to_printer(row),
                name=row["name"],
                registered_at=float(row["registered_at"]),
                is_primary=bool(row["is_primary"]),
                is_printer_scoped=bool(row["is_printer_scoped"]),
                is_job_scoped=bool(row["is_job_scoped"]),
            )
            for row in rows
        ]

    def has_printer(self, printer_id: int) -> bool:
        """Return whether there is such a printer."""
        return self._records.row("SELECT 1 FROM printers WHERE printer_id = ?", printer_id) is not None

    def members_of(self, printer_id: int) -> list[MemberRights]:
        """Return the printer's members in the order of registration."""
        rows = self._records.rows("SELECT * FROM owners WHERE printer_id = ? ORDER BY registered_at, rowid", printer_id)
        return [
            MemberRights(
                member_id=row["member_id"],
                is_primary=bool(row["is_primary"]),
                is_printer_scoped=bool(row["is_printer_scoped"]),
                is_job_scoped=bool(row["is_job_scoped"]),
            )
            for row in rows
        ]

    def set_rights(self, printer_id: int, member_id: str, *, is_printer_scoped: bool, is_job_scoped: bool) -> None:
        """Set what a member may do with the printer."""
        change = "UPDATE owners SET is_printer_scoped = ?, is_job_scoped = ? WHERE printer_id = ? AND member_id = ?"
        self._records.change((change, (is_printer_scoped, is_job_scoped, printer_id, member_id)))

    def remove_owner(self, printer_id: int, member_id: str) -> None:
        """Take the printer from the member."""
        self._records.change(
            ("DELETE FROM owners WHERE printer_id = ? AND member_id = ?", (printer_id, member_id)),
        )

    def add_upload(self, printer_id: int) -> str:
        """Add a place to upload to; returns its unguessable key."""
        key = secrets.token_urlsafe(24)
        self._records.change(("INSERT INTO uploads VALUES (?, ?)", (key, printer_id)))
        return key

    def upload_printer(self, key: str) -> int | None:
        """Return the printer that the place was made for; None when there is no such place."""
        row = self._records.row("SELECT printer_id FROM uploads WHERE key = ?", key)
        return int(row["printer_id"]) if row else None

    def _printer(self, printer_id: int) -> PrinterAccount:
        row = self._records.row("SELECT * FROM printers WHERE printer_id = ?", printer_id)
        if row is None:
            raise KeyError(printer_id)
        return _to_printer(row)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _new_code() -> str:
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))


def _to_printer(row: sqlite3.Row) -> PrinterAccount:
    return PrinterAccount(
        printer_id=row["printer_id"],
        firmware=row["firmware"],
        type_id=row["type_id"],
        code=row["code"] or "",
        last_seen=row["last_seen"],
        last_state=row["last_state"],
    )

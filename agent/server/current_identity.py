"""The identity that may be used now: the stored one, unless the server refused its token or it is another board's."""

from __future__ import annotations

from agent.server.api_client import Registration
from agent.service.board_id import BoardId, differing_source
from agent.state.identity import Identity, IdentityTable

UNKNOWN_TOKEN = "the server no longer knows this printer's token"  # noqa: S105 a text, not a secret
OTHER_BOARD = "the identity on this card belongs to another board"


class CurrentIdentity:
    """The printer's identity at `server`, on the board `board`. Any thread; changes by one at a time.

    An identity that is not usable any more stays on the disk until there is a new one. `keep_on_other_board`: it is
    usable on any board.
    """

    def __init__(self, *, server: str, identities: IdentityTable, board: BoardId, keep_on_other_board: bool) -> None:
        self._server = server
        self._identities = identities
        self._board = dict(board)
        self._keep_on_other_board = keep_on_other_board
        self._unsaved: Identity | None = None  # given by the server, not yet written to the disk
        self._refused_token = ""

    def stored(self) -> Identity | None:
        """The identity, usable or not."""
        return self._unsaved or self._identities.get(self._server)

    def usable(self) -> Identity | None:
        """The identity, None while there is none that may be used."""
        stored = self.stored()
        return None if stored is None or self._why_unusable(stored) else stored

    def why_unusable(self) -> str:
        """Why the stored identity may not be used, for a person; empty when it may, and when there is none."""
        stored = self.stored()
        return self._why_unusable(stored) if stored is not None else ""

    def other_board(self) -> str:
        """The source by which this is another board than the identity's; empty for its own, and where it is unknown."""
        stored = self.stored()
        return differing_source(stored.board, self._board) if stored is not None else ""

    def refuse(self, token: str) -> None:
        """Use `token` no more: the server does not know it."""
        self._refused_token = token

    def pardon(self) -> None:
        """Use the refused token again: it was in doubt only."""
        self._refused_token = ""

    def ensure_writable(self) -> None:
        """Raise UnavailableError unless the disk takes a write now."""
        self._identities.ensure_writable()

    def save(self, identity: Identity) -> None:
        """Keep the identity in place of what was known, and use it. Raises UnavailableError; it is used all the
        same."""
        if self._unsaved is None and identity == self._identities.get(self._server):
            return  # flash wears out
        self._unsaved = identity
        self._identities.save(identity)
        self._unsaved = None

    def of_answer(self, answer: Registration, known: Identity | None) -> Identity:
        """The identity that an answer gives; `known` is the one it was asked with, None for a new printer."""
        registered = bool(answer.registered)
        old = known or self.stored()
        # What this board cannot read now stays known, unless it is another board's.
        board = dict(known.board) if known is not None and not self.other_board() else {}
        replaces = known.replaces if known is not None else ""
        if known is None and old is not None:
            replaces = f"printer {old.printer_id}: {self._why_unusable(old)}"
        return Identity(
            server=self._server,
            printer_id=answer.printer_id,
            auth_token=answer.auth_token or (known.auth_token if known else ""),
            registered=registered,
            registration_code="" if registered else answer.registration_code or "",
            registration_url="" if registered else answer.registration_url or "",
            board={**board, **self._board},
            replaces="" if registered else replaces,
        )

    def _why_unusable(self, stored: Identity) -> str:
        if self._refused_token and stored.auth_token == self._refused_token:
            return UNKNOWN_TOKEN
        if self._keep_on_other_board or not differing_source(stored.board, self._board):
            return ""
        return OTHER_BOARD

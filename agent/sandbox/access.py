"""Access control of the printers' channels: who may subscribe and who may publish. Pure.

A printer's command channel is the printer: whoever publishes there moves it. So only the cloud itself may publish on
`/printers/**`, and only the holder of a printer's token may subscribe there, to this printer's channels
(docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Access(Protocol):
    """Access control that the broker asks for each subscribe and publish of a client."""

    def may_subscribe(self, pattern: str, ext: Mapping[str, object]) -> bool:
        """Return whether a client that sent `ext` may subscribe to every channel that `pattern` matches."""

    def may_publish(self, channel: str) -> bool:
        """Return whether a client, as against the cloud itself, may publish on `channel`."""


class PrinterAccess:
    """Access by a printer's token: `token_fits(printer_id, token)` returns whether the token is that printer's."""

    def __init__(self, token_fits: Callable[[int, str], bool]) -> None:
        self._token_fits = token_fits

    def may_subscribe(self, pattern: str, ext: Mapping[str, object]) -> bool:
        """See `Access.may_subscribe`: the channels of the token's own printer alone."""
        first, *rest = pattern.split("/")[1:]
        if first == "**":
            return False  # it would hear every printer's commands
        if first != "printers" or not rest:
            return True
        token = ext.get("authentication_token")
        # 18 digits fit SQLite's integers; a leading zero would be a second name for the same printer.
        number = rest[0] if rest[0].isdigit() and len(rest[0]) <= 18 and not rest[0].startswith("0") else ""
        return bool(number) and isinstance(token, str) and self._token_fits(int(number), token)

    def may_publish(self, channel: str) -> bool:
        """See `Access.may_publish`: nothing that a printer listens to."""
        return not (channel == "/printers" or channel.startswith("/printers/"))

"""Who may hear and who may speak on the printers' channels. Pure.

A printer's command channel is the printer: whoever publishes there moves it. So only the cloud itself may publish on
`/printers/**`, and only the holder of a printer's token may subscribe there, to this printer's channels
(docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Access(Protocol):
    """What the broker asks before it obeys a client."""

    def may_subscribe(self, pattern: str, ext: Mapping[str, object]) -> bool:
        """Whether a client that sent `ext` may hear every channel that `pattern` matches."""

    def may_publish(self, channel: str) -> bool:
        """Whether a client, as against the cloud itself, may publish on `channel`."""


class PrinterAccess:
    """`token_fits(printer_id, token)` says whether the token is that printer's."""

    def __init__(self, token_fits: Callable[[int, str], bool]) -> None:
        self._token_fits = token_fits

    def may_subscribe(self, pattern: str, ext: Mapping[str, object]) -> bool:
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
        return not (channel == "/printers" or channel.startswith("/printers/"))

"""Inputs of the protocol: kinds of replies, and a deadline that has passed. Pure."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Heard(IntEnum):
    """One kind of event; with the phase it selects the handler."""

    OK = 0
    RESEND = 1
    ERROR = 2
    DAMAGED = 3
    BUSY = 4
    BUSY_USER = 5
    TEMPERATURES = 6
    WAIT = 7
    SAVED = 8
    OTHER = 9
    OVERDUE = 10


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Details of an event: `text` after an `ok` or `Error:`, `number` of a request (-1: cannot be read)."""

    text: str = ""
    number: int = -1


NO_DETAILS = Reply()

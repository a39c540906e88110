"""What callers ask of the link's thread, through its mailbox."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.core.driver import LineSource


class StartPrint(msgspec.Struct, frozen=True):
    """`Driver.start_print`, its preamble checked and cleaned."""

    key: str
    source: LineSource
    preamble: tuple[bytes, ...]


class RunScript(msgspec.Struct, frozen=True):
    """`Driver.run_script`, its lines checked and cleaned."""

    key: str
    lines: tuple[bytes, ...]


class Plain(StrEnum):
    """Requests without anything more to say."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RESET = "reset"
    HALT = "halt"


Request = StartPrint | RunScript | Plain

"""Requests of the driver's callers to the link's thread, through its mailbox."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.core.driver import LineSource


class StartPrint(msgspec.Struct, frozen=True):
    """`Driver.start_print`, its preamble checked and cleaned."""

    task_id: str
    source: LineSource
    preamble: tuple[bytes, ...]


class RunScript(msgspec.Struct, frozen=True):
    """`Driver.run_script`, its lines checked and cleaned; `?` before one whose command may be unknown."""

    task_id: str
    lines: tuple[bytes, ...]


class Query(msgspec.Struct, frozen=True):
    """`SupportsQueries.query`, its lines checked and cleaned."""

    query_id: str
    lines: tuple[bytes, ...]


class Respond(msgspec.Struct, frozen=True):
    """`SupportsPrompts.respond`; the prompt was open, and has that choice."""

    prompt_id: int
    choice: int


class SimpleRequest(StrEnum):
    """Requests without arguments: the methods of `Driver`, or of its abilities, of the same names."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RESET = "reset"
    HALT = "halt"
    COOL = "cool"
    RELEASE_PORT = "release_port"
    TAKE_PORT = "take_port"


Request = StartPrint | RunScript | Query | Respond | SimpleRequest

"""The state machine of the exchange with the printer, as a table: (phase, heard) → handler. Pure.

Each pair has a row, also where nothing happens. `next` are the phases in which it may end; a failure may come with any.
The table in docs/serial-protocol.md is this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from drivers.gcode.protocol.heard import Heard, Reply
from drivers.gcode.protocol.ok_handlers import (
    ok,
    ok_while_locating,
    ok_while_settling,
    saved,
    saved_while_locating,
    saved_while_settling,
)
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.phases import Phase
from drivers.gcode.protocol.resend_handlers import (
    error,
    error_while_settling,
    request,
    request_while_settling,
    settled,
    straggler,
)
from drivers.gcode.protocol.silence_handlers import (
    busy,
    busy_for_person,
    damaged,
    damaged_while_locating,
    damaged_while_settling,
    ignore,
    overdue,
    temperatures,
    unanswered,
    wait,
)
from drivers.gcode.protocol.steps import OutgoingLine

Handler = Callable[[Parts, Reply, float], OutgoingLine | None]

_OPEN, _SETTLING, _LOCATING = Phase.OPEN, Phase.SETTLING, Phase.LOCATING


class Transition(msgspec.Struct, frozen=True):
    """One row: the handler, the phases in which it may end, and what it does, for a person."""

    handler: Handler
    next: tuple[Phase, ...]
    does: str


TRANSITIONS: Final[dict[tuple[Phase, Heard], Transition]] = {
    (_OPEN, Heard.OK): Transition(
        ok,
        (_OPEN, _SETTLING, _LOCATING),
        "The oldest line in flight is acknowledged; `N…`: all up to that one. With nothing in flight, or when it cannot"
        " be that line's, it is ignored, and more of them are reckoned with. After an `Error:` without a request the"
        " request was garbled: as if it had come.",
    ),
    (_OPEN, Heard.RESEND): Transition(
        request,
        (_SETTLING, _LOCATING),
        "Believed: all in flight from that line on is dropped and will be sent again. Not believed: a number too high"
        " is sent.",
    ),
    (_OPEN, Heard.ERROR): Transition(error, (_OPEN,), "The line that it names is kept for the request after it."),
    (_OPEN, Heard.DAMAGED): Transition(damaged, (_OPEN,), "What is in flight is overdue after 0.1 s."),
    (_OPEN, Heard.BUSY): Transition(busy, (_OPEN,), "The deadline moves at least 15 s away."),
    (_OPEN, Heard.BUSY_USER): Transition(busy_for_person, (_OPEN,), "No deadline."),
    (_OPEN, Heard.TEMPERATURES): Transition(
        temperatures, (_OPEN,), "A line that heats has its patience anew; no other line."
    ),
    (_OPEN, Heard.WAIT): Transition(
        wait, (_OPEN, _LOCATING), "With a line in flight for 1 s a number too high is sent: it, or its `ok`, was lost."
    ),
    (_OPEN, Heard.SAVED): Transition(saved, (_OPEN, _SETTLING, _LOCATING), "The `ok` of an M29 in flight."),
    (_OPEN, Heard.OTHER): Transition(ignore, (_OPEN,), "Nothing."),
    (_OPEN, Heard.OVERDUE): Transition(
        overdue,
        (_OPEN, _LOCATING),
        "A line that gives up is forgotten; for any other a number too high is sent. With nothing in flight: what was"
        " put off goes on.",
    ),
    (_SETTLING, Heard.OK): Transition(
        ok_while_settling,
        (_SETTLING, _OPEN, _LOCATING),
        "The first is the request's own, and a moment for stragglers begins; none where nothing was amiss. The next"
        " ones acknowledge what is in flight.",
    ),
    (_SETTLING, Heard.RESEND): Transition(
        request_while_settling, (_SETTLING, _LOCATING), "The same again, or garbled: stale. Another one: as when open."
    ),
    (_SETTLING, Heard.ERROR): Transition(
        error_while_settling, (_SETTLING,), "As when open; the wait ends a moment after it, as after any line."
    ),
    (_SETTLING, Heard.DAMAGED): Transition(
        damaged_while_settling, (_SETTLING,), "Counts as the request's own `ok`; the wait ends a moment after it."
    ),
    (_SETTLING, Heard.BUSY): Transition(ignore, (_SETTLING,), "Nothing."),
    (_SETTLING, Heard.BUSY_USER): Transition(ignore, (_SETTLING,), "Nothing."),
    (_SETTLING, Heard.TEMPERATURES): Transition(straggler, (_SETTLING,), "The wait ends a moment after it."),
    (_SETTLING, Heard.WAIT): Transition(straggler, (_SETTLING,), "The wait ends a moment after it."),
    (_SETTLING, Heard.SAVED): Transition(saved_while_settling, (_SETTLING,), "The `ok` of an M29 in flight."),
    (_SETTLING, Heard.OTHER): Transition(
        straggler, (_SETTLING,), "The wait ends a moment after it, unless an `ok` is known to follow requests."
    ),
    (_SETTLING, Heard.OVERDUE): Transition(
        settled,
        (_OPEN, _LOCATING),
        "What was requested is sent again. Where the request's `ok` is missing and others had one, a number too high"
        " goes first: it may be late, and must not be taken for another's.",
    ),
    (_LOCATING, Heard.OK): Transition(
        ok_while_locating,
        (_LOCATING, _OPEN, _SETTLING),
        "It was late, not lost: the oldest line is acknowledged. With temperatures that nobody asked for: a firmware"
        " that does not check numbers; all is acknowledged. After an `Error:` without a request: as if that had come.",
    ),
    (_LOCATING, Heard.RESEND): Transition(
        request,
        (_SETTLING, _LOCATING),
        "Believed: that line and all after it will be sent again; when nothing is missing and an `ok` still is, an"
        " M105, whose answer proves that all before it was done. Not believed: a number too high is sent again.",
    ),
    (_LOCATING, Heard.ERROR): Transition(error, (_LOCATING,), "As when open; it counts as an answer."),
    (_LOCATING, Heard.DAMAGED): Transition(damaged_while_locating, (_LOCATING,), "It counts as an answer."),
    (_LOCATING, Heard.BUSY): Transition(busy, (_LOCATING,), "The deadline moves at least 15 s away."),
    (_LOCATING, Heard.BUSY_USER): Transition(busy_for_person, (_LOCATING,), "No deadline."),
    (_LOCATING, Heard.TEMPERATURES): Transition(ignore, (_LOCATING,), "Nothing."),
    (_LOCATING, Heard.WAIT): Transition(ignore, (_LOCATING,), "Nothing."),
    (_LOCATING, Heard.SAVED): Transition(saved_while_locating, (_LOCATING, _SETTLING), "The `ok` of an M29 in flight."),
    (_LOCATING, Heard.OTHER): Transition(ignore, (_LOCATING,), "Nothing."),
    (_LOCATING, Heard.OVERDUE): Transition(
        unanswered,
        (_LOCATING, _OPEN),
        "A number too high again. It fails when patience is over: without an answer, or after 20 answers that tell no"
        " place. With nothing in flight it gives up asking.",
    ),
}

HANDLERS: Final = tuple(tuple(TRANSITIONS[phase, heard].handler for heard in Heard) for phase in Phase)
"""The handlers by phase and kind of event."""

"""Handlers of what is no answer: silence, garbled lines, signs of life (docs/serial.md §4, §5, §14–16). Pure."""

from __future__ import annotations

from math import inf

from drivers.gcode.protocol.heard import Reply
from drivers.gcode.protocol.locator import Silence
from drivers.gcode.protocol.numbering import line_name
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.patience import heats
from drivers.gcode.protocol.phases import Phase
from drivers.gcode.protocol.resend_handlers import straggler
from drivers.gcode.protocol.steps import OutgoingLine


def ignore(_parts: Parts, _reply: Reply, _now: float) -> None:
    """Nothing changes."""


def overdue(parts: Parts, _reply: Reply, now: float) -> OutgoingLine | None:
    """Patience is over: what gives up is forgotten, after the `ok` of others is asked."""
    flight = parts.flight
    if not flight.lines:
        flight.deadline = inf
        parts.sender.resume(now)
        return None
    if flight.as_given(flight.lines[0]).gives_up:
        return parts.acknowledger.acknowledge(now)
    _ask_after(parts, now)
    return None


def unanswered(parts: Parts, _reply: Reply, now: float) -> None:
    """The question for the printer's place has no answer, or none with a place."""
    locator, flight = parts.locator, parts.flight
    verdict = locator.unanswered(now)
    if verdict is Silence.ASK_AGAIN:
        parts.sender.locate(now)
    elif verdict is Silence.FAILED:
        name = line_name((*parts.unacknowledged.lines, *flight.lines)[0])
        times = locator.probes_sent + locator.unclear_answers
        parts.sender.fail(f"{name}: no answer, although asked {times} times")
    else:  # a firmware that does not care for numbers, or one that is gone: the next line will tell
        parts.state.phase = Phase.OPEN
        flight.deadline = inf
        parts.sender.resume(now)


def damaged(parts: Parts, _reply: Reply, now: float) -> None:
    """A line may have been an answer before it was garbled: ask soon."""
    parts.locator.answer_heard = True
    if parts.flight.lines:
        parts.flight.deadline = min(parts.flight.deadline, now + parts.timing.garbled)


def damaged_while_settling(parts: Parts, reply: Reply, now: float) -> None:
    """It may have been the request's own `ok`."""
    parts.guard.own_ok_seen = True
    parts.locator.answer_heard = True
    straggler(parts, reply, now)


def damaged_while_locating(parts: Parts, _reply: Reply, _now: float) -> None:
    """It may have been the answer: no silence."""
    parts.locator.answer_heard = True


def busy(parts: Parts, _reply: Reply, now: float) -> None:
    """The printer still works on the line in flight."""
    flight = parts.flight
    if flight.lines:
        parts.locator.probes_sent, parts.locator.asked_since = 0, now
        flight.deadline = now + max(flight.due_after(flight.lines[0]), parts.timing.busy)


def busy_for_person(parts: Parts, _reply: Reply, now: float) -> None:
    """The printer waits for a person, who may take for ever."""
    if parts.flight.lines:
        parts.locator.probes_sent, parts.locator.asked_since = 0, now
        parts.flight.deadline = inf


def temperatures(parts: Parts, _reply: Reply, now: float) -> None:
    """A sign of progress only for a line that heats."""
    flight = parts.flight
    if flight.lines and heats(flight.lines[0].code):
        flight.deadline = max(flight.deadline, now + flight.due_after(flight.lines[0]))


def wait(parts: Parts, _reply: Reply, now: float) -> None:
    """The printer has nothing to do: what is in flight, or its `ok`, was lost."""
    if parts.flight.lines and now - parts.flight.sent_at >= parts.timing.wait:
        _ask_after(parts, now)


def _ask_after(parts: Parts, now: float) -> None:
    """An `ok` is overdue."""
    unacknowledged = parts.unacknowledged
    if now >= unacknowledged.deadline:
        parts.sender.fail(f"{line_name(unacknowledged.lines[0])}: the printer has it and never said ok")
        return
    parts.locator.probes_sent += 1
    parts.sender.locate(now)

"""Handlers of an `ok`: whose it is, in each phase (docs/serial.md §1–5). Pure.

They return the command whose credit came back, the last of them when there were several, or None.
"""

from __future__ import annotations

import re
from math import inf

from agent.gcode.words import command_word
from drivers.gcode.protocol.heard import NO_DETAILS, Reply
from drivers.gcode.protocol.numbering import SET_LINE_NUMBER
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.phases import PROBE, Phase
from drivers.gcode.protocol.quality import SAMPLES
from drivers.gcode.protocol.resend_handlers import judge, settled
from drivers.gcode.protocol.steps import OutgoingLine

_NUMBERED = re.compile(r"N([0-9]{1,10})(?: P[0-9]+)?(?: B([0-9]{1,3}))?")


def ok(parts: Parts, reply: Reply, now: float) -> OutgoingLine | None:
    """The oldest line in flight is acknowledged, with `N…` all up to that one; an `ok` too many is ignored."""
    if parts.guard.reported_next > 0:  # an error without a request: the request was garbled
        return judge(parts, -1, now, own_ok_seen=True)
    text, lines = reply.text, parts.flight.lines
    if not lines or _is_for_another(parts, lines[0], text):
        _too_many(parts, now)
        return None
    parts.locator.probes_sent = 0
    if len(lines) == 1:
        counters = parts.counters
        counters.quality.latencies[counters.sent % SAMPLES] = now - parts.flight.sent_at
    if text.startswith("N") and (found := _NUMBERED.match(text)):
        return _numbered(parts, found, now)
    return parts.acknowledger.acknowledge(now)


def ok_while_settling(parts: Parts, _reply: Reply, now: float) -> OutgoingLine | None:
    """The first is the request's own, the next ones are for what is in flight."""
    flight, guard = parts.flight, parts.guard
    flight.deadline = now + parts.timing.straggle
    if not guard.own_ok_seen:
        guard.own_ok_seen = True
        parts.traits.seen_after_resend()
        if parts.locator.is_precaution and parts.traits.carries_temps:
            settled(parts, NO_DETAILS, now)  # nothing was amiss, and an M105 will tell stragglers apart
        return None
    if flight.lines:
        return parts.acknowledger.acknowledge_until(flight.deadline)
    _too_many(parts, now)
    return None


def ok_while_locating(parts: Parts, reply: Reply, now: float) -> OutgoingLine | None:
    """An `ok` was late, not lost; one with temperatures is the answer of a firmware that does not check numbers."""
    flight, guard, locator = parts.flight, parts.guard, parts.locator
    if guard.reported_next > 0:
        return judge(parts, -1, now, own_ok_seen=True)
    guard.reported_next = -1
    temps = parts.traits.temps_in(reply.text)
    probed = any(command.code == PROBE for command in (*flight.lines, *parts.unacknowledged.lines))
    if temps and not probed and not locator.has_answered:
        return _ignores_numbers(parts, now)
    locator.answer_heard = True
    flight.deadline = min(flight.deadline, now + parts.timing.resend_ok)
    if guard.ok_expected:
        guard.ok_expected = False
        return None
    if flight.lines and (temps or flight.lines[0].code != PROBE):
        flight.ask_later()
        return parts.acknowledger.acknowledge_until(flight.deadline)
    _too_many(parts, now)
    return None


def saved(parts: Parts, _reply: Reply, now: float) -> OutgoingLine | None:
    """`Done saving file` stands for the `ok` of M29 (docs/serial.md §5)."""
    return ok(parts, NO_DETAILS, now) if _saves(parts) else None


def saved_while_settling(parts: Parts, _reply: Reply, now: float) -> OutgoingLine | None:
    """As `saved`."""
    return ok_while_settling(parts, NO_DETAILS, now) if _saves(parts) else None


def saved_while_locating(parts: Parts, _reply: Reply, now: float) -> OutgoingLine | None:
    """As `saved`."""
    return ok_while_locating(parts, NO_DETAILS, now) if _saves(parts) else None


def _saves(parts: Parts) -> bool:
    lines = parts.flight.lines
    return bool(lines) and command_word(lines[0].code) == b"M29"


def _is_for_another(parts: Parts, oldest: OutgoingLine, text: str) -> bool:
    """Whether an `ok` with `text` cannot be `oldest`'s: an M105's once more, or another's before the M105's own; an
    M110's has its number where others have, so one without is for a line that came as another."""
    traits, probe = parts.traits, oldest.code == PROBE
    temps = traits.temps_in(text)
    if probe:
        traits.carries_temps = traits.carries_temps or temps
    if text.startswith("N"):
        return False
    return (temps != probe and traits.carries_temps) or (oldest.code == SET_LINE_NUMBER and parts.window.known)


def _numbered(parts: Parts, found: re.Match[str], now: float) -> OutgoingLine | None:
    """`ok N7 P15 B3`: all up to line 7 is done. One for a line not in flight is one too many, or garbled."""
    number, lines = int(found[1]), parts.flight.lines
    if found[2]:
        parts.window.shown(int(found[2]))
    if lines[0].number < 0:
        return parts.acknowledger.acknowledge(now)
    command = None
    while any(c.number == number for c in lines) and 0 <= lines[0].number <= number:
        command = parts.acknowledger.acknowledge(now)
    if command is None:
        parts.traits.in_doubt = True
    return command


def _ignores_numbers(parts: Parts, now: float) -> OutgoingLine | None:
    """The firmware has executed the number too high: it does not check numbers, and all before was done."""
    parts.locator.answers_probes = False
    parts.state.phase = Phase.OPEN
    parts.flight.deadline = inf
    command = None
    while parts.flight.lines:
        command = parts.acknowledger.acknowledge(now)
    return command


def _too_many(parts: Parts, now: float) -> None:
    parts.acknowledger.too_many(now, parts.timing.listen)

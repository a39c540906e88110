"""Handlers of resend requests, and of the wait for their own `ok` (docs/serial.md §8–10). Pure."""

from __future__ import annotations

from drivers.gcode.protocol.heard import Reply
from drivers.gcode.protocol.locator import MAX_UNCLEAR_ANSWERS
from drivers.gcode.protocol.numbering import HISTORY, HOST, file_line, line_name
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.phases import Phase
from drivers.gcode.protocol.replies import next_line_in
from drivers.gcode.protocol.resend_guard import REQUESTS
from drivers.gcode.protocol.steps import OutgoingLine


def request(parts: Parts, reply: Reply, now: float) -> OutgoingLine | None:
    """The printer requests a line again; its `Error:` line may have named the same."""
    return judge(parts, reply.number, now, own_ok_seen=False)


def request_while_settling(parts: Parts, reply: Reply, now: float) -> OutgoingLine | None:
    """A request repeated is stale; another one is judged."""
    guard = parts.guard
    if reply.number in (guard.settling_for, -1):
        guard.reported_next = -1
        guard.own_ok_seen = False
        parts.locator.take_question()
        return None
    return judge(parts, reply.number, now, own_ok_seen=False)


def error(parts: Parts, reply: Reply, _now: float) -> None:
    """An `Error:` line may name the line that was accepted last."""
    parts.guard.reported_next = next_line_in(reply.text)
    parts.locator.answer_heard = True


def error_while_settling(parts: Parts, reply: Reply, now: float) -> None:
    """As `error`; it is also a line that ends the wait."""
    error(parts, reply, now)
    straggler(parts, reply, now)


def straggler(parts: Parts, _reply: Reply, now: float) -> None:
    """Another line ends the wait for a request's own `ok`, unless that is known to follow."""
    if parts.guard.own_ok_seen or not parts.traits.follows_resend:
        parts.flight.deadline = min(parts.flight.deadline, now + parts.timing.straggle)


def settled(parts: Parts, _reply: Reply, now: float) -> None:
    """The wait is over: send again, or first make sure that the request's `ok` is not taken for an M110's."""
    if not parts.guard.own_ok_seen and parts.locator.answers_probes and parts.traits.missed_after_resend():
        parts.sender.locate(now)
        return
    parts.state.phase = Phase.OPEN
    parts.flight.restart_deadline(now)
    parts.sender.send_again(now)


def judge(parts: Parts, number: int, now: float, *, own_ok_seen: bool) -> OutgoingLine | None:
    """Accept a request for `number` (-1: garbled), or ask where the printer is. `own_ok_seen`: its `ok` came, the
    request itself was garbled."""
    guard, locator, lines = parts.guard, parts.locator, parts.flight.lines
    locating = parts.state.phase is Phase.LOCATING
    answer = locator.take_question() and not locating
    wanted, believed = guard.judge(number, lines[0] if lines else None, locating=locating)
    if believed or (number > 0 and not locator.answers_probes):
        parts.sender.counts_resends = not answer and wanted > parts.numbers.base + 1
        return accept_resend_request(parts, wanted, now, own_ok_seen=own_ok_seen)
    guard.refuse(wanted, ok_expected=parts.traits.follows_resend and not own_ok_seen)
    locator.unclear_answers += 1
    if locator.unclear_answers > MAX_UNCLEAR_ANSWERS:
        line = file_line(parts.numbers.last)
        parts.sender.fail(f"line {line}: the printer asks for others, each time for another one")
    else:
        parts.sender.locate(now)
    return None


def accept_resend_request(parts: Parts, number: int, now: float, *, own_ok_seen: bool) -> OutgoingLine | None:
    """Go back to `number`, which the printer wants next: drop what is in flight from there on, and settle."""
    guard, numbers, locator, flight = parts.guard, parts.numbers, parts.locator, parts.flight
    located, requested = parts.state.phase is Phase.LOCATING, number
    guard.accept()
    if located:
        locator.note_answer()
    if not numbers.within(number):
        if numbers.last > numbers.base and numbers.host is (number >= HOST and number > numbers.base):
            parts.sender.fail(f"line {number}: the printer asked for it, but the last one sent is {numbers.last}")
            return None
        number = numbers.base  # the M110 that led here was lost
    if not numbers.knows(number):
        parts.sender.fail(f"line {requested}: the printer asked for it, it is older than the last {HISTORY} sent")
        return None
    missing = number <= numbers.last
    first = flight.lines[0].number if flight.lines else -1
    _drop_from(parts, number, located=located)
    numbers.cursor = number
    parts.state.phase = Phase.SETTLING
    guard.settle(requested, own_ok_seen=own_ok_seen)
    flight.deadline = now + (parts.timing.straggle if own_ok_seen else parts.timing.resend_ok)
    if missing:
        parts.traits.in_doubt = parts.traits.in_doubt or number != first
        parts.window.resend()
        if locator.answers_probes:
            parts.preamble.require_locate()
    nothing_amiss = not missing and locator.probes_sent == locator.unclear_answers == 0
    locator.is_precaution = located and locator.is_precaution and nothing_amiss
    if not located:
        _count(parts, number)
        return None
    locator.reset()
    numbers.confirmed_up_to = number - 1
    return _resolve_in_flight(parts, now, missing=missing) if flight.lines else None


def _drop_from(parts: Parts, number: int, *, located: bool) -> None:
    """Keep in flight what has arrived before `number`. A line without a number was thrown away with the rest, most
    likely: it is sent again, unless the printer was asked after a silence."""
    flight = parts.flight
    arrived = [c for c in flight.lines if parts.numbers.base < number and c.number < number]
    again = [c for c in arrived if c.number < 0 and not located]
    flight.keep([c for c in arrived if c not in again])
    parts.preamble.queue.extendleft(again)


def _resolve_in_flight(parts: Parts, now: float, *, missing: bool) -> OutgoingLine | None:
    """After a silence the printer has told its place; it has all that is in flight now. Either that was acknowledged
    and the `ok` lost, which shows when later lines are missing, or nobody knows yet: an M105 must prove it."""
    flight = parts.flight
    parts.traits.in_doubt = True
    if not missing:
        if parts.unacknowledged.take_from(flight, now):
            parts.preamble.require_barrier()
        return None
    command = None
    while flight.lines:
        command = parts.acknowledger.acknowledge_until(flight.deadline)
    return command


def _count(parts: Parts, number: int) -> None:
    """The same line requested too often fails."""
    if parts.guard.too_often(number, parts.counters.line):
        command = parts.numbers.at_cursor()
        name = line_name(command) if command is not None else f"line {number}"
        parts.sender.fail(f"{name}: the printer asked for it {REQUESTS} times")

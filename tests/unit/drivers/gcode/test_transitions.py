"""The state machine of the serial protocol, row by row, and that docs/serial-protocol.md shows it.

`python -m tests.unit.drivers.gcode.test_transitions` writes the document's table anew.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from math import inf
from pathlib import Path
from typing import NamedTuple

import pytest

from drivers.gcode.protocol.heard import Heard
from drivers.gcode.protocol.phases import Phase
from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import RENUMBER, OutgoingLine, numbered, unnumbered
from drivers.gcode.protocol.transitions import HANDLERS, TRANSITIONS
from drivers.gcode.protocol.window import Window
from tests.unit.drivers.gcode.wire import Wire, host_base, host_line, line, moves

DOCUMENT = Path(__file__).parents[4] / "docs" / "serial-protocol.md"
BEGIN, END = "<!-- transitions: begin -->\n", "<!-- transitions: end -->\n"
PAIRS = list(product(Phase, Heard))
GARBLED_REQUEST = "checksum mismatch, Last Line: 2"


def phase(wire: Wire) -> Phase:
    return wire.protocol.parts.state.phase


# --- where an example begins: lines 1 and 2 are acknowledged, line 3 is in flight unless it says otherwise


def idle() -> Wire:
    wire = Wire()
    wire.print(1, 2)
    return wire


def sent(code: bytes = b"G1 X3") -> Wire:
    wire = idle()
    wire.send(numbered(3, code))
    return wire


def error_before() -> Wire:
    wire = sent()
    wire.protocol.error(GARBLED_REQUEST, wire.now)
    return wire


def gives_up() -> Wire:
    wire = Wire()
    wire.send(OutgoingLine(b"\n" + RENUMBER + b"\n", RENUMBER, patience=2.0, gives_up=True))
    return wire


def sent_long_ago() -> Wire:
    wire = sent()
    wire.now += 1.0
    return wire


def settling() -> Wire:
    wire = Wire(Window(2))
    wire.fill(3 - 2)
    wire.ok()
    wire.send(line(3))
    wire.protocol.resend(3, wire.now)
    return wire


def settling_with_m29() -> Wire:
    wire = Wire(Window(2))
    wire.send(numbered(1, b"M29"))
    wire.send(line(2))
    wire.protocol.resend(2, wire.now)
    wire.ok()
    return wire


def settling_after_ok() -> Wire:
    wire = settling()
    wire.ok()
    return wire


def settling_alone() -> Wire:
    wire = sent()
    wire.asks(3)
    return wire


def settling_without_its_ok() -> Wire:
    """Where an `ok` has followed a request before."""
    wire = sent()
    wire.asks(3)
    wire.settle()
    wire.protocol.resend(3, wire.now)
    return wire


def precaution() -> Wire:
    """The place was asked for although nothing was amiss, and the printer's `ok`s carry temperatures."""
    wire = idle()
    wire.poll()
    wire.send(unnumbered(b"M155 S2"))
    wire.serve()
    wire.ok()
    wire.send(line(3))
    assert phase(wire) is Phase.LOCATING
    wire.protocol.error(f"Line Number is not Last Line Number+1, Last Line: {wire.place}", wire.now)
    wire.protocol.resend(wire.place + 1, wire.now)
    return wire


def locating(code: bytes = b"G1 X3") -> Wire:
    wire = sent(code)
    wire.silence()
    return wire


def locating_after_error() -> Wire:
    wire = locating()
    wire.protocol.error(GARBLED_REQUEST, wire.now)
    return wire


def locating_after_two_errors() -> Wire:
    """Both requests were garbled."""
    wire = locating_after_error()
    wire.ok()
    wire.protocol.error(GARBLED_REQUEST, wire.now)
    return wire


def locating_before_m400() -> Wire:
    wire = idle()
    wire.send(unnumbered(b"M400"))
    return wire


def locating_in_vain() -> Wire:
    """Asked as a precaution, and never answered."""
    wire = locating_before_m400()
    for _ in range(50):
        if wire.protocol.deadline - wire.now == inf or phase(wire) is not Phase.LOCATING:
            break
        before = wire.protocol.parts.locator.probes_sent
        wire.now = wire.protocol.deadline
        if before >= 3 and wire.now >= wire.protocol.parts.locator.asked_since + 18.0:
            break
        wire.protocol.tick(wire.now)
    return wire


ACTS: dict[Heard, Callable[[Wire, str | int], object]] = {
    Heard.OK: lambda wire, text: wire.ok(str(text)),
    Heard.RESEND: lambda wire, number: wire.protocol.resend(int(number), wire.now),
    Heard.ERROR: lambda wire, text: wire.protocol.error(str(text), wire.now),
    Heard.DAMAGED: lambda wire, _: wire.protocol.damaged(wire.now),
    Heard.BUSY: lambda wire, _: wire.protocol.busy(wire.now),
    Heard.BUSY_USER: lambda wire, _: wire.protocol.busy(wire.now, user=True),
    Heard.TEMPERATURES: lambda wire, _: wire.protocol.temperatures(wire.now),
    Heard.WAIT: lambda wire, _: wire.protocol.wait(wire.now),
    Heard.SAVED: lambda wire, _: wire.protocol.saved(wire.now),
    Heard.OTHER: lambda wire, _: wire.protocol.other(wire.now),
    Heard.OVERDUE: lambda wire, _: wire.silence(),
}


class Example(NamedTuple):
    """`due`: seconds from then to the deadline; `flight`: numbers; None: as before."""

    begin: Callable[[], Wire]
    then: Phase
    detail: str | int = ""
    written: tuple[bytes, ...] = ()
    flight: tuple[int, ...] | None = None
    due: float | None = None


O, S, L = Phase.OPEN, Phase.SETTLING, Phase.LOCATING  # noqa: E741
THREE = numbered(3, b"G1 X3").wire
EXAMPLES: dict[tuple[Phase, Heard], tuple[Example, ...]] = {
    (O, Heard.OK): (
        Example(sent, O, flight=(), due=inf),
        Example(idle, O),
        Example(error_before, S, due=0.02, flight=()),
    ),
    (O, Heard.RESEND): (
        Example(sent, S, 3, flight=(), due=0.5),
        Example(sent, L, 4711, written=(TOO_HIGH,), due=0.5),
    ),
    (O, Heard.ERROR): (Example(sent, O, GARBLED_REQUEST),),
    (O, Heard.DAMAGED): (Example(sent, O, due=0.1), Example(idle, O)),
    (O, Heard.BUSY): (Example(sent, O, due=15.0), Example(idle, O)),
    (O, Heard.BUSY_USER): (Example(sent, O, due=inf), Example(idle, O)),
    (O, Heard.TEMPERATURES): (
        Example(sent_long_ago, O),
        Example(lambda: _later(sent(b"M109 S200"), 10.0), O, due=56.25),
    ),
    (O, Heard.WAIT): (
        Example(sent, O),
        Example(sent_long_ago, L, written=(TOO_HIGH,), due=0.5),
    ),
    (O, Heard.SAVED): (Example(sent, O), Example(lambda: sent(b"M29"), O, flight=(), due=inf)),
    (O, Heard.OTHER): (Example(sent, O), Example(idle, O)),
    (O, Heard.OVERDUE): (
        Example(sent, L, written=(TOO_HIGH,), due=0.5),
        Example(gives_up, O, flight=(), due=inf),
    ),
    (S, Heard.OK): (
        Example(settling, S, due=0.02),
        Example(settling_after_ok, S, flight=(), due=0.02),
        Example(precaution, O, written=(host_line(2, 3, b"M105"),), flight=(host_base(2) + 3,)),
    ),
    (S, Heard.RESEND): (
        Example(settling, S, 3),
        Example(settling, S, -1),
        Example(settling, S, 2, flight=(), due=0.5),
        Example(settling, L, 4711, written=(TOO_HIGH,)),
    ),
    (S, Heard.ERROR): (Example(settling, S, GARBLED_REQUEST, due=0.02),),
    (S, Heard.DAMAGED): (Example(settling, S, due=0.02),),
    (S, Heard.BUSY): (Example(settling, S),),
    (S, Heard.BUSY_USER): (Example(settling, S),),
    (S, Heard.TEMPERATURES): (Example(settling, S, due=0.02),),
    (S, Heard.WAIT): (Example(settling, S, due=0.02),),
    (S, Heard.SAVED): (Example(settling, S), Example(settling_with_m29, S, flight=(), due=0.02)),
    (S, Heard.OTHER): (Example(settling, S, due=0.02), Example(settling_without_its_ok, S)),
    (S, Heard.OVERDUE): (
        Example(settling_after_ok, O, due=0.5),
        Example(settling_alone, O, written=(THREE,), flight=(3,), due=0.5),
        Example(settling_without_its_ok, L, written=(TOO_HIGH,)),
    ),
    (L, Heard.OK): (
        Example(locating, L, flight=(), due=0.5),
        Example(locating, O, "T:20.0 /0.0", flight=(), due=inf),
        Example(locating_after_error, L, written=(TOO_HIGH,)),
        Example(locating_after_two_errors, S, flight=(), due=0.02),
    ),
    (L, Heard.RESEND): (
        Example(locating_after_error, S, 3, flight=(), due=0.5),
        Example(locating, L, 4711, written=(TOO_HIGH,)),
    ),
    (L, Heard.ERROR): (Example(locating, L, GARBLED_REQUEST),),
    (L, Heard.DAMAGED): (Example(locating, L),),
    (L, Heard.BUSY): (Example(locating, L, due=15.0), Example(locating_before_m400, L)),
    (L, Heard.BUSY_USER): (Example(locating, L, due=inf), Example(locating_before_m400, L)),
    (L, Heard.TEMPERATURES): (Example(lambda: locating(b"M109 S200"), L),),
    (L, Heard.WAIT): (Example(lambda: _later(locating(), 2.0), L),),
    (L, Heard.SAVED): (Example(locating, L), Example(lambda: locating(b"M29"), L, flight=(), due=0.5)),
    (L, Heard.OTHER): (Example(locating, L),),
    (L, Heard.OVERDUE): (
        Example(locating, L, written=(TOO_HIGH,), due=0.5),
        Example(locating_in_vain, O, written=(moves(host_base(2)),), flight=(host_base(2),)),
    ),
}


def _later(wire: Wire, seconds: float) -> Wire:
    wire.now += seconds
    return wire


def test_every_pair_of_phase_and_event_has_a_row_and_an_example() -> None:
    assert sorted(TRANSITIONS) == sorted(PAIRS)
    assert sorted(EXAMPLES) == sorted(PAIRS)
    for (phase, heard), row in TRANSITIONS.items():
        assert HANDLERS[phase][heard] is row.handler
        assert all(example.then in row.next for example in EXAMPLES[phase, heard])


@pytest.mark.parametrize(
    ("before", "heard", "index"),
    [(phase, heard, index) for (phase, heard), examples in EXAMPLES.items() for index in range(len(examples))],
)
def test_a_row_does_what_it_says(before: Phase, heard: Heard, index: int) -> None:
    example = EXAMPLES[before, heard][index]
    wire = example.begin()
    wire.take()
    flight = tuple(command.number for command in wire.protocol.in_flight)
    deadline = wire.protocol.deadline
    assert phase(wire) is before
    ACTS[heard](wire, example.detail)
    assert phase(wire) is example.then
    assert tuple(wire.take()) == example.written
    assert tuple(c.number for c in wire.protocol.in_flight) == (flight if example.flight is None else example.flight)
    if example.due is not None:
        assert wire.protocol.deadline - wire.now == pytest.approx(example.due)
    elif not example.written:
        assert wire.protocol.deadline == deadline


def test_at_random_each_event_ends_in_a_phase_of_its_row_and_reaches_all_of_them() -> None:
    seen: dict[tuple[Phase, Heard], set[Phase]] = defaultdict(set)
    for seed in range(1500):
        _walk(random.Random(seed), seen)
    for pair, reached in seen.items():
        assert reached <= set(TRANSITIONS[pair].next), pair
    missed = {pair: set(row.next) - seen[pair] for pair, row in TRANSITIONS.items() if set(row.next) - seen[pair]}
    assert missed == {}


def _walk(rng: random.Random, seen: dict[tuple[Phase, Heard], set[Phase]]) -> None:
    wire = Wire(Window(rng.choice((1, 1, 2, 3, "auto"))))
    number = 1
    for _ in range(rng.randrange(10, 80)):
        wire.now += rng.choice((0.0, 0.01, 0.3, 1.2))
        command = rng.choice(
            (line(number), line(number), numbered(number, b"M29"), unnumbered(b"M105"), unnumbered(b"M400"))
        )
        wire.protocol.send_again(wire.now)
        if rng.random() < 0.6 and wire.protocol.fits(command):
            wire.protocol.send(command, wire.now)
            number += command.number > 0
        heard = rng.choice((*Heard, Heard.OK, Heard.OK, Heard.OVERDUE, Heard.RESEND, Heard.ERROR))
        if heard is Heard.OVERDUE and wire.protocol.deadline == inf:
            continue
        for each, detail in _events(rng, heard, wire):
            before = phase(wire)
            ACTS[each](wire, detail)
            if wire.protocol.failure:
                return
            seen[before, each].add(phase(wire))


def _events(rng: random.Random, heard: Heard, wire: Wire) -> list[tuple[Heard, str | int]]:
    """`heard` with details; where the place was asked for, often a whole answer."""
    place, lines = wire.place, wire.protocol.in_flight
    if phase(wire) is Phase.LOCATING and rng.random() < 0.3:
        why = f"Line Number is not Last Line Number+1, Last Line: {place}"
        return [(Heard.ERROR, why), (Heard.RESEND, place + 1), (Heard.OK, "")]
    saved = lines and lines[0].code == b"M29" and rng.random() < 0.5
    if phase(wire) is Phase.LOCATING and rng.random() < 0.2:  # the request after it was garbled
        return [(Heard.ERROR, f"checksum mismatch, Last Line: {place - 1}"), (Heard.SAVED if saved else Heard.OK, "")]
    if heard is Heard.OK:
        probed = lines and lines[0].code == b"M105"
        return [(heard, "T:20.0 /0.0" if rng.random() < (0.5 if probed else 0.05) else "")]
    if heard is Heard.ERROR:
        return [(heard, f"checksum mismatch, Last Line: {rng.choice((place, place - 1))}")]
    if heard is Heard.RESEND:
        return [(heard, rng.choice((place, place + 1, place - 1, -1, 4711)))]
    return [(heard, "")]


def table() -> str:
    """The transitions as a table in Markdown."""
    rows = ["| phase | heard | next | what happens | handler |", "|---|---|---|---|---|"]
    for (phase, heard), row in TRANSITIONS.items():
        after = ", ".join(each.name for each in row.next)
        rows.append(f"| {phase.name} | {heard.name} | {after} | {row.does} | `{row.handler.__name__}` |")
    return "\n".join(rows) + "\n"


def test_the_document_shows_the_table_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == "\n" + table() + "\n"


if __name__ == "__main__":
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(head + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2], encoding="utf-8")

"""The hot path does what the long way does, and nothing where something is unusual."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from agent.gcode.framing import frame
from drivers.gcode.printing.pump import Running
from drivers.gcode.protocol.protocol import Protocol
from drivers.gcode.protocol.steps import Command, End, Procedure, numbered
from drivers.gcode.protocol.window import Window
from tests.unit.drivers.gcode.wire import Wire, line


@pytest.mark.parametrize("lines", [1, 3])
def test_the_quick_way_does_what_the_long_way_does(lines: int) -> None:
    quick, long = Wire(Window(lines)), Wire(Window(lines))
    for wire in (quick, long):
        wire.fill(1)
    for number in range(1 + lines, 200):
        assert quick.protocol.exchange(line(number), quick.now)
        long.ok()
        long.send(line(number))
    assert quick.written == long.written
    assert _state(quick.protocol) == _state(long.protocol)
    assert vars(quick.counters) == vars(long.counters)
    quick.protocol.resend(199, quick.now)
    assert not quick.protocol.exchange(line(200), quick.now)


def _lines(first: int, last: int) -> Procedure:
    for number in range(first, last + 1):
        yield line(number)
    return End.DONE


def _streamed(
    wire: Wire, running: Running, heard: list[bytes], until: float = inf, mail: tuple[str, ...] = ()
) -> bytes:
    return wire.protocol.stream(running, lambda: heard.pop(0), lambda: wire.now, until, mail)[1]


def test_a_stream_does_what_the_long_way_does() -> None:
    stream, long = Wire(), Wire()
    for wire in (stream, long):
        wire.fill(1)
    running = Running(_lines(2, 300))
    running.advance()
    assert _streamed(stream, running, [*[b"ok\n", b"ok\r\n"] * 100, b"ok T:1 /2\n"]) == b"ok T:1 /2\n"
    for number in range(2, 202):
        long.ok()
        long.send(line(number))
    assert stream.written == long.written
    assert running.next == line(202)
    assert _state(stream.protocol) == _state(long.protocol)
    assert vars(stream.counters) == vars(long.counters)
    stream.protocol.resend(201, stream.now)
    stream.ok()
    assert stream.settle() == [frame(201, b"G1 X201")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda wire: wire.protocol.damaged(wire.now) or wire.silence(),  # its place is asked for
        lambda wire: wire.protocol.resend(1, wire.now),
        lambda wire: wire.protocol.error("checksum mismatch, Last Line: 0", wire.now),
        lambda wire: wire.ok(),
    ],
)
def test_nothing_streams_when_something_is_unusual(spoil: Callable[[Wire], object]) -> None:
    wire = Wire()
    wire.fill(1)
    spoil(wire)
    wire.take()
    running = Running(_lines(2, 9))
    running.advance()
    assert _streamed(wire, running, [b"ok\n", b"ok\n"]) == b"ok\n"
    assert wire.take() == []
    assert running.next == line(2)


def test_a_stream_ends_for_mail_in_time_and_before_a_line_that_may_take_long() -> None:
    """docs/serial.md §27: a pause is heard before the next line goes."""
    wire = Wire()
    wire.fill(1)
    running = Running(_lines(2, 4))
    running.advance()
    assert _streamed(wire, running, [b"ok\n"], mail=("pause",)) == b"ok\n"
    assert _streamed(wire, running, [b"ok\n"], until=wire.now) == b"ok\n"
    assert running.next == line(2)
    assert _streamed(wire, running, [b"ok\n"] * 3) == b"", "the file has ended"
    assert running.end is End.DONE
    assert [c.number for c in wire.protocol.in_flight] == [4]
    running = Running(iter_of(numbered(5, b"G28"), line(6)))
    running.advance()
    assert _streamed(wire, running, [b"ok\n"]) == b"ok\n"
    assert running.next == numbered(5, b"G28")


def iter_of(*steps: Command) -> Procedure:
    yield from steps
    return End.DONE


def _state(protocol: Protocol) -> dict[str, object]:
    own = {k: v for k, v in vars(protocol).items() if k not in ("_write", "_counters", "window", "_numbers")}
    return own | vars(protocol._numbers) | vars(protocol.window)

"""Whose an `ok` is, on each of its ways: one too many and one that is another's bring no line on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from agent.gcode.framing import frame
from drivers.gcode.protocol.numbering import HOST
from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import Ask, Step, ask, numbered, renumber, unnumbered
from drivers.gcode.protocol.window import Window
from tests.unit.drivers.gcode.ways import Connection
from tests.unit.drivers.gcode.wire import TIMING, line, moves


def whole(connection: Connection, replies: Sequence[bytes]) -> None:
    for reply in replies:
        connection.whole(reply)


def quick(connection: Connection, replies: Sequence[bytes]) -> None:
    for reply in replies:
        connection.quick(reply)


def stream(connection: Connection, replies: Sequence[bytes]) -> None:
    connection.stream([(0.0, reply) for reply in replies])


WAYS = {"whole": whole, "quick": quick, "stream": stream}


class Way:
    """A connection that hears everything on one of the ways."""

    def __init__(self, name: str, steps: Sequence[Step], window: Window | None = None) -> None:
        self._heard = WAYS[name]
        self.connection = Connection(iter(steps), window or Window(1))

    def hear(self, *replies: bytes) -> list[bytes]:
        """Hear each reply in a read of its own; what was written."""
        self.connection.written.clear()
        self._heard(self.connection, [reply + b"\n" for reply in replies])
        return self.connection.written[:]

    def located(self, last: int) -> list[bytes]:
        """The answer to a number too high."""
        why = b"Error:Line Number is not Last Line Number+1, Last Line: %d" % last
        self.hear(why, b"Resend: %d" % (last + 1), b"ok")
        return self.moment()

    def moment(self, seconds: float = TIMING.straggle) -> list[bytes]:
        """So long without a reply; what was written then."""
        self.connection.written.clear()
        self.connection.wait(seconds)
        self.connection.whole(b"")
        return self.connection.written[:]

    @property
    def in_flight(self) -> list[int]:
        return [command.number for command in self.connection.protocol.in_flight]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[..., Way]:
    return lambda *args: Way(request.param, *args)


def moves_from(first: int) -> list[Step]:
    return [line(number) for number in range(first, 99)]


def test_after_an_ok_too_many_the_next_one_is_listened_for(way: Callable[..., Way]) -> None:
    """docs/serial.md §1: 2 s after it the next line waits a moment, in which a doubled one shows itself."""
    it = way([Ask(unnumbered(b"M114"), settle=0.05), *moves_from(1)])
    assert it.hear(b"ok") == [frame(HOST + 1, b"M114")]
    assert it.hear(b"ok", b"ok") == [], "its own, and one too many"
    assert (it.moment(0.05), it.hear(b"ok")) == ([moves(0)], [line(1).wire])
    for number in range(2, 8):
        it.connection.wait(0.3)
        assert it.hear(b"ok") == [line(number).wire]
    it.connection.wait(0.3)
    assert it.hear(b"ok") == [], "a moment of silence first"
    assert it.hear(b"ok") == [], "the doubled one"
    assert it.moment() == [line(8).wire]
    assert it.in_flight == [8]


def test_an_ok_too_many_after_the_m110_of_a_print_brings_no_line(way: Callable[..., Way]) -> None:
    """docs/serial.md §1: some boards send one more after M110; nothing is in flight then."""
    it = way([renumber(patience_s=1.0, gives_up=False), *moves_from(1)])
    assert (it.hear(b"ok", b"ok"), it.in_flight) == ([], [])
    assert it.moment(0.05) == [line(1).wire]
    assert it.hear(b"ok") == [line(2).wire]


def test_a_plain_ok_is_not_an_m110s_where_others_have_their_number(way: Callable[..., Way]) -> None:
    """docs/serial.md §3, §7: it is for a line that came as another one; on the way to the host's lines, and back."""
    it = way([line(1), ask(b"M114"), *moves_from(2)], Window("auto"))
    assert it.hear(b"ok N1 P15 B3") == [TOO_HIGH]
    assert it.located(1) == [moves(HOST + 16)]
    assert (it.hear(b"ok"), it.in_flight) == ([], [HOST + 16])
    assert it.hear(b"ok N%d P15 B3" % (HOST + 16)) == [frame(HOST + 17, b"M114")]
    assert it.hear(b"ok N%d P15 B3" % (HOST + 17)) == [moves(1)]
    assert (it.hear(b"ok"), it.in_flight) == ([], [1])
    assert it.hear(b"ok N1 P15 B3")[0] == line(2).wire


def test_an_ok_without_temperatures_is_not_an_m105s_where_others_had_them(way: Callable[..., Way]) -> None:
    """docs/serial.md §3: nor is one with temperatures any other line's."""
    it = way([line(1), numbered(2, b"M105"), line(3), numbered(4, b"M105"), *moves_from(5)])
    it.hear(b"ok", b"ok T:20.0 /0.0")
    assert it.hear(b"ok", b"ok") == [numbered(4, b"M105").wire], "the second one is not its own"
    assert it.in_flight == [4]
    assert it.hear(b"ok T:20.0 /0.0") == [line(5).wire]
    assert (it.hear(b"ok T:20.0 /0.0"), it.in_flight) == ([], [5])
    assert it.hear(b"ok") == [line(6).wire]


@pytest.mark.parametrize("window", [1, 3])
def test_an_ok_with_another_lines_number_is_nobodys(way: Callable[..., Way], window: int) -> None:
    """docs/serial.md §3, §6: the same once more, or one that is not in flight."""
    it = way(moves_from(1), Window(window))
    assert it.hear(b"ok N1 P15 B3") == [line(1 + window).wire]
    in_flight = list(range(2, 2 + window))
    for number in (1, 0, 98, 22):
        assert (it.hear(b"ok N%d P15 B3" % number), it.in_flight) == ([], in_flight)
    assert it.hear(b"ok N2 P15 B3") == [line(2 + window).wire]

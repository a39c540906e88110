"""The ways of an `ok` have the same effect, and the fast ones do nothing where something is unusual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import DataError
from agent.gcode.framing import frame
from drivers.gcode.protocol.parts import Parts
from drivers.gcode.protocol.protocol import Protocol
from drivers.gcode.protocol.quality import Quality
from drivers.gcode.protocol.steps import End, Step, ask, numbered
from drivers.gcode.protocol.window import BYTES, Window
from tests.unit.drivers.gcode.ways import Connection
from tests.unit.drivers.gcode.wire import line

CODES = {
    "move": b"G1 X1.5 Y2",
    "long": b"G1 X100.1234 Y100.1234 E0.123456 F1800.00",
    "full": b"G1 X1.%b" % (b"0" * 76),
    "home": b"G28",
    "heat": b"M109 S200",
    "poll": b"M105",
    "renumber": b"M110 N9",
}
REPLIES = {"plain": b"ok\n", "crlf": b"ok\r\n", "temps": b"ok T:20.0 /0.0\n", "garbled": b"o\n", "half": b"o"}


def steps(kinds: Sequence[str]) -> Iterator[Step]:
    number = 0
    for kind in kinds:
        if kind == "ask":
            yield ask(b"M114")
            continue
        number += 1
        yield numbered(number, CODES[kind])


def seen(connection: Connection) -> dict[str, object]:
    """All that the parts keep, by name, and all that others can see."""
    parts, pump = connection.protocol.parts, connection.pump
    facts: dict[str, object] = {}
    for name in Parts.__slots__:
        part: Any = getattr(parts, name)
        for attribute in getattr(type(part), "__slots__", None) or vars(part):
            value = getattr(part, attribute)
            if not hasattr(parts, type(value).__name__.lower()) and not callable(value):
                facts[f"{name}.{attribute}"] = _plain(value)
    running = pump.running
    return facts | {
        "written": connection.written,
        "free": connection.protocol.free(),
        "due": pump.due(connection.now),
        "next": running.next if running else None,
        "ended": pump.ended,
        "changed": pump.changed,
        "asks": pump.asker is not None,
    }


def _plain(value: Any) -> object:
    """Something to compare: a part that another part knows is compared where it is at home."""
    if isinstance(value, Quality):
        return vars(value) | {"latencies": value.latencies.tolist()}
    if type(value).__module__.startswith("drivers.gcode.protocol") and hasattr(type(value), "__slots__"):
        return type(value).__name__ if not hasattr(value, "wire") else value
    return list(value) if type(value).__name__ == "deque" else value


MOSTLY = ("plain",) * 12
SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.001, 0.002, 0.3)),
        st.sampled_from(
            (*MOSTLY, "crlf", "temps", "garbled", "half", "numbered", "wrong number", "error", "resend", "two")
        ),
    ),
    max_size=60,
)
FILES = st.lists(
    st.sampled_from(("move",) * 12 + ("long",) * 3 + ("home", "heat", "poll", "renumber", "ask")),
    min_size=1,
    max_size=60,
)


def reply(kind: str, protocol: Protocol) -> bytes:
    """The bytes of one reply; some name the line that is in flight."""
    oldest = protocol.in_flight[0].number if protocol.in_flight else protocol.last
    if kind in REPLIES:
        return REPLIES[kind]
    return {
        "numbered": b"ok N%d P15 B3\n" % oldest,
        "wrong number": b"ok N%d P15 B3\n" % (oldest + 7),
        "error": b"Error:checksum mismatch, Last Line: %d\n" % (oldest - 1),
        "resend": b"Error:checksum mismatch, Last Line: %d\nResend: %d\nok\n" % (oldest - 1, oldest),
        "two": b"ok\nok\n",
    }[kind]


@settings(max_examples=150, deadline=None, database=None)
@given(FILES, SCRIPTS, st.sampled_from((1, 2, 3, "auto")), st.sampled_from((inf, 0.05)), st.booleans())
def test_the_ways_of_an_ok_have_the_same_effect(
    kinds: list[str], script: list[tuple[float, str]], window: Any, poll_every: float, silent: bool
) -> None:
    whole, quick, stream = (Connection(steps(kinds), Window(window), poll_every) for _ in range(3))
    heard: list[tuple[float, bytes]] = []
    for wait, kind in script:
        whole.wait(wait)
        heard.append((wait, reply(kind, whole.protocol)))
        whole.whole(heard[-1][1])
    for wait, data in heard:
        quick.wait(wait)
        quick.quick(data)
    stream.stream(heard)
    for connection in (whole, quick, stream):
        if silent:
            connection.silence()
    assert seen(quick) == seen(whole)
    assert seen(stream) == seen(whole)


OK, ASKED = b"ok\n", b"Error:checksum mismatch, Last Line: 1\nResend: 2\nok\n"
SILENCE = b""
UNUSUAL = {
    "lines too long for the window": (3, ["long"] * 9, [OK] * 6),
    "a short line makes room": (3, ["long", "long", "move", "move", "long", "long", "long"], [OK] * 5),
    "one line that fills the window": (3, ["full", "full", *["move"] * 9], [OK] * 4),
    "lines of any length": (1, ["move", "full", "long", "move"], [OK] * 2),
    "one line at a time after a resend": (3, ["move"] * 9, [OK, ASKED, SILENCE, OK, OK, OK]),
    "the window opens again": (3, ["move"] * 200, [ASKED, SILENCE, *[OK] * 102]),
    "older lines are sent again": (1, ["move"] * 9, [OK, OK, OK, ASKED, SILENCE, SILENCE, OK, OK, OK, OK]),
    "numbers are not checked": (1, ["move"] * 9, [OK, SILENCE, SILENCE, b"ok T:20.0 /0.0\n", OK, b"T:20.0 /0.0\n"]),
    "busy": (1, ["move"] * 9, [OK, b"echo:busy: processing\n", b"T:20.0 /0.0\n", b"echo:x\n"]),
    "busy and an ok": (1, ["move"] * 9, [OK, b"echo:busy: processing\n", b"T:20.0 /0.0\n", OK]),
    "garbled": (1, ["move"] * 9, [OK, b"o\n", b"T:20.0 /0.0\n", b"echo:x\n"]),
    "a long command": (1, ["move", "home", "move", "move"], [OK, b"echo:busy: processing\n", OK, OK]),
    "a question between": (3, ["move", "move", "ask", "move", "move", "move"], [OK] * 3),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_ways_of_an_ok_have_the_same_effect_where_something_is_unusual(name: str) -> None:
    """All replies between two silences are one stream."""
    lines, kinds, replies = UNUSUAL[name]
    whole, quick, stream = (Connection(steps(kinds), Window(lines)) for _ in range(3))
    for silent, group in groupby(replies, lambda reply: reply is SILENCE):
        script = [(0.01, reply) for reply in group]
        if silent:
            for connection in (whole, quick, stream):
                for _ in script:
                    connection.silence()
        else:
            stream.stream(script)
            for wait, reply in script:
                whole.wait(wait)
                whole.whole(reply)
                quick.wait(wait)
                quick.quick(reply)
                assert seen(quick) == seen(whole)
                assert sum(len(command.wire) for command in whole.protocol.in_flight) <= BYTES
        assert seen(stream) == seen(whole)


@pytest.mark.parametrize("lines", [1, 3])
def test_plain_oks_are_all_taken_by_the_fast_ways(lines: int) -> None:
    quick = Connection(steps(["move"] * 300), Window(lines))
    for _ in range(200):
        assert quick.fast.quickly(b"ok\n", quick.now) == b""
    assert quick.written == [frame(number, CODES["move"]) for number in range(1, 201 + lines)]
    stream = Connection(steps(["move"] * 300), Window(1))
    heard = [b"ok\n", b"ok\r\n"] * 100 + [b"ok T:1 /2\n"]
    assert stream.fast.stream(lambda: heard.pop(0), lambda: stream.now, inf, ())[1] == b"ok T:1 /2\n"
    assert stream.counters.line == 200
    assert len(stream.written) == 201


def _stream(connection: Connection, heard: list[bytes], until: float = inf, mail: tuple[str, ...] = ()) -> bytes:
    return connection.fast.stream(lambda: heard.pop(0), lambda: connection.now, until, mail)[1]


def _person(connection: Connection) -> None:
    connection.person_needed = True


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.protocol.damaged(it.now) or it.silence(),  # its place is asked for
        lambda it: it.protocol.resend(1, it.now),
        lambda it: it.protocol.error("checksum mismatch, Last Line: 0", it.now),
        lambda it: it.protocol.ok("", it.now),
        _person,
    ],
)
def test_the_fast_ways_do_nothing_when_something_is_unusual(spoil: Callable[[Connection], object]) -> None:
    connection = Connection(steps(["move"] * 9), Window(1))
    spoil(connection)
    connection.written.clear()
    before = seen(connection)
    assert _stream(connection, [b"ok\n"]) == b"ok\n"
    assert connection.fast.quickly(b"ok\nok\n", connection.now) == b"ok\nok\n"
    assert seen(connection) == before
    assert connection.written == []


def test_a_stream_ends_for_mail_in_time_and_before_a_line_that_may_take_long() -> None:
    """docs/serial.md §27: a pause is heard before the next line goes."""
    connection = Connection(iter([line(1), line(2), line(3)]), Window(1))
    assert _stream(connection, [b"ok\n"], mail=("pause",)) == b"ok\n"
    assert _stream(connection, [b"ok\n"], until=connection.now) == b"ok\n"
    assert connection.protocol.last == 1
    assert _stream(connection, [b"ok\n"] * 3) == b"", "the file has ended"
    assert connection.pump.ended is End.DONE
    assert [command.number for command in connection.protocol.in_flight] == [3]
    connection = Connection(iter([line(1), numbered(2, b"G28"), line(3)]), Window(1))
    assert _stream(connection, [b"ok\n"]) == b"ok\n"
    assert connection.protocol.last == 1


def test_a_file_that_cannot_be_read_any_more_ends_the_fast_ways() -> None:
    def spoilt() -> Iterator[Step]:
        yield line(1)
        yield line(2)
        raise DataError("the file has changed")

    for way in ("stream", "quick"):
        connection = Connection(spoilt(), Window(1))
        if way == "stream":
            assert _stream(connection, [b"ok\n", b"ok\n"]) == b""
        else:
            assert connection.fast.quick(connection.now)
        assert [str(error) for error in connection.unreadable] == ["the file has changed"]
        assert connection.written[-1] == frame(2, b"G1 X2"), "what was ready has gone out"

"""The firmware of the benches is no toy: it counts what it executes, and asks for what it did not get right."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.gcode.framing import frame
from benchmarks.serial_bench import host
from benchmarks.serial_null import Firmware, Link, compiled, sliced

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
PATIENCE = 10.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("firmware"))


class Line:
    """A client that reads lines."""

    def __init__(self, port: str) -> None:
        self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._heard = b""

    def ask(self, line: bytes, *, until: bytes = b"ok") -> list[bytes]:
        """What it answers, with the first line that begins with `until`."""
        os.write(self._fd, line.rstrip(b"\n") + b"\n")
        found: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while not found or not found[-1].startswith(until):
            while b"\n" not in self._heard:
                assert time.monotonic() < end, found
                self._heard += os.read(self._fd, 4096)
            line, _, self._heard = self._heard.partition(b"\n")
            found.append(line)
        return found

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def line(firmware: Firmware) -> Iterator[Line]:
    made = Line(firmware.port)
    yield made
    made.close()


@pytest.fixture
def firmware(program: Path) -> Iterator[Firmware]:
    with Firmware(program, Link()) as made:
        yield made


@pytest.mark.parametrize("name", ["bare", "driver"])
@pytest.mark.parametrize("link", [Link(), Link(1_000_000, 1.0, advanced=True)])
def test_all_lines_of_a_sliced_file_are_executed_and_counted_once(
    program: Path, tmp_path: Path, name: str, link: Link
) -> None:
    file = sliced(tmp_path / "sliced.gcode", 300)
    seen, told = host(program, name, str(file), link, "auto")
    assert (seen.executed, seen.resends, seen.overflows) == (300, 0, 0)
    assert told["cpu"] > 0
    assert seen.rate > 0


def test_a_wrong_checksum_and_a_wrong_number_are_asked_for_again(firmware: Firmware, line: Line) -> None:
    line.ask(b"N0 M110 N0*125")
    assert line.ask(b"N1 G1 X1*99") == [b"Error:checksum mismatch, Last Line: 0", b"Resend: 1", b"ok"]
    line.ask(frame(1, b"G1 X1"))
    assert line.ask(frame(3, b"G1 X1"))[1] == b"Resend: 2"
    assert (firmware.seen().executed, firmware.seen().resends) == (1, 2)


def test_the_question_where_it_is_is_no_resend_and_no_line_of_the_file(firmware: Firmware, line: Line) -> None:
    line.ask(b"N0 M110 N0*125")
    line.ask(frame(1, b"G1 X1"))
    assert line.ask(frame(900_000_000, b"M105"))[1] == b"Resend: 2"
    assert (firmware.seen().executed, firmware.seen().resends) == (1, 0)


def test_temperatures_are_those_asked_for_and_come_by_themselves(line: Line) -> None:
    line.ask(b"M140 S60")
    line.ask(b"M109 S200")
    assert line.ask(b"M105") == [b"ok T:200.00 /200.00 B:60.00 /60.00 @:0 B@:0"]
    assert line.ask(b"M155 S1", until=b"T:")[-1] == b"T:200.00 /200.00 B:60.00 /60.00 @:0 B@:0"


def test_a_new_print_begins_the_count_anew(firmware: Firmware, line: Line) -> None:
    for _ in range(2):
        line.ask(b"N0 M110 N0*125")
        line.ask(frame(1, b"G1 X1"))
    assert firmware.seen().executed == 1

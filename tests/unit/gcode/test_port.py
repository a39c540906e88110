"""The port itself, on real pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import select
import termios
from collections.abc import Iterator

import pytest
import serial

from agent.errors import PortError
from drivers.gcode.port import Port

TIOCGEXCL = 0x80045440
"""Whether a terminal is exclusively one's own: root may open it nevertheless."""


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    """The printer's end, and the path of the host's."""
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    try:
        yield master, path
    finally:
        os.close(master)


def test_closing_the_port_does_not_reset_the_board(pty: tuple[int, str]) -> None:
    """SERIAL.md §18: clear HUPCL."""
    port = Port(pty[1], 115200)
    assert not termios.tcgetattr(port.fd)[2] & termios.HUPCL
    port.close()


def test_a_port_is_one_programs_alone_and_given_back_when_it_is_closed(pty: tuple[int, str]) -> None:
    """SERIAL.md §18: open exclusively (`TIOCEXCL`)."""
    port = Port(pty[1], 115200)
    exclusive = fcntl.ioctl(port.fd, TIOCGEXCL, b"\0\0\0\0")
    assert int.from_bytes(exclusive, "little") == 1
    with pytest.raises(PortError, match=pty[1]):
        Port(pty[1], 115200)
    port.close()
    Port(pty[1], 250000).close()


def test_what_the_printer_says_while_the_port_is_configured_is_not_lost(
    pty: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SERIAL.md §17a: TCSAFLUSH eats the boot banner, which comes between opening the port and the last setting."""
    master, path = pty
    opened = serial.Serial

    def opening(*args: object, **options: object) -> serial.Serial:
        made = opened(*args, **options)  # type: ignore[arg-type]
        os.write(master, b"start\n")
        assert select.select([made.fileno()], [], [], 5.0)[0], "it has arrived"
        return made

    monkeypatch.setattr("drivers.gcode.port.serial.Serial", opening)
    port = Port(path, 115200)
    try:
        assert port.read() == b"start\n"
    finally:
        port.close()


def test_an_unplugged_port_is_an_error_that_names_it() -> None:
    """SERIAL.md §29: the read says «no data» or raises."""
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    port = Port(path, 115200)
    os.close(master)
    with pytest.raises(PortError, match=f"{path} was unplugged"):
        port.read()
    port.close()


def test_a_port_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(PortError, match="/dev/ttyNOPE9: No such file or directory"):
        Port("/dev/ttyNOPE9", 115200)

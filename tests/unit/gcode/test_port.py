"""The port itself, on real pseudo-terminals."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator

import pytest

from agent.errors import PortError
from drivers.gcode.port import Port


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
    """SERIAL.md §18: open exclusively."""
    port = Port(pty[1], 115200)
    with pytest.raises(PortError, match=pty[1]):
        Port(pty[1], 115200)
    port.close()
    Port(pty[1], 250000).close()


def test_what_the_printer_said_before_the_port_was_configured_is_not_lost() -> None:
    """SERIAL.md §17a: TCSAFLUSH eats the boot banner."""
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    port = Port(os.ttyname(slave), 115200)
    os.write(master, b"start\n")
    assert port.read() == b"start\n"
    port.close()
    os.close(slave)
    os.close(master)


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

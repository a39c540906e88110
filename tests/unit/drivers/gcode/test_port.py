"""The port itself, on real pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from agent.errors import PortError
from drivers.gcode.link.port import Port

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
    """docs/serial.md §18: clear HUPCL."""
    port = Port(pty[1], 115200)
    assert not termios.tcgetattr(port.fd)[2] & termios.HUPCL
    port.close()


def test_a_port_is_one_programs_alone_and_given_back_when_it_is_closed(pty: tuple[int, str]) -> None:
    """docs/serial.md §18: open exclusively (`TIOCEXCL`)."""
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
    """docs/serial.md §17a: TCSAFLUSH eats the boot banner, which comes between opening the port and the last
    setting."""
    master, path = pty
    opened = serial.Serial

    def opening(*args: object, **options: object) -> serial.Serial:
        made = opened(*args, **options)  # type: ignore[arg-type]
        os.write(master, b"start\n")
        assert select.select([made.fileno()], [], [], 5.0)[0], "it has arrived"
        return made

    monkeypatch.setattr("drivers.gcode.link.port.serial.Serial", opening)
    port = Port(path, 115200)
    try:
        assert port.read() == b"start\n"
    finally:
        port.close()


def test_an_unplugged_port_is_an_error_that_names_it() -> None:
    """docs/serial.md §29: the read says «no data» or raises."""
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


def left(path: str) -> int:
    """A copy of an agent's descriptor that outlives it, as systemd holds it; the agent was killed."""
    port = Port(path, 250000)
    copy = os.dup(port.fd)
    port.close(leave=True)
    return copy


def test_a_port_that_was_left_open_is_taken_up_as_it_is(pty: tuple[int, str]) -> None:
    kept = left(pty[1])
    attributes = termios.tcgetattr(kept)
    os.write(pty[0], b"ok\n")
    port = Port.from_descriptor(os.dup(kept))
    assert (port.device, port.baud, port.resets) == (pty[1], 250000, False)
    assert port.read() == b"ok\n", "nothing is flushed"
    port.write(b"M105\n")
    assert os.read(pty[0], 100) == b"M105\n"
    os.write(pty[0], b"ok\n")
    assert port.listen() == b"ok\n", "it can wait inside the read too"
    attributes[6] = termios.tcgetattr(kept)[6]
    assert termios.tcgetattr(kept) == attributes
    with pytest.raises(PortError, match=pty[1]):
        Port(pty[1], 115200)
    port.close()
    Port(pty[1], 250000).close()
    os.close(kept)


def test_what_was_left_open_of_a_port_that_is_gone_is_an_error() -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    kept = left(path)
    os.close(master)
    with pytest.raises(PortError, match=r"kept open|unplugged|cannot be configured"):
        Port.from_descriptor(kept).read()


def test_what_was_left_open_and_is_no_port_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with pytest.raises(PortError, match="the port that was kept open"):
        Port.from_descriptor(fd)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


UNPRIVILEGED = """
import os, sys
from agent.errors import PortError
from drivers.gcode.link.port import Port
path, kept = sys.argv[1], int(sys.argv[2])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    Port(path, 115200)
    sys.exit("a port that is exclusive was opened by its name")
except PortError:
    pass
port = Port.from_descriptor(kept)
port.write(b"hello\\n")
port.close()
Port(path, 115200).close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_one_who_is_not_root_takes_up_what_is_exclusive(pty: tuple[int, str]) -> None:
    """The service's user is not root, whom TIOCEXCL does not stop: by its name the port cannot be opened."""
    kept = left(pty[1])
    Path(pty[1]).chmod(0o666)
    command = [sys.executable, "-c", UNPRIVILEGED, pty[1], str(kept)]
    done = subprocess.run(command, pass_fds=[kept], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert os.read(pty[0], 100) == b"hello\n"
    os.close(kept)

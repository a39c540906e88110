"""Serial port: opened and configured with pyserial, then used through its descriptor; and which ports to try."""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path

import serial

from agent.errors import PortError
from drivers.gcode.link import terminal
from drivers.gcode.link.black_box import BlackBox
from drivers.gcode.link.discovery import DEV, SYS, find_again, identify_port, list_ports, tty
from drivers.gcode.link.terminal import LISTEN_S
from drivers.gcode.session.port_identity import PortIdentity
from drivers.settings import DriverSettings

__all__ = ["BAUDS", "LISTEN_S", "Port", "PortSearch"]

BAUDS = (115200, 250000, 230400, 500000, 1000000, 57600)
"""Tried in this order when the configuration says `auto`, bits per second."""
_BACKLOG = 64 * 1024


class Port:
    """An open port. Only `listen` waits. Raises PortError for everything that goes wrong with it.

    It is opened twice: the second descriptor waits for bytes inside the read, which saves a `poll` for each line, and
    the first never waits, so that a port that takes no bytes cannot hold up the thread."""

    def __init__(self, device: str, baud: int, box: BlackBox | None = None, *, kept: int | None = None) -> None:
        """Open exclusively, or use `kept`, a descriptor of it that is open already and keeps its rate. HUPCL is cleared
        so that closing does not reset the board (docs/serial.md §18). `box` records the bytes both ways."""
        self._sent = box.sent if box is not None else _discard
        self._heard = box.heard if box is not None else _discard
        self.device = device
        self.baud = baud
        self._unsent = b""
        self._read_fd = -1
        self._serial: serial.Serial | None = None
        try:
            if kept is None:
                self._serial = serial.Serial(device, baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise PortError(f"{device}: {_describe(error)}") from error
        self.fd: int = self._serial.fileno() if self._serial is not None else kept if kept is not None else -1
        try:
            os.set_blocking(self.fd, False)
            self._read_fd = terminal.reopen_for_reading(self.fd, device)
            if self._serial is not None:
                attributes = termios.tcgetattr(self.fd)
                attributes[2] &= ~termios.HUPCL
                termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
                self._serial.baudrate = baud  # again: tcsetattr knows only the classic rates
            terminal.make_reads_wait(self.fd)
        except (OSError, ValueError, termios.error) as error:
            self.close()
            raise PortError(f"{device}: cannot be configured: {error}") from error
        self.reset_line = terminal.has_modem_lines(self.fd)
        self.resets = kept is None and self.reset_line

    @classmethod
    def from_descriptor(cls, kept: int, box: BlackBox | None = None) -> Port:
        """Use a descriptor that an agent before this one left open; it is closed when it is unusable."""
        try:
            device, baud = os.ttyname(kept), terminal.rate(kept)
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ours already, unless it was opened by a stranger
        except OSError as error:
            os.close(kept)
            raise PortError(f"the port that was kept open: {_describe(error)}") from error
        return cls(device, baud, box, kept=kept)

    @property
    def blocked(self) -> bool:
        """Whether bytes wait until the port takes them."""
        return bool(self._unsent)

    def read(self) -> bytes:
        """Read what is there, which may be nothing; never waits."""
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortError(f"{self.device} was unplugged ({_describe(error)})") from error
        if not data:
            raise PortError(f"{self.device} was unplugged")
        self._heard(data)
        return data

    def listen(self) -> bytes:
        """Wait up to LISTEN_S seconds for bytes; none may also mean that the port is gone, which `read` tells."""
        try:
            data = os.read(self._read_fd, 4096)
        except OSError as error:
            raise PortError(f"{self.device} was unplugged ({_describe(error)})") from error
        self._heard(data)
        return data

    def write(self, data: bytes) -> None:
        """Write `data`; what the port does not take now is kept for `flush`."""
        self._sent(data)
        self._put(data)

    def _put(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            if len(self._unsent) > _BACKLOG:
                raise PortError(f"{self.device} takes no more data")
            return
        try:
            taken = os.write(self.fd, data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise PortError(f"{self.device} was unplugged ({_describe(error)})") from error
        if taken < len(data):
            self._unsent = data[taken:]

    def flush(self) -> None:
        """Write what was kept, as far as the port takes it."""
        data, self._unsent = self._unsent, b""
        if data:
            self._put(data)

    def pulse(self, pause: Callable[[float], None]) -> None:
        """Reset the board with DTR, where there is such a line. `pause` waits so many seconds."""
        try:
            terminal.set_dtr(self.fd, on=False)
            pause(0.1)
            terminal.set_dtr(self.fd, on=True)
        except OSError as error:
            raise PortError(f"{self.device}: cannot be reset: {_describe(error)}") from error

    def close(self, *, leave: bool = False) -> None:
        """Close the port so that others may open it, or `leave` it as it is for the next agent. Never raises: an
        unplugged port is closed too."""
        if not leave:
            terminal.release(self.fd)
        read_fd, self._read_fd = self._read_fd, -1
        if read_fd >= 0:
            os.close(read_fd)
        fd, self.fd = self.fd, -1
        if self._serial is not None:
            self._serial.close()
        elif fd >= 0:
            os.close(fd)


class PortSearch:
    """Order of the ports and rates to try. It remembers what answered last, for as long as it lives."""

    def __init__(self, settings: DriverSettings, dev: Path = DEV, sys: Path = SYS) -> None:
        self._port = settings.port
        self._bauds = BAUDS if settings.baud == "auto" else (settings.baud,)
        self._dev = dev
        self._sys = sys
        self._known: PortIdentity | None = None
        self._baud = 0

    def candidates(self) -> list[tuple[PortIdentity, int]]:
        """List ports and rates, best first: what answered last, under any name (docs/serial.md §29); then all ports at
        the most usual rate, all at the next one …"""
        known = self._known
        named = self._port != "auto"
        found = find_again(self._port, known, self._dev, self._sys) if named else list_ports(self._dev, self._sys)
        pairs = [(port, baud) for baud in self._bauds for port in found]
        if known is None:
            return pairs
        return sorted(
            pairs, key=lambda pair: (not _is_known(pair[0], known), _is_known(pair[0], known) and pair[1] != self._baud)
        )

    def identify_kept(self, device: str) -> PortIdentity | None:
        """Identify the open `device`; None when it is not the port that was configured."""
        found = next((port for port in list_ports(self._dev, self._sys) if tty(port.path) == tty(device)), None)
        if self._port == "auto":
            return found or identify_port(Path(device), self._dev, self._sys)
        return identify_port(Path(self._port), self._dev, self._sys) if tty(self._port) == tty(device) else None

    def reopen(self, known: PortIdentity, baud: int) -> list[tuple[PortIdentity, int]]:
        """List where the printer may be that was `known` at `baud`: under that name, any other of the same device, or
        the one that is configured by now."""
        found = find_again(known.path, known, self._dev, self._sys)
        if self._port not in ("auto", known.path):
            found.append(identify_port(Path(self._port), self._dev, self._sys))
        return [(port, baud) for port in found]

    def printer_port(self) -> str:
        """The path of the port that the printer is at: where it answered last, else the one that is configured, or the
        only one that there is; empty when none of these is known."""
        found = [port for port, _baud in self.candidates()]
        if self._known is not None:
            return next((port.path for port in found if _is_known(port, self._known)), "")
        paths = {port.path for port in found}
        return found[0].path if paths and (self._port != "auto" or len(paths) == 1) else ""

    def remember(self, port: PortIdentity, baud: int) -> None:
        """Try `port` at `baud` first from now on: a printer answered there."""
        self._known, self._baud = port, baud


def _is_known(port: PortIdentity, known: PortIdentity) -> bool:
    return port.same_device(known) or port.path == known.path


def _discard(_data: bytes) -> None:
    """Nobody records it."""


def _describe(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)

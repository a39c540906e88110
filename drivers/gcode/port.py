"""The serial port itself: found, opened and configured with pyserial, then used through its descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path

import serial

from agent.errors import PortError
from drivers.gcode.blackbox import BlackBox
from drivers.gcode.discovery import DEV, SYS, Found, again, ports
from drivers.settings import DriverSettings

BAUDS = (115200, 250000, 230400, 500000, 1000000, 57600)
"""Tried in this order when the configuration says `auto`, bits per second."""
LISTEN_S = 0.1
"""How long `listen` waits, in seconds: the smallest time that a terminal knows."""
_BACKLOG = 64 * 1024
_TCGETS2, _TCSETS2 = 0x802C542A, 0x402C542B
_CONTROL = 17  # offset of the control characters in struct termios2


class Port:
    """An open port. Only `listen` waits. Raises PortError for everything that goes wrong with it.

    It is opened twice: the second descriptor waits for bytes inside the read, which saves a `poll` for each line, and
    the first never waits, so that a port that takes no bytes cannot hold up the thread."""

    def __init__(self, device: str, baud: int, box: BlackBox | None = None) -> None:
        """Opens exclusively. HUPCL is cleared so that closing it does not reset the board (SERIAL.md §18). `box` keeps
        what goes by."""
        self._sent = box.sent if box is not None else _unseen
        self._heard = box.heard if box is not None else _unseen
        self.device = device
        self.baud = baud
        self._unsent = b""
        self._ear = -1
        try:
            self._serial = serial.Serial(device, baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise PortError(f"{device}: {_plainly(error)}") from error
        self.fd: int = self._serial.fileno()
        try:
            os.set_blocking(self.fd, False)
            self._ear = os.open(device, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
            fcntl.ioctl(self.fd, termios.TIOCEXCL)
            attributes = termios.tcgetattr(self.fd)
            attributes[2] &= ~termios.HUPCL
            termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
            self._serial.baudrate = baud  # again: tcsetattr knows only the classic rates
            _wait_in_read(self.fd)
        except (OSError, ValueError, termios.error) as error:
            self.close()
            raise PortError(f"{device}: cannot be configured: {error}") from error
        self.resets = self._has_modem_lines()

    @property
    def blocked(self) -> bool:
        """Whether bytes wait until the port takes them."""
        return bool(self._unsent)

    def read(self) -> bytes:
        """What is there, which may be nothing."""
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortError(f"{self.device} was unplugged ({_plainly(error)})") from error
        if not data:
            raise PortError(f"{self.device} was unplugged")
        self._heard(data)
        return data

    def listen(self) -> bytes:
        """What comes within LISTEN_S seconds; nothing also means that the port may be gone, which `read` tells."""
        try:
            data = os.read(self._ear, 4096)
        except OSError as error:
            raise PortError(f"{self.device} was unplugged ({_plainly(error)})") from error
        self._heard(data)
        return data

    def write(self, data: bytes) -> None:
        """Send `data`; what the port does not take now is kept for `flush`."""
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
            raise PortError(f"{self.device} was unplugged ({_plainly(error)})") from error
        if taken < len(data):
            self._unsent = data[taken:]

    def flush(self) -> None:
        """Send what was kept, as far as the port takes it."""
        data, self._unsent = self._unsent, b""
        if data:
            self._put(data)

    def pulse(self, pause: Callable[[float], None]) -> None:
        """Reset the board with DTR, where there is such a line. `pause` waits so many seconds."""
        try:
            self._serial.dtr = False
            pause(0.1)
            self._serial.dtr = True
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):  # a pty has no such line
                raise PortError(f"{self.device}: cannot be reset: {_plainly(error)}") from error

    def close(self) -> None:
        """Let go of the port, others may open it again. Never raises: an unplugged port is closed too."""
        try:
            fcntl.ioctl(self.fd, termios.TIOCNXCL)
        except OSError:
            self._unsent = b""  # the device is gone; there is nothing to give back
        ear, self._ear = self._ear, -1
        if ear >= 0:
            os.close(ear)
        self._serial.close()

    def _has_modem_lines(self) -> bool:
        try:
            fcntl.ioctl(self.fd, termios.TIOCMGET, b"\0\0\0\0")
        except OSError:
            return False
        return True


def _wait_in_read(fd: int) -> None:
    """A read of a descriptor that may wait does so until there is a byte, LISTEN_S at most. By Linux's termios2, which
    keeps rates that termios does not know; elsewhere such a read does not wait at all."""
    try:
        settings = bytearray(fcntl.ioctl(fd, _TCGETS2, bytes(44)))
        settings[_CONTROL + termios.VMIN] = 0
        settings[_CONTROL + termios.VTIME] = round(LISTEN_S * 10)
        fcntl.ioctl(fd, _TCSETS2, bytes(settings))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise


class Search:
    """Which ports and rates to try, and in which order. It remembers what answered last, for as long as it lives."""

    def __init__(self, settings: DriverSettings, dev: Path = DEV, sys: Path = SYS) -> None:
        self._port = settings.port
        self._bauds = BAUDS if settings.baud == "auto" else (settings.baud,)
        self._dev = dev
        self._sys = sys
        self._known: Found | None = None
        self._baud = 0

    def candidates(self) -> list[tuple[Found, int]]:
        """Ports and rates, best first: what answered last, under any name (SERIAL.md §29); then all ports at the most
        usual rate, all at the next one …"""
        known = self._known
        named = self._port != "auto"
        found = again(self._port, known, self._dev, self._sys) if named else ports(self._dev, self._sys)
        pairs = [(port, baud) for baud in self._bauds for port in found]
        if known is None:
            return pairs
        return sorted(pairs, key=lambda pair: (not _is(pair[0], known), _is(pair[0], known) and pair[1] != self._baud))

    def answered(self, port: Found, baud: int) -> None:
        """A printer is there."""
        self._known, self._baud = port, baud


def _is(port: Found, known: Found) -> bool:
    return port.same(known) or port.path == known.path


def _unseen(_data: bytes) -> None:
    """Nobody keeps it."""


def _plainly(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)

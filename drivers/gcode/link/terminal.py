"""Terminal settings by descriptor, beside pyserial: Linux's termios2, which knows every rate, and modem lines.

An agent's port may be kept open while no agent runs (`agent.core.driver.PortKeeper`); such a descriptor is taken up as
it is. Nothing here flushes anything or moves DTR, which would reset the board (docs/serial.md §17a, §18)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios

LISTEN_S = 0.1
"""How long a read that may wait does so, in seconds: the smallest time that a terminal knows."""

_TCGETS2, _TCSETS2 = 0x802C542A, 0x402C542B
_SIZE = 44  # of struct termios2
_MODES = 8  # offset of c_cflag
_CONTROL = 17  # of the control characters
_RATE = 40  # of c_ospeed
_NOT_HERE = (errno.ENOTTY, errno.EINVAL)


def make_reads_wait(fd: int) -> None:
    """Make a read that may wait do so until there is a byte, LISTEN_S at most; and a close move no modem line. By
    termios2, which keeps rates that termios does not know; elsewhere such a read does not wait at all.
    Raises OSError."""
    try:
        settings = bytearray(fcntl.ioctl(fd, _TCGETS2, bytes(_SIZE)))
        settings[_CONTROL + termios.VMIN] = 0
        settings[_CONTROL + termios.VTIME] = round(LISTEN_S * 10)
        modes = struct.unpack_from("=I", settings, _MODES)[0] & ~termios.HUPCL
        struct.pack_into("=I", settings, _MODES, modes)
        fcntl.ioctl(fd, _TCSETS2, bytes(settings))
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise


def rate(fd: int) -> int:
    """Read the terminal's rate in bits per second. Raises OSError for what is no terminal, or a dead one."""
    return int(struct.unpack_from("=I", fcntl.ioctl(fd, _TCGETS2, bytes(_SIZE)), _RATE)[0])


def has_modem_lines(fd: int) -> bool:
    """Whether there is a DTR that may reset the board; a pty has none."""
    try:
        fcntl.ioctl(fd, termios.TIOCMGET, b"\0\0\0\0")
    except OSError:
        return False
    return True


def set_dtr(fd: int, *, on: bool) -> None:
    """Set DTR, where there is such a line. Raises OSError."""
    try:
        fcntl.ioctl(fd, termios.TIOCMBIS if on else termios.TIOCMBIC, struct.pack("=I", termios.TIOCM_DTR))
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise


def release(fd: int) -> None:
    """Let others open the terminal again: neither it nor a copy of it that somebody keeps stays exclusive."""
    try:
        fcntl.ioctl(fd, termios.TIOCNXCL)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        return  # the device is gone; there is nothing to give back


def reopen_for_reading(fd: int, device: str) -> int:
    """Open the same terminal again, for reading alone; it is exclusive from then on. Raises OSError."""
    fcntl.ioctl(fd, termios.TIOCNXCL)  # a kept one is exclusive still
    try:
        return os.open(device, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        fcntl.ioctl(fd, termios.TIOCEXCL)

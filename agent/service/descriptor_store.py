"""The serial port in systemd's descriptor store: open while no agent runs, so that the board is not reset.

systemd gives what it keeps to the next agent (sd_listen_fds(3)): descriptors from 3 on, `LISTEN_FDS` of them, meant for
the process `LISTEN_PID`, with names in `LISTEN_FDNAMES`. It takes one by `FDSTORE=1` with the descriptor beside the
text (sd_notify(3)). A port that is unplugged hangs up: systemd sees that and lets go of it by itself.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
from collections.abc import Mapping, MutableMapping

import structlog

from agent.core.driver import NoKeeper, PortKeeper

log = structlog.get_logger(part="descriptors")

FIRST = 3  # SD_LISTEN_FDS_START
MOST = 64  # descriptors that are looked at; the unit asks for one to be kept
NAME = "serial"
MAY_TAKE = 1.0  # seconds until systemd must have taken a message


class SystemdKeeper:
    """See PortKeeper. `notify_socket` is a path, or an abstract name that begins with `@`. `given` is what an agent
    before this one left; None for nothing."""

    def __init__(self, notify_socket: str, given: int | None = None) -> None:
        self._address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket
        self._given = given

    def take(self) -> int | None:
        """See PortKeeper."""
        given, self._given = self._given, None
        return given

    def keep(self, fd: int) -> None:
        """See PortKeeper. What was kept goes first: the store has one place."""
        self.drop()
        self._send(f"FDSTORE=1\nFDNAME={NAME}", fd)

    def drop(self) -> None:
        """See PortKeeper."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={NAME}")

    def _send(self, text: str, *fds: int) -> None:
        """Without systemd's ear the port is just not kept: no reason not to print."""
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(MAY_TAKE)
                sender.connect(self._address)
                sender.sendmsg([text.encode("ascii")], beside)
        except OSError as error:
            log.warning("systemd was not told about the port", what=text.partition("=")[0], reason=str(error))


def keeper(environ: MutableMapping[str, str], pid: int) -> PortKeeper:
    """Who keeps the port for this process. Takes what was left for it, and takes it out of `environ`: programs that
    this process starts have no descriptors to expect."""
    given = _given(environ, pid)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] in ("/", "@"):
        return SystemdKeeper(address, given)
    if given is not None:
        os.close(given)
    return NoKeeper()


def _given(environ: Mapping[str, str], pid: int) -> int | None:
    """The port that was left, closed on exec; all else that was passed is closed."""
    if environ.get("LISTEN_PID") != str(pid):
        return None
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = None
    for place in range(min(int(count), MOST) if count.isascii() and count.isdigit() else 0):
        fd = FIRST + place
        name = names[place] if place < len(names) else ""
        try:
            if name == NAME and found is None:
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
                found = fd
            else:
                os.close(fd)
        except OSError as error:
            log.warning("a descriptor that systemd left cannot be used", fd=fd, name=name[:40], reason=error.strerror)
    return found

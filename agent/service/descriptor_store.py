"""Descriptor store of systemd: keeps the serial port open while no agent runs, so that the board is not reset.

systemd passes what it keeps to the next agent (sd_listen_fds(3)): descriptors from 3 on, `LISTEN_FDS` of them, for the
process `LISTEN_PID`, with names in `LISTEN_FDNAMES`. It takes one by `FDSTORE=1` with the descriptor beside the
text (sd_notify(3)). A port that is unplugged hangs up: systemd notices and closes it by itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, MutableMapping

import structlog

from agent.core.driver import NoKeeper, PortKeeper
from agent.service.notify_socket import NotifySocket

log = structlog.get_logger(part="descriptors")

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
MAX_DESCRIPTORS = 64  # descriptors that are examined; the unit has one kept
NAME = "serial"


class SystemdKeeper:
    """Keeps the port in systemd's descriptor store (agent.core.driver.PortKeeper).

    `inherited` is the port that the agent before this one left; None for none.
    """

    def __init__(self, notify: NotifySocket, inherited: int | None) -> None:
        self._notify = notify
        self._inherited = inherited

    def take(self) -> int | None:
        """See PortKeeper."""
        inherited, self._inherited = self._inherited, None
        return inherited

    def keep(self, fd: int) -> None:
        """See PortKeeper. What was kept is removed first: the store has one place. A port that cannot be kept is no
        reason not to print."""
        try:
            self._notify.store_descriptor(NAME, fd)
        except OSError as error:
            log.warning("port not kept open", error=error.strerror)

    def drop(self) -> None:
        """See PortKeeper."""
        self._notify.remove_descriptor(NAME)


def port_keeper(environ: MutableMapping[str, str], pid: int, notify: NotifySocket) -> PortKeeper:
    """The PortKeeper for this process, with the port that was passed to it. The variables are removed from `environ`:
    programs that this process starts get no descriptors."""
    inherited = _inherited(environ, pid)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    if notify.enabled:
        return SystemdKeeper(notify, inherited)
    if inherited is not None:
        os.close(inherited)
    return NoKeeper()


def _inherited(environ: Mapping[str, str], pid: int) -> int | None:
    """The port that systemd passed, set to close on exec; all else that was passed is closed."""
    if environ.get("LISTEN_PID") != str(pid):
        return None
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    port = None
    for place in range(min(int(count), MAX_DESCRIPTORS) if count.isascii() and count.isdigit() else 0):
        fd = FIRST_DESCRIPTOR + place
        name = names[place] if place < len(names) else ""
        try:
            if name == NAME and port is None:
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
                port = fd
            else:
                os.close(fd)
        except OSError as error:
            log.warning("inherited descriptor not usable", fd=fd, name=name[:40], error=error.strerror)
    return port

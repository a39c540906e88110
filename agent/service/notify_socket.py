"""Notifications to systemd (sd_notify(3)) that never wait: what its queue does not take now is sent again later.

A datagram socket holds few messages (net.unix.max_dgram_qlen, mostly 10). When systemd does not read for a while, a
blocking send waits for it without a limit; so everything here is sent with MSG_DONTWAIT. What could not be sent waits,
the latest value of each variable in one message, and goes out with the next call of `flush`.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket
import threading
from collections.abc import Mapping

import structlog

log = structlog.get_logger(part="health")

ROUNDS = 10  # of waiting for systemd, at most, until it has a descriptor's two messages
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS)  # of the queue, of memory, of descriptors under way
_STATE = ("READY", "RELOADING", "STOPPING")  # variables of which the latest alone is true


class NotifySocket:
    """The sender's end of $NOTIFY_SOCKET. Any thread; no method waits, but `close` where it is told to.

    `address` is a path, an abstract name that begins with `@`, or empty: then nothing is sent.
    """

    def __init__(self, address: str) -> None:
        self.enabled = address[:1] in ("/", "@")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._variables: dict[str, str] = {}  # name → its lines
        self._store: list[tuple[str, int | None]] = []  # messages for the descriptor store, each by itself
        self._failing = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> NotifySocket:
        """The socket that systemd names in the environment; a disabled one where it names none."""
        return cls(environ.get("NOTIFY_SOCKET", ""))

    def send(self, text: str) -> None:
        """Send `NAME=value`, or lines that begin with it; what waits of the same name is replaced."""
        if not self.enabled:
            return
        name = text.partition("=")[0]
        with self._lock:
            for other in _STATE if name in _STATE else (name,):
                self._variables.pop(other, None)
            self._variables[name] = text
            self._flush()

    def send_once(self, text: str) -> None:
        """Send `NAME=value` now or not at all: what is only true at this moment."""
        if not self.enabled:
            return
        name = text.partition("=")[0]
        with self._lock:
            self._variables[name] = text
            self._flush()
            self._variables.pop(name, None)

    def store_descriptor(self, name: str, fd: int) -> None:
        """Have systemd keep a copy of `fd` under `name`, in place of what it keeps. `fd` may be closed at once: a copy
        of it waits where the message has to. Raises OSError when there is no descriptor for that."""
        if not self.enabled:
            return
        copy = os.dup(fd)
        with self._lock:
            self._forget_store()
            self._store = [(f"FDSTOREREMOVE=1\nFDNAME={name}", None), (f"FDSTORE=1\nFDNAME={name}", copy)]
            self._flush()

    def remove_descriptor(self, name: str) -> None:
        """Have systemd close what it keeps under `name`; a copy that still waits is closed here."""
        if not self.enabled:
            return
        with self._lock:
            self._forget_store()
            self._store = [(f"FDSTOREREMOVE=1\nFDNAME={name}", None)]
            self._flush()

    def flush(self) -> None:
        """Send what waits, as far as systemd takes it."""
        with self._lock:
            self._flush()

    def close(self, *, store_within: float = 0.0) -> None:
        """Send what waits, and close. Where a descriptor waits, without which the next agent cannot take the print
        over, systemd gets `store_within` seconds to read."""
        self.flush()
        for _ in range(ROUNDS):
            if not self._store or self._socket is None:
                break
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(store_within / ROUNDS * 1000)
            self.flush()
        with self._lock:
            if self._store:
                log.warning("descriptor not stored")
            self._forget_store()
            self._disconnect()

    # --- with the lock

    def _flush(self) -> None:
        try:
            if (self._variables or self._store) and self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.connect(self._address)
            if self._variables:
                self._post("\n".join(self._variables.values()), None)
                self._variables.clear()
            while self._store:
                self._post(*self._store[0])
                self._close_copy(self._store.pop(0))
        except OSError as error:
            if error.errno not in _FULL:
                self._disconnect()  # connected anew with the next call
            if not self._failing:
                self._failing = True
                log.warning("notification deferred", error=error.strerror)
        else:
            self._failing = False

    def _post(self, text: str, fd: int | None) -> None:
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        if self._socket is not None:
            self._socket.sendmsg([text.encode("utf-8", "replace")], beside, socket.MSG_DONTWAIT)

    def _forget_store(self) -> None:
        for message in self._store:
            self._close_copy(message)
        self._store = []

    def _close_copy(self, message: tuple[str, int | None]) -> None:
        if message[1] is not None:
            os.close(message[1])

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

"""One TCP connection to the printer: whole lines out, whole lines in."""

from __future__ import annotations

import select
import socket

from agent.errors import PortError

MAX_LINE = 4096
"""Bytes without a newline after which what is at the other end is no printer."""


class Connection:
    """Not thread-safe: the driver's thread owns it. Every method raises PortError when the connection is gone."""

    def __init__(self, host: str, tcp_port: int, timeout: float) -> None:
        """Connect within `timeout` seconds."""
        try:
            self._socket = socket.create_connection((host, tcp_port), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise PortError(f"{host}:{tcp_port}: {error.strerror or error}") from None
        self._received = bytearray()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def write(self, line: bytes) -> None:
        """Send `line` and a newline."""
        try:
            self._socket.sendall(line + b"\n")
        except OSError as error:
            raise PortError(f"the connection broke: {error.strerror or error}") from None

    def read(self, timeout: float) -> bytes | None:
        """Return the next line without its newline, or None when none is complete within `timeout` seconds."""
        while (end := self._received.find(b"\n")) < 0:
            try:
                if not select.select([self._socket], [], [], timeout)[0]:
                    return None
                data = self._socket.recv(4096)
            except OSError as error:
                raise PortError(f"the connection broke: {error.strerror or error}") from None
            if not data:
                raise PortError("the printer closed the connection")
            self._received += data
            if len(self._received) > MAX_LINE and b"\n" not in self._received:
                raise PortError("what answers is no printer: no end of line")
        line = bytes(self._received[:end]).strip()
        del self._received[: end + 1]
        return line

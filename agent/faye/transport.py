"""Transport interface for the protocol's requests, and what both transports share."""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol

from .actions import Send

REPLY_LIMIT = 64 * 1024 * 1024
"""Bytes of one reply; more is a failure (a real server was seen to send 10 MB). What of it is too large to be used is
skipped while it arrives."""
FRAME_LIMIT = 2 * 1024 * 1024
"""Bytes of one websocket message, which is in memory as a whole; more is a failure (docs/faye.md §10)."""
CONNECT_WAIT = 10.0
"""Seconds to establish TCP and TLS."""
RATE_FLOOR = 500.0
"""Bytes a second of a reply under way, at least, after RATE_WINDOW."""
RATE_WINDOW = 60.0
"""Seconds that a reply may take at any rate."""


class Sink(Protocol):
    """Receiver of a transport's replies and failures. Called from the transport's threads; may block while the owner is
    busy."""

    def reply(self, body: bytes, number: int | None) -> None:
        """Receive the body of the complete answer to request `number`; None for a websocket's frame."""

    def failure(self, reason: str, number: int | None, retry_after: float = 0.0) -> None:
        """Note that request `number` (None: everything on the websocket) will not be answered. `retry_after` is in
        seconds."""

    def heard(self, number: int | None) -> None:
        """Note that bytes of an answer came in. About once a second is often enough."""


class Transport(ABC):
    """Transport of requests to one server. `send` and `abort` are called from one thread and return at once.

    The sink gets at most one reply or failure a request, whatever happens; of an aborted one perhaps none."""

    name: ClassVar[str]

    @abstractmethod
    def send(self, request: Send) -> None:
        """Send the request; its reply or failure goes to the sink."""

    @abstractmethod
    def abort(self) -> None:
        """Drop every connection. What was sent before gets no reply any more; a later `send` connects again."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Abort, and end the threads within `timeout` seconds. A thread that still looks up a name or is in a TCP
        handshake then ends by itself, each within CONNECT_WAIT."""


Resolve = Callable[[str, int, float], list[Any]]
"""Looks up a host and a port within so many seconds: addresses as socket.getaddrinfo gives them. Raises OSError. Called
from several threads."""


def resolve(host: str, port: int, _within: float) -> list[Any]:
    """Look up a name with the system's own limit, which may be none."""
    return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))


def connected(addresses: Sequence[Any], timeout: float, options: Iterable[Any]) -> socket.socket:
    """Connect to the first address that answers. Raises OSError: the last one's."""
    failure = OSError("the name has no address")
    for family, kind, proto, _, address in addresses:
        link = socket.socket(family, kind, proto)
        try:
            for option in options:
                link.setsockopt(*option)
            link.settimeout(timeout)
            link.connect(address)
        except OSError as error:
            link.close()
            failure = error
        else:
            return link
    raise failure


def tls_context() -> ssl.SSLContext:
    """Make a TLS context: 1.2 or later, certificate and host name checked against the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def shut_down(link: socket.socket) -> None:
    """Shut a socket down from another thread, which wakes whoever blocks on it. Not SSLSocket.shutdown, which takes the
    TLS state away from under the reader."""
    try:
        socket.socket.shutdown(link, socket.SHUT_RDWR)
    except OSError:
        return  # it was closed already


def describe(error: BaseException) -> str:
    """Describe an error without any text that may hold a token, a proxy's password or a URL: its kind and the operating
    system's text."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return type(error).__name__

"""HTTP sessions whose calls have one deadline in all: name lookup, connecting, headers and body.

A socket's own time limit starts again with each byte, so a server that sends one byte a second would hold a call for
days; here every read gets what remains of the call's time. A name lookup has no limit that could be set: it runs on a
thread, which is abandoned when the time is up, and of which there is never more than one a session.
"""

from __future__ import annotations

import io
import math
import socket
import threading
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class NameResolver:
    """Looks up host names with a time limit. For one thread."""

    def __init__(self) -> None:
        self._lookup: threading.Thread | None = None

    def resolve(self, host: str, port: int, within: float) -> list[Any]:
        """Addresses of `host`, as socket.getaddrinfo gives them. Raises OSError; TimeoutError after `within` seconds,
        also when the lookup before this one has still no answer then."""
        if not self._join(within):
            raise TimeoutError("the name server does not answer")
        answer: list[Any] = []

        def look_up() -> None:
            try:
                answer.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
                answer.append(error)

        self._lookup = threading.Thread(target=look_up, name="name-server", daemon=True)
        self._lookup.start()
        if not self._join(within):
            raise TimeoutError("the name server does not answer")
        if isinstance(answer[0], UnicodeError):
            raise OSError(f"{host} is no host name")
        if isinstance(answer[0], OSError):
            raise answer[0]
        return list(answer[0])

    def _join(self, seconds: float) -> bool:
        if self._lookup is not None:
            self._lookup.join(seconds if math.isfinite(seconds) else None)
            if self._lookup.is_alive():
                return False
        return True


class DeadlineAdapter(HTTPAdapter):
    """Transport adapter that ends each call at a deadline: call `set_deadline` before it. For a session of one thread.
    `monotonic` is a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._deadline = math.inf
        self._resolver = NameResolver()
        super().__init__()

    def set_deadline(self, seconds: float) -> None:
        """Give the next call `seconds` from now in all; infinity for no limit."""
        self._deadline = self._monotonic() + seconds

    def remaining(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when it has passed."""
        remaining = self._deadline - self._monotonic()
        if remaining <= 0:
            raise TimeoutError("the server did not answer as a whole in time")
        return remaining

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """A socket connected to the first of the host's addresses that answers. Raises OSError."""
        timeout = connection.timeout if isinstance(connection.timeout, int | float) else math.inf
        host = connection.host.strip("[]")
        failure = OSError(f"{host} has no address")
        for family, kind, proto, _, address in self._resolver.resolve(
            host, connection.port, min(self.remaining(), timeout)
        ):
            wait = min(self.remaining(), timeout)
            sock = socket.socket(family, kind, proto)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(wait if math.isfinite(wait) else None)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by requests: have its pools make connections with the deadline."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Called by requests for a proxy: the same for its pools."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _pools(self)
        return manager


def deadline_session(monotonic: Callable[[], float]) -> tuple[requests.Session, DeadlineAdapter]:
    """A session whose calls all go through one DeadlineAdapter, and that adapter."""
    session, adapter = requests.Session(), DeadlineAdapter(monotonic)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session, adapter


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the adapter's deadline."""

    def __init__(self, sock: socket.socket, adapter: DeadlineAdapter) -> None:
        super().__init__()
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._adapter = adapter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        remaining = self._adapter.remaining()
        if math.isfinite(remaining):
            self._sock.settimeout(remaining if self._timeout is None else min(remaining, self._timeout))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pools(adapter: DeadlineAdapter) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of urllib3 whose connections are made and read until the adapter's deadline."""

    class DeadlineResponse(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp.close()
            self.fp = io.BufferedReader(_DeadlineReader(sock, adapter))

    class DeadlineHTTPConnection(HTTPConnection):
        response_class = DeadlineResponse

        def _new_conn(self) -> socket.socket:
            return adapter.connect(self)

    class DeadlineHTTPSConnection(HTTPSConnection):
        response_class = DeadlineResponse

        def _new_conn(self) -> socket.socket:
            return adapter.connect(self)

    class DeadlineHTTPPool(HTTPConnectionPool):
        ConnectionCls = DeadlineHTTPConnection

    class DeadlineHTTPSPool(HTTPSConnectionPool):
        ConnectionCls = DeadlineHTTPSConnection

    return {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}

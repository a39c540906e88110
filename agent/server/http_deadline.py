"""HTTP calls with a limit in all. A socket's own limit starts again with each byte, so a server that sends one byte a
second would hold a call for days; here every read, of the headers too, gets what is left of the call's time. So does
every address that is tried, and the name server, which has no limit of its own that could be set: it is asked on a
thread, which is left alone when the time is up, and of which there is never more than one a session."""

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


class Names:
    """What the name server says, or a TimeoutError. One thread may ask at a time."""

    def __init__(self) -> None:
        self._asking: threading.Thread | None = None

    def look_up(self, host: str, port: int, within: float) -> list[Any]:
        """As socket.getaddrinfo. Raises OSError; TimeoutError after `within` seconds, also when the question before
        this one is still not answered then."""
        if not self._wait(within):
            raise TimeoutError("the name server does not answer")
        answer: list[Any] = []

        def ask() -> None:
            try:
                answer.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
                answer.append(error)

        self._asking = threading.Thread(target=ask, name="name-server", daemon=True)
        self._asking.start()
        if not self._wait(within):
            raise TimeoutError("the name server does not answer")
        if isinstance(answer[0], UnicodeError):
            raise OSError(f"{host} is no host name")
        if isinstance(answer[0], OSError):
            raise answer[0]
        return list(answer[0])

    def _wait(self, seconds: float) -> bool:
        if self._asking is not None:
            self._asking.join(seconds if math.isfinite(seconds) else None)
            if self._asking.is_alive():
                return False
        return True


class LimitedAdapter(HTTPAdapter):
    """Mount it on a session that one thread uses, and call `within` before each call. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._end = math.inf
        self._names = Names()
        super().__init__()

    def within(self, seconds: float) -> None:
        """Whatever is read from now on must be here in `seconds`; infinity for no limit."""
        self._end = self._monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._end - self._monotonic()
        if left <= 0:
            raise TimeoutError("the server did not answer as a whole in time")
        return left

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """A socket to whichever of the host's addresses answers first. Raises OSError."""
        patience = connection.timeout if isinstance(connection.timeout, int | float) else math.inf
        host = connection.host.strip("[]")
        problem = OSError(f"{host} has no address")
        for family, kind, proto, _, address in self._names.look_up(host, connection.port, min(self.left(), patience)):
            wait = min(self.left(), patience)
            made = socket.socket(family, kind, proto)
            try:
                for option in connection.socket_options or ():
                    made.setsockopt(*option)
                made.settimeout(wait if math.isfinite(wait) else None)
                made.connect(address)
            except OSError as error:
                made.close()
                problem = error
            else:
                return made
        raise problem

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """requests makes its pools here."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """… and here, for a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _pools(self)
        return manager


def limited_session(monotonic: Callable[[], float]) -> tuple[requests.Session, LimitedAdapter]:
    """A session all of whose calls go through one LimitedAdapter."""
    session, adapter = requests.Session(), LimitedAdapter(monotonic)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session, adapter


class _Reader(io.RawIOBase):
    """The socket's bytes, within what is left."""

    def __init__(self, sock: socket.socket, limit: LimitedAdapter) -> None:
        super().__init__()
        self._sock = sock
        self._patience = sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._limit.left()
        if math.isfinite(left):
            self._sock.settimeout(left if self._patience is None else min(left, self._patience))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pools(limit: LimitedAdapter) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools, with connections whose answers are read through a _Reader."""

    class Response(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp.close()
            self.fp = io.BufferedReader(_Reader(sock, limit))

    class Plain(HTTPConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return limit.connect(self)

    class Secure(HTTPSConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return limit.connect(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}

"""Transport adapter of requests whose calls have bounds: one deadline in all, a floor of the rate, a limit of the head.

A socket's own time limit starts again with each byte, so a server that sends one byte a second would hold a call for
days; here every read gets what remains of the call's time, and so does the lookup of its name (name_resolver.py).
"""

from __future__ import annotations

import io
import math
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from agent.http.addresses import AddressError, AddressPolicy, literal_address
from agent.http.describe_error import SlowTransferError
from agent.http.name_resolver import Lookup, NameResolver
from agent.http.response import BoundedResponse


class RateFloor(msgspec.Struct, frozen=True):
    """The least that a transfer must bring: `bytes_per_s`, on average over `window_s` seconds of waiting for it."""

    bytes_per_s: float
    window_s: float


class BoundedAdapter(HTTPAdapter):
    """Transport adapter that ends each call at a deadline: call `set_deadline` before it. For a session of one thread.

    `monotonic` is a clock in seconds. `tls` makes the context, when it is needed. `policy` says where connections may
    go, None anywhere; a proxy is the owner's, and not asked about. `floor`: None for none."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        tls: Callable[[], ssl.SSLContext],
        lookup: Lookup,
        policy: AddressPolicy | None,
        floor: RateFloor | None,
    ) -> None:
        self._monotonic = monotonic
        self._tls = tls
        self._policy = policy
        self._floor = floor
        self._deadline = math.inf
        self._waited = 0.0  # seconds in the present window of the floor
        self._received = 0  # bytes in it
        self._resolver = NameResolver(lookup)
        super().__init__()

    def set_deadline(self, seconds: float) -> None:
        """Give the next call `seconds` from now in all; infinity for no limit."""
        self._deadline = self._monotonic() + seconds
        self._waited, self._received = 0.0, 0

    def remaining(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when it has passed."""
        remaining = self._deadline - self._monotonic()
        if remaining <= 0:
            raise TimeoutError("the server did not answer as a whole in time")
        return remaining

    def require_allowed(self, url: str, *, proxied: bool) -> None:
        """Raise AddressError when the policy forbids the URL's host, OSError when its name has no address.

        With a proxy only an IP address can be checked here: the proxy looks up names."""
        host = urlsplit(url).hostname or ""
        if self._policy is None:
            return
        if address := literal_address(host):
            self._policy.require_allowed(address, self._addresses)
        elif not proxied:
            for address in self._addresses(host):
                self._policy.require_allowed(address, self._addresses)

    def connect(self, connection: HTTPConnection, *, checked: bool) -> socket.socket:
        """A socket connected to the first of the host's addresses that answers; `checked`: of those that the policy
        allows. Raises OSError, AddressError when none is allowed."""
        timeout = connection.timeout if isinstance(connection.timeout, int | float) else math.inf
        host = connection.host.strip("[]")
        failure: OSError | None = None
        refusal: AddressError | None = None
        for family, kind, proto, _, address in self._resolver.resolve(
            host, connection.port, min(self.remaining(), timeout)
        ):
            sock = socket.socket(family, kind, proto)
            try:
                if checked and self._policy is not None:
                    self._policy.require_allowed(str(address[0]), self._addresses)
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                wait = min(self.remaining(), timeout)
                sock.settimeout(wait if math.isfinite(wait) else None)
                sock.connect(address)
            except AddressError as error:
                sock.close()
                refusal = error
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure or refusal or OSError(f"{host} has no address")

    def _addresses(self, host: str) -> list[str]:
        """IP addresses of a name. Raises OSError."""
        return [str(entry[4][0]) for entry in self._resolver.resolve(host, 0, self.remaining())]

    def read_into(self, sock: socket.socket, buffer: Any, silence: float | None) -> int:
        """Read from the socket within the deadline, the floor, and `silence` seconds. Raises OSError, TimeoutError,
        SlowTransferError."""
        silence_left = math.inf if silence is None else silence
        while True:
            wait = min(self._read_limit(), silence_left)
            if math.isfinite(wait):
                sock.settimeout(wait)
            began = self._monotonic()
            try:
                size = sock.recv_into(buffer)
            except TimeoutError:
                self._waited += wait
                silence_left -= wait
                if silence_left <= 0:
                    raise
            else:
                self._waited += self._monotonic() - began
                self._received += size
                return size

    def _read_limit(self) -> float:
        """Seconds that the next read may wait. Raises TimeoutError, SlowTransferError."""
        limit = self.remaining()
        if self._floor is not None:
            if self._waited >= self._floor.window_s:
                if self._received < self._floor.bytes_per_s * self._floor.window_s:
                    raise SlowTransferError(self._floor.bytes_per_s)
                self._waited, self._received = 0.0, 0
            limit = min(limit, self._floor.window_s - self._waited)
        return limit

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by requests: have its pools make connections with the bounds."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self, self._tls, checked=True)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Called by requests for a proxy: the same for its pools, whose connections go to the proxy."""
        scheme = urlsplit(proxy).scheme
        if scheme not in ("http", "https"):
            raise requests.exceptions.InvalidSchema(f"a proxy of the kind {scheme} is not supported")
        if scheme == "https":
            kwargs["proxy_ssl_context"] = self._tls()
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _pools(self, self._tls, checked=False)
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Called by requests to set the authorities of a connection: those of the TLS context stay."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket within the adapter's bounds."""

    def __init__(self, sock: socket.socket, adapter: BoundedAdapter) -> None:
        super().__init__()
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._reference = sock.makefile("rb", buffering=0)  # keeps the socket open until this is closed
        self._adapter = adapter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        return self._adapter.read_into(self._sock, buffer, self._timeout)

    def close(self) -> None:
        self._reference.close()
        super().close()


def _pools(
    adapter: BoundedAdapter, tls: Callable[[], ssl.SSLContext], *, checked: bool
) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of urllib3 whose connections are made and read within the adapter's bounds."""

    class DeadlineResponse(BoundedResponse):
        def open_raw(self, sock: socket.socket) -> io.RawIOBase:
            return _DeadlineReader(sock, adapter)

    class DeadlineHTTPConnection(HTTPConnection):
        response_class = DeadlineResponse

        def _new_conn(self) -> socket.socket:
            return adapter.connect(self, checked=checked)

    class DeadlineHTTPSConnection(HTTPSConnection):
        response_class = DeadlineResponse

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "ssl_context": tls()})

        def _new_conn(self) -> socket.socket:
            return adapter.connect(self, checked=checked)

    class DeadlineHTTPPool(HTTPConnectionPool):
        ConnectionCls = DeadlineHTTPConnection

    class DeadlineHTTPSPool(HTTPSConnectionPool):
        ConnectionCls = DeadlineHTTPSConnection

    return {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}

"""Track the sockets under a requests session, so that another thread can end a request that the server holds."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from .transport import CONNECT_WAIT, Resolve, connected, shut_down


class OpenSockets:
    """Open sockets, and an epoch that ends with each `abort`. A request belongs to the epoch it was sent in; a
    connection that is established for it later is closed again before anything is sent on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._local = threading.local()
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """The present epoch."""
        return self._epoch

    def enter(self, epoch: int) -> None:
        """Bind the calling thread to `epoch`. Raises OSError when that is over."""
        self._local.epoch = epoch
        with self._lock:
            self._check()

    def opened(self, link: socket.socket) -> None:
        """Add a socket that the calling thread has connected. Raises OSError when its epoch is over."""
        with self._lock:
            self._check()
            self._sockets.add(link)

    def abort(self) -> None:
        """End the epoch: shut every socket down."""
        with self._lock:
            self._epoch += 1
            open_sockets = list(self._sockets)
            self._sockets.clear()
        for each in open_sockets:
            shut_down(each)

    def _check(self) -> None:
        if getattr(self._local, "epoch", None) != self._epoch:
            raise OSError(errno.ECONNABORTED, "given up by this client")


class TrackedAdapter(HTTPAdapter):
    """HTTPAdapter whose connections are added to `open_sockets` and read by `response_class`; two at most, no retries,
    TLS by `tls`, which makes the context when it is needed, addresses by `resolve`."""

    def __init__(
        self,
        open_sockets: OpenSockets,
        tls: Callable[[], ssl.SSLContext],
        response_class: type[HTTPResponse],
        resolve: Resolve,
    ) -> None:
        self._open_sockets = open_sockets
        self._resolve = resolve
        self._tls = tls
        self._response_class = response_class
        super().__init__(pool_connections=2, pool_maxsize=2, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self._track(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Make the pool for connections through `proxy`."""
        if proxy.lower().startswith("https:"):
            kwargs["proxy_ssl_context"] = self._tls()
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        self._track(manager)
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Called by requests to set the authorities of a connection: those of the TLS context stay."""

    def _track(self, manager: PoolManager) -> None:
        """Make the manager's pools report each connection that they open."""
        open_sockets, tls, made_by, resolve = self._open_sockets, self._tls, self._response_class, self._resolve

        def connect(connection: HTTPConnection) -> socket.socket:
            wait = connection.timeout if isinstance(connection.timeout, int | float) else CONNECT_WAIT
            addresses = resolve(connection.host.strip("[]"), connection.port, wait)
            return connected(addresses, wait, connection.socket_options or ())

        class TrackedConnection(SingleWriteConnection, HTTPConnection):
            response_class = made_by

            def _new_conn(self) -> socket.socket:
                return connect(self)

            def connect(self) -> None:
                super().connect()
                open_sockets.opened(self.sock)

        class TrackedTlsConnection(SingleWriteConnection, HTTPSConnection):
            response_class = made_by

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **{**kwargs, "ssl_context": tls()})

            def _new_conn(self) -> socket.socket:
                return connect(self)

            def connect(self) -> None:
                super().connect()
                open_sockets.opened(self.sock)

        class TrackedPool(HTTPConnectionPool):
            ConnectionCls = TrackedConnection

        class TrackedTlsPool(HTTPSConnectionPool):
            ConnectionCls = TrackedTlsConnection

        manager.pool_classes_by_scheme = {"http": TrackedPool, "https": TrackedTlsPool}


class SingleWriteConnection(HTTPConnection):
    """HTTP connection that writes a request's head together with its body. urllib3 writes them one by one, which wakes
    the server twice and doubles the system calls of a small message."""

    _head = b""

    def send(self, data: Any) -> None:
        """See http.client. A POST of ours always has a body."""
        if isinstance(data, bytes) and data.startswith(b"POST ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        head, self._head = self._head, b""
        super().send(head + data if head else data)

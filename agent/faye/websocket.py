"""Websocket transport, on websocket-client. Imported only when it is used.

Each socket has one thread, `faye-websocket`, which alone reads and writes it (a TLS connection must not be used from
two threads). It pings by itself, because the servers' pings are off by default, and gives up when nothing is heard.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import websocket
from websocket._http import _tunnel
from websocket._socket import DEFAULT_SOCKET_OPTION
from websocket._url import get_proxy_info, parse_url

from .actions import Send
from .messages import encode
from .transport import (
    CONNECT_WAIT,
    FRAME_LIMIT,
    RATE_FLOOR,
    RATE_WINDOW,
    Resolve,
    Sink,
    Transport,
    connected,
    describe,
    resolve,
    shut_down,
    tls_context,
)

PING_EVERY = 15.0
"""Seconds of silence after which we ping."""
HEAD_LIMIT = 64 * 1024
"""Bytes of the answer to the handshake."""
READ = 16 * 1024
"""Bytes asked of the socket at once."""
DEAD_AFTER = 35.0
"""Seconds of silence, pings notwithstanding, after which the socket is dead."""


class WebSocketTransport(Transport):
    """Websocket transport with at most one socket at a time. `limit` is in bytes, the other two in seconds."""

    name = "websocket"

    def __init__(
        self,
        url: str,
        sink: Sink,
        *,
        tls: Callable[[], ssl.SSLContext] = tls_context,
        resolve: Resolve = resolve,
        clock: Callable[[], float],
        limit: int = FRAME_LIMIT,
        ping_every: float = PING_EVERY,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self._url = "ws" + url.removeprefix("http")
        self._sink = sink
        self._clock = clock
        self._tls = tls
        self._resolve = resolve
        self._limit = limit
        self._ping_every = ping_every
        self._dead_after = dead_after
        self._link: _SocketThread | None = None
        self._ending: list[_SocketThread] = []  # abandoned, but their threads may still be on the way out

    def send(self, request: Send) -> None:
        """See Transport."""
        if self._link is None or self._link.ended:
            self._link = _SocketThread(
                url=self._url,
                sink=self._sink,
                tls=self._tls,
                resolve=self._resolve,
                clock=self._clock,
                limit=self._limit,
                ping_every=self._ping_every,
                dead_after=self._dead_after,
            )
        self._link.post(encode(request.messages))

    def abort(self) -> None:
        """See Transport."""
        self._ending = [link for link in self._ending if link.alive]
        if self._link is not None:
            self._link.abandon()
            self._ending.append(self._link)
            self._link = None

    def close(self, timeout: float) -> None:
        """See Transport."""
        self.abort()
        for link in self._ending:
            link.join(timeout / len(self._ending))


class _HandshakeSocket:
    """Socket for the handshake, of whose answer websocket-client reads as much as comes, for as long as it comes."""

    def __init__(self, sock: socket.socket, clock: Callable[[], float]) -> None:
        self._sock = sock
        self._clock = clock
        self._deadline = clock() + CONNECT_WAIT
        self._left = HEAD_LIMIT

    def recv(self, size: int) -> bytes:
        """Read some bytes. Raises WebSocketException when the answer is too long or takes too long."""
        if self._left <= 0 or self._clock() >= self._deadline:
            raise websocket.WebSocketException("the answer to the handshake is too long")
        data = self._sock.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class SlowMessageError(websocket.WebSocketException):
    """A message comes in below the floor of the rate."""


class _CountingSocket(websocket.WebSocket):
    """WebSocket that counts the bytes of the message being received, whose declared size is not trusted, and the time
    that it takes."""

    received = 0
    began_at = 0.0  # when the first of them came
    clock: Callable[[], float]
    read_ahead = b""  # read from the socket, not asked for yet: a frame is read in three pieces, mostly of a few bytes
    limit = FRAME_LIMIT
    progress: Callable[[], None] | None = None

    def open(self, url: str, clock: Callable[[], float], resolve: Resolve, tls: Callable[[], ssl.SSLContext]) -> None:
        """Look up the name, connect, and do the handshake, each within CONNECT_WAIT seconds. The handshake's answer has
        HEAD_LIMIT bytes at most."""
        self.clock = clock
        sock = _connect(url, resolve, tls)
        self.sock = sock
        self.connect(url, redirect_limit=0, socket=_HandshakeSocket(sock, clock))  # type: ignore[no-untyped-call]
        self.sock = sock

    def _recv(self, bufsize: int) -> bytes:
        declared = self.frame_buffer.length or 0
        if max(declared, self.received) > self.limit:
            raise websocket.WebSocketPayloadException(f"a message is larger than {self.limit} bytes")
        if not self.read_ahead:
            self.read_ahead = bytes(super()._recv(READ))  # type: ignore[no-untyped-call]
            if self.progress is not None:
                self.progress()
        data, self.read_ahead = self.read_ahead[:bufsize], self.read_ahead[bufsize:]
        if data and not self.received:
            self.began_at = self.clock()
        self.received += len(data)
        took = self.clock() - self.began_at
        if took > RATE_WINDOW and self.received < RATE_FLOOR * took:
            raise SlowMessageError(f"a message is slower than {RATE_FLOOR:g} bytes a second")
        return data

    def end_message(self) -> None:
        """Note that a message or a frame outside of one is complete."""
        if self.cont_frame.cont_data is None:
            self.received = 0


def _connect(url: str, resolve: Resolve, tls: Callable[[], ssl.SSLContext]) -> socket.socket:
    """Connect to a ws or wss URL, through a proxy where the environment names one. Raises OSError,
    WebSocketException."""
    host, port, _, secure = parse_url(url)
    proxy_host, proxy_port, proxy_auth = get_proxy_info(host, secure)
    addresses = resolve(proxy_host or host, (proxy_port or 80) if proxy_host else port, CONNECT_WAIT)
    link = connected(addresses, CONNECT_WAIT, DEFAULT_SOCKET_OPTION)
    try:
        if proxy_host:
            link = _tunnel(link, host, port, proxy_auth)
        return tls().wrap_socket(link, server_hostname=host) if secure else link
    except BaseException:
        link.close()
        raise


class _SocketThread:
    """One websocket and its thread."""

    def __init__(
        self,
        *,
        url: str,
        sink: Sink,
        tls: Callable[[], ssl.SSLContext],
        resolve: Resolve,
        clock: Callable[[], float],
        limit: int,
        ping_every: float,
        dead_after: float,
    ) -> None:
        self._url = url
        self._sink = sink
        self._tls = tls
        self._resolve = resolve
        self._clock = clock
        self._limit = limit
        self._ping_every = ping_every
        self._dead_after = dead_after
        self._lock = threading.Lock()
        self._outgoing: deque[bytes] = deque()
        self._raw: socket.socket | None = None
        self._abandoned = False
        self.ended = False
        self._heard_at = clock()
        self._reported_at = self._heard_at
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="faye-websocket", daemon=True)
        self._thread.start()

    def post(self, body: bytes) -> None:
        """Queue a frame, sent as soon as the socket is open."""
        with self._lock:
            if not self.ended:
                self._outgoing.append(body)
                self._wake_out.send(b"w")

    def abandon(self) -> None:
        """End the thread now, and report nothing more."""
        with self._lock:
            self._abandoned = True
            if not self.ended:
                self._wake_out.send(b"w")
            if self._raw is not None:
                shut_down(self._raw)

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, for `timeout` seconds at most."""
        self._thread.join(timeout)

    def _run(self) -> None:
        reason = "closed by the server"
        link: _CountingSocket | None = None
        try:
            # UTF-8 is left to the decoder, which spoils one message and not the batch.
            link = _CountingSocket(skip_utf8_validation=True, enable_multithread=False)
            link.settimeout(CONNECT_WAIT)
            link.open(self._url, self._clock, self._resolve, self._tls)
            self._talk(link)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            reason = describe(error)
        finally:
            with self._lock:
                self.ended = True
                self._wake_in.close()
                self._wake_out.close()
            if link is not None:
                link.shutdown()  # type: ignore[no-untyped-call]
        if not self._abandoned:
            self._sink.failure(reason, None)

    def _talk(self, link: _CountingSocket) -> None:
        """Read and write until the socket ends or is abandoned."""
        raw = link.sock
        if raw is None:
            return
        link.limit = self._limit
        link.progress = self._progress
        link.settimeout(self._ping_every)
        with self._lock:
            self._raw = raw
        self._heard_at = pinged_at = self._clock()
        with selectors.DefaultSelector() as selector:
            selector.register(raw, selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while not self._abandoned:
                ready = {key.fileobj for key, _ in selector.select(self._ping_every)}
                if self._wake_in in ready:
                    self._wake_in.recv(4096)
                    self._flush(link)
                if raw in ready and not self._receive(link, raw):
                    return
                now = self._clock()
                if now - self._heard_at >= self._dead_after:
                    raise websocket.WebSocketTimeoutException("nothing heard")
                if now - max(self._heard_at, pinged_at) >= self._ping_every * 0.9:
                    pinged_at = now
                    link.ping()

    def _flush(self, link: _CountingSocket) -> None:
        while True:
            with self._lock:
                if not self._outgoing:
                    return
                body = self._outgoing.popleft()
            link.send(body.decode("ascii"))

    def _receive(self, link: _CountingSocket, raw: socket.socket) -> bool:
        """Read what is there, message by message; False at the end of the socket."""
        while not self._abandoned:
            try:
                opcode, data = link.recv_data_frame(control_frame=True)
            except websocket.WebSocketTimeoutException:
                return True  # in the middle of a frame; what was read of it is kept
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return False
            link.end_message()
            if opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
                self._sink.reply(data.data if hasattr(data, "data") else data, None)
            if not link.read_ahead and not (isinstance(raw, ssl.SSLSocket) and raw.pending()):
                return True
        return True

    def _progress(self) -> None:
        self._heard_at = self._clock()
        if self._heard_at - self._reported_at >= 1.0:
            self._reported_at = self._heard_at
            self._sink.heard(None)

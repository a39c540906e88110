"""The Faye client: protocol, transport and threads composed.

caller of run    the protocol: decodes replies, decides; never runs the owner's handlers
faye-poll        long-polling: the request that the server holds
faye-send        long-polling: what must not wait for it
faye-websocket   websocket: reads and writes the one socket
faye-dispatch    handlers and on_event, in order
"""

from __future__ import annotations

import queue
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPResponse
from typing import Literal
from urllib.parse import urlsplit

from .actions import Abort, Closed, Deliver, Emit, Send, Switch
from .bayeux_protocol import BayeuxProtocol
from .dispatcher import Dispatcher
from .events import Event
from .long_polling import LongPolling
from .subscriptions import Subscription
from .transport import Resolve, Transport, resolve, tls_context

STOP_POLL = 0.2
"""Seconds: how soon a set `stop` is seen at the latest."""
CLOSE_WAIT = 1.5
"""Seconds for the disconnect, at most (the protocol itself waits one)."""
THREAD_WAIT = 0.3
"""Seconds for the transport's threads, and the same for the dispatcher's, to end."""
BACKLOG = 16
"""Replies that may wait for the protocol, about; then the transport's thread waits."""

BACKLOG_BYTES = 2 * 1024 * 1024
"""Bytes of replies that may wait for the protocol, where it is more than one."""

_Input = Callable[[BayeuxProtocol, float], None]


class _InputQueue:
    """Bounded queue (a `Sink`) from the transports to the thread of `run`. A transport waits while it is full."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Input] = queue.SimpleQueue()  # quicker than a Queue from thread to thread
        self._lock = threading.Lock()  # guards `_bytes`
        self._bytes = 0  # of the replies that wait
        self._room = threading.Event()
        self._closed = False

    def reply(self, body: bytes, number: int | None) -> None:
        """See Sink."""

        def receive(protocol: BayeuxProtocol, now: float) -> None:
            self._count(-len(body))
            protocol.receive(body, now, number)

        self._put(receive, len(body))

    def failure(self, reason: str, number: int | None, retry_after: float = 0.0) -> None:
        """See Sink."""
        self._put(lambda protocol, now: protocol.failed(number, reason, now, retry_after))

    def heard(self, number: int | None) -> None:
        """See Sink."""
        self._put(lambda protocol, now: protocol.heard(number, now))

    def get(self, timeout: float) -> _Input | None:
        """Return the next report, or None after `timeout` seconds."""
        try:
            item = self._queue.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return None
        if not self._room.is_set() and self._queue.qsize() <= BACKLOG // 2:
            self._room.set()
        return item

    def close(self) -> None:
        """Release the transports that wait: nobody reads any more."""
        self._closed = True
        self._room.set()

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _is_full(self, size: int) -> bool:
        """Whether there is no room for `size` bytes; one large reply always fits."""
        return self._queue.qsize() >= BACKLOG or (self._bytes > 0 and self._bytes + size > BACKLOG_BYTES)

    def _put(self, item: _Input, size: int = 0) -> None:
        while self._is_full(size) and not self._closed:
            self._room.clear()
            if self._is_full(size):
                self._room.wait(STOP_POLL)
        self._count(size)
        self._queue.put(item)


class FayeClient:
    """Faye client that stays subscribed to channels of a server, whatever the network and the server do.

    `url`: http(s)://host[:port]/path. `tls`: makes the TLS context, when it is needed, with the authorities to trust.
    `response_class`: reads the answers of long-polling, to bound what http.client does not. `resolve`: looks up names
    within a limit, from several threads (the system's own lookup may have none). `clock`: monotonic seconds. `rng`:
    numbers in [0, 1). `on_event`: called for each event (events.py) on the dispatcher's thread, in order with the
    messages. `ext_on`: "all" puts the first subscription's ext on every message, "subscribe" each subscription's own on
    its subscribe only.

    Raises ValueError for an argument that cannot be, ImportError when the websocket library is missing."""

    def __init__(
        self,
        url: str,
        subscriptions: Sequence[Subscription],
        *,
        transport: Literal["long-polling", "websocket"] = "long-polling",
        tls: Callable[[], ssl.SSLContext] = tls_context,
        response_class: type[HTTPResponse] = HTTPResponse,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
        on_event: Callable[[Event], None] | None = None,
        ext_on: Literal["subscribe", "all"] = "subscribe",
    ) -> None:
        _check_arguments(url, subscriptions, transport, ext_on)
        self._url = url
        self._subscriptions = tuple(subscriptions)
        self._name = transport
        self._tls = tls
        self._response_class = response_class
        self._resolve = resolve
        self._clock = clock
        self._rng = rng
        self._on_event = on_event
        self._ext_on_all = ext_on == "all"
        self._running = threading.Lock()
        self._changed = threading.Event()  # what the ext callables return
        self._make_transport(transport, _InputQueue()).close(0)  # what is missing raises here, not later in a thread

    def run(self, stop: threading.Event) -> None:
        """Run the client until `stop` is set; then disconnect and return, within about a second where the server
        answers, two where it does not. Raises RuntimeError when it runs already; may be called again after that."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("this client runs already")
        try:
            self._run(stop)
        finally:
            self._running.release()

    def resubscribe(self) -> None:
        """Subscribe to everything again, now, because the token has changed. From any thread; returns at once."""
        self._changed.set()

    def _run(self, stop: threading.Event) -> None:
        inbox = _InputQueue()
        handlers = {entry.channel: entry.handler for entry in self._subscriptions}
        urgent = {entry.channel: entry.urgent for entry in self._subscriptions if entry.urgent is not None}
        protocol = BayeuxProtocol(self._subscriptions, rng=self._rng, transport=self._name, ext_on_all=self._ext_on_all)
        loop = _ProtocolLoop(
            protocol=protocol,
            inbox=inbox,
            make_transport=self._make_transport,
            name=self._name,
            dispatcher=Dispatcher(handlers, self._on_event, urgent=urgent),
        )
        try:
            self._changed.clear()
            protocol.start(self._clock())
            while not stop.is_set():
                if self._changed.is_set():
                    self._changed.clear()
                    protocol.resubscribe(self._clock())
                loop.turn(self._clock)
            protocol.stop(self._clock())
            give_up = time.monotonic() + CLOSE_WAIT
            while not loop.closed and time.monotonic() < give_up:
                loop.turn(self._clock)
        finally:
            inbox.close()
            loop.close()

    def _make_transport(self, name: str, inbox: _InputQueue) -> Transport:
        if name == LongPolling.name:
            return LongPolling(
                self._url,
                inbox,
                tls=self._tls,
                response_class=self._response_class,
                resolve=self._resolve,
                clock=self._clock,
            )
        from .websocket import WebSocketTransport  # noqa: PLC0415 - the library is an option

        return WebSocketTransport(self._url, inbox, tls=self._tls, resolve=self._resolve, clock=self._clock)


class _ProtocolLoop:
    """The loop of one `run`: performs the protocol's actions and feeds it what comes in."""

    def __init__(
        self,
        *,
        protocol: BayeuxProtocol,
        inbox: _InputQueue,
        make_transport: Callable[[str, _InputQueue], Transport],
        name: str,
        dispatcher: Dispatcher,
    ) -> None:
        self._protocol = protocol
        self._inbox = inbox
        self._make_transport = make_transport
        self._transport = make_transport(name, inbox)
        self._dispatcher = dispatcher
        self.closed = False

    def turn(self, clock: Callable[[], float]) -> None:
        """Perform the actions, wait briefly for the next input or due time, and pass it to the protocol."""
        self._perform_actions()
        if self.closed:
            return
        due = self._protocol.due()
        wait = STOP_POLL if due is None else min(due - clock(), STOP_POLL)
        item = self._inbox.get(wait)
        if item is not None:
            item(self._protocol, clock())
        self._protocol.tick(clock())
        self._perform_actions()

    def close(self) -> None:
        """End the threads."""
        self._transport.close(THREAD_WAIT)
        self._dispatcher.close(THREAD_WAIT)

    def _perform_actions(self) -> None:
        for action in self._protocol.take():
            match action:
                case Send():
                    self._transport.send(action)
                case Abort():
                    self._transport.abort()
                case Switch(name):
                    self._transport.close(0)
                    self._transport = self._make_transport(name, self._inbox)
                case Deliver():
                    self._dispatcher.put(action)
                case Emit(event):
                    self._dispatcher.put_event(event)
                case Closed():
                    self.closed = True


def _check_arguments(url: str, subscriptions: Sequence[Subscription], transport: str, ext_on: str) -> None:
    """Raise ValueError for arguments that can never work."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url must be http(s)://host[:port]/path")
    if transport not in ("long-polling", "websocket"):
        raise ValueError(f"transport must be long-polling or websocket, not {transport!r}")
    if ext_on not in ("subscribe", "all"):
        raise ValueError(f"ext_on must be subscribe or all, not {ext_on!r}")
    if not subscriptions:
        raise ValueError("there is nothing to subscribe to")
    channels = [entry.channel for entry in subscriptions]
    for channel in channels:
        if not channel.startswith("/") or channel.startswith("/meta/") or channel.endswith("/"):
            raise ValueError(f"{channel!r} is not a channel: /name/name, with * or ** at the end at most")
    if len(set(channels)) != len(channels):
        raise ValueError("a channel is subscribed to twice")

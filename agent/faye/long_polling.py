"""Long-polling transport over HTTP, on a requests session: the default.

Two connections and two threads at most: `faye-poll` for what may be held, `faye-send` for what must not wait for it.
A held request is ended from outside by shutting its socket down. Proxies come from the environment; redirects are not
followed, because the token would go along, and their bodies are not read: `Session.send` would, to the end.
"""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse

import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from .actions import Lane, Send
from .messages import ReplySplitter, encode
from .sockets import OpenSockets, TrackedAdapter
from .transport import (
    CONNECT_WAIT,
    RATE_FLOOR,
    RATE_WINDOW,
    REPLY_LIMIT,
    Resolve,
    Sink,
    Transport,
    describe,
    resolve,
    tls_context,
)

CHUNK = 16 * 1024
READ_SLACK = 5.0
"""Seconds beyond the protocol's own deadline after which a silent socket gives up by itself."""
MAX_SILENCE = 900.0
"""Seconds without a byte, whatever the deadline."""
COOKIES = 32
"""Cookies of a server that are kept; beyond it all are forgotten."""
MAX_RETRY_AFTER = 300.0
"""Seconds of a server's Retry-After that are obeyed."""


class LongPolling(Transport):
    """Long-polling transport on two connections. `limit` is in bytes; `clock` gives monotonic seconds. `tls` makes the
    context of https, `response_class` reads the answers, `resolve` looks up names. Raises ValueError for a bad URL."""

    name = "long-polling"

    def __init__(
        self,
        url: str,
        sink: Sink,
        *,
        tls: Callable[[], ssl.SSLContext] = tls_context,
        response_class: type[HTTPResponse] = HTTPResponse,
        resolve: Resolve = resolve,
        clock: Callable[[], float],
        limit: int = REPLY_LIMIT,
    ) -> None:
        self._url = url
        self._sink = sink
        self._clock = clock
        self._limit = limit
        self._open_sockets = OpenSockets()
        self._session = requests.Session()
        self._session.trust_env = False  # no ~/.netrc; the proxies are asked for here
        self._session.proxies.update(get_environ_proxies(url, no_proxy=None))
        self._adapter = TrackedAdapter(self._open_sockets, tls, response_class, resolve)
        # What all requests share; preparing each one anew would be a good part of its CPU time.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        self._prepared = self._session.prepare_request(requests.Request("POST", url, headers=headers))
        self._queues: dict[Lane, queue.SimpleQueue[tuple[int, Send] | None]] = {
            lane: queue.SimpleQueue() for lane in Lane
        }
        self._threads: dict[Lane, threading.Thread] = {}

    def send(self, request: Send) -> None:
        """See Transport."""
        lane = request.lane
        if lane not in self._threads or not self._threads[lane].is_alive():
            thread = threading.Thread(target=self._work, args=(lane,), name=f"faye-{lane}", daemon=True)
            self._threads[lane] = thread
            thread.start()
        self._queues[lane].put((self._open_sockets.epoch, request))

    def abort(self) -> None:
        """See Transport."""
        self._open_sockets.abort()

    def close(self, timeout: float) -> None:
        """See Transport."""
        self._open_sockets.abort()
        for lane, thread in self._threads.items():
            self._queues[lane].put(None)
            thread.join(timeout / len(self._threads))
        if not any(thread.is_alive() for thread in self._threads.values()):
            self._adapter.close()

    def _work(self, lane: Lane) -> None:
        """Post one request after the other, until the queue holds None."""
        prepared = self._prepared.copy()
        while (item := self._queues[lane].get()) is not None:
            epoch, request = item
            try:
                self._open_sockets.enter(epoch)
                body, reason, retry_after = self._post(prepared, request)
            except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
                body, reason, retry_after = None, describe(error), 0.0
            if body is None:
                self._sink.failure(reason, request.number, retry_after)
            else:
                self._sink.reply(body, request.number)

    def _post(self, prepared: requests.PreparedRequest, request: Send) -> tuple[bytes | None, str, float]:
        """Post one request: (body, "", 0), or (None, what is wrong, seconds the server asks to wait)."""
        silence = min(max(request.deadline - self._clock(), 0.0), MAX_SILENCE) + READ_SLACK
        prepared.body = encode(request.messages)
        prepared.headers["Content-Length"] = str(len(prepared.body))
        prepared.headers.pop("Cookie", None)
        prepared.prepare_cookies(self._session.cookies)  # a load balancer's, so that it finds our server again
        with self._adapter.send(
            prepared, stream=True, timeout=(CONNECT_WAIT, silence), verify=True, proxies=self._session.proxies
        ) as response:
            self._session.cookies.update(response.cookies)
            if len(self._session.cookies) > COOKIES:
                self._session.cookies.clear()
            if response.status_code != requests.codes.ok:
                note = ", and redirects are not followed" if response.is_redirect else ""
                after = _seconds(response.headers.get("Retry-After", ""))
                return None, f"HTTP {response.status_code}{note}", after
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                return None, "the reply is compressed, which was not asked for", 0.0
            return self._read(response, request.number)

    def _read(self, response: requests.Response, number: int) -> tuple[bytes | None, str, float]:
        splitter = ReplySplitter()  # keeps only what can be used: a reply may be far larger than the memory for it
        size = 0
        began_at = reported_at = self._clock()
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            try:
                splitter.feed(chunk)
            except ValueError as error:
                return None, str(error), 0.0
            size += len(chunk)
            if size > self._limit:
                return None, f"the reply is larger than {self._limit} bytes", 0.0
            now = self._clock()
            if now - began_at > RATE_WINDOW and size < RATE_FLOOR * (now - began_at):
                return None, f"the reply is slower than {RATE_FLOOR:g} bytes a second", 0.0
            if now - reported_at >= 1.0:
                reported_at = now
                self._sink.heard(number)
        try:
            return splitter.condensed(), "", 0.0
        except ValueError as error:
            return None, str(error), 0.0


def _seconds(text: str) -> float:
    """Parse a Retry-After in seconds; 0 for a date or nonsense."""
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else 0.0

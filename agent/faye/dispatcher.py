"""Dispatcher thread for the owner's handlers and `on_event`, and the bounded queue before it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .actions import Deliver
from .events import Dropped, Event, Gap, HandlerFailed
from .messages import Message

MAX_MESSAGES = 20_000
"""Messages that may wait for a handler. One real reply of 10,000 has been seen."""
MAX_BYTES = 2 * 1024 * 1024
"""Bytes of source text that may wait for a handler; a message is decoded only when its turn comes."""
SPARE = 1_000
"""Places that only events may take, so that the alarm about a full queue fits into it."""


class Dispatcher:
    """One thread, `faye-dispatch`, calls handlers and `on_event` in the order in which things happened. What `urgent`
    (by subscription) says of a message's source text goes before all else that waits, in an order of its own.

    When the queue is full a message is dropped and a `Dropped` is queued; when it is empty again, a second `Dropped`
    gives the total and a `Gap` asks the owner to catch up."""

    def __init__(
        self,
        handlers: Mapping[str, Callable[[Message], None]],
        on_event: Callable[[Event], None] | None,
        *,
        urgent: Mapping[str, Callable[[bytes], bool]],
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._handlers = handlers
        self._on_event = on_event
        self._is_urgent = urgent
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._queue: deque[Deliver | Event] = deque()
        self._urgent: deque[Deliver] = deque()
        self._bytes = 0  # of both
        self._dropped = 0
        self._closing = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._work, name="faye-dispatch", daemon=True)
        self._thread.start()

    def put(self, delivery: Deliver) -> None:
        """Queue a message, or drop it and queue `Dropped`. Never waits."""
        source = delivery.message.source
        is_urgent = self._is_urgent.get(delivery.subscription)
        queue: deque[Any] = self._urgent if is_urgent is not None and is_urgent(source) else self._queue
        with self._changed:
            limit = self._max_bytes * (2 if queue is self._urgent else 1)  # as many bytes again for what is urgent
            full = len(queue) >= self._max_messages or self._bytes + len(source) > limit
            if full and queue:
                self._dropped += 1
                if self._dropped == 1:
                    self._append(Dropped(1, "the handler is too slow", delivery.message.channel))
                return
            self._bytes += len(source)
            queue.append(delivery)
            self._changed.notify()

    def put_event(self, event: Event) -> None:
        """Queue an event. Never waits; beyond the spare places it is lost, which takes a stuck handler."""
        with self._changed:
            self._append(event)

    def close(self, timeout: float) -> None:
        """Handle what is queued, for `timeout` seconds at most, and end the thread. A callable that hangs keeps it."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        self._abandoned = True

    def _append(self, event: Event) -> None:
        if len(self._queue) < self._max_messages + SPARE:
            self._queue.append(event)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._urgent and not self._dropped and not self._closing:
                    self._changed.wait()
                if self._abandoned or (not self._queue and not self._urgent and not self._dropped):
                    return
                if not self._queue and not self._urgent:
                    self._queue.append(Dropped(self._dropped, "in all, because the handler was too slow"))
                    self._queue.append(Gap("messages were dropped"))
                    self._dropped = 0
                item = self._urgent.popleft() if self._urgent else self._queue.popleft()
                if isinstance(item, Deliver):
                    self._bytes -= len(item.message.source)
            if isinstance(item, Deliver):
                self._handle(item)
            else:
                self._report(item)

    def _handle(self, item: Deliver) -> None:
        try:
            self._handlers[item.subscription](item.message.message())
        except Exception as error:  # noqa: BLE001 - a handler's failure concerns its message alone
            self._report(HandlerFailed(item.message.channel, error))

    def _report(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            logging.getLogger("faye").exception("on_event failed for %s", type(event).__name__)

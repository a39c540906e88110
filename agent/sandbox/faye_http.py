"""HTTP long-polling endpoint of the broker: one condition guards it, a held connect waits there in its server thread.

`max_held` bounds the threads that polls may take, so that the REST API always has some left; a connect beyond that is
answered at once and told to come back slowly.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import NoReturn
from urllib.parse import parse_qs

import structlog
from bottle import HTTPResponse, request

from agent.sandbox.bayeux import Message
from agent.sandbox.broker import Broker, Poll
from agent.sandbox.web import ApiError, body_bytes, content_type

_MAX_BATCH = 500
_LOOK_S = 0.5
"""Seconds between two looks whether the client of a held poll has gone."""

_log = structlog.get_logger(part="sandbox.faye")


class FayeEndpoint:
    """Thread-safe endpoint of a Broker. `clock` is monotonic, in seconds; the real one outside of tests."""

    def __init__(self, broker: Broker, clock: Callable[[], float], *, max_held: int) -> None:
        self._broker = broker
        self._clock = clock
        self._max_held = max_held
        self._held = 0
        self._dropped = 0
        self._changed = threading.Condition()

    def handle(self, kind: str = "") -> HTTPResponse:  # noqa: ARG002 - the message itself has its channel
        """Handle `POST /faye`, and `/faye/<kind>`: CometD's clients add the kind of message. Raises ApiError 400 and
        413."""
        gone: Callable[[], bool] = request.environ.get("waitress.client_disconnected") or (lambda: False)
        body = json.dumps(self.exchange(_messages(), gone), separators=(",", ":"))
        headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache, no-store"}
        return HTTPResponse(body, headers=headers)

    def exchange(self, messages: list[Message], gone: Callable[[], bool]) -> list[Message]:
        """Pass one batch to the broker and wait until its reply is complete, or until the client has `gone`."""
        with self._changed:
            batch = self._broker.receive(messages, self._clock(), hold=self._held < self._max_held)
            self._changed.notify_all()
            self._note_dropped()
            if batch.poll is None:
                return batch.replies
            self._held += 1
            try:
                return batch.replies + self._wait(batch.poll, gone)
            finally:
                self._held -= 1

    def publish(self, channel: str, data: dict[str, object]) -> None:
        """Publish as the cloud itself."""
        with self._changed:
            self._broker.publish(channel, data, self._clock())
            self._changed.notify_all()
            self._note_dropped()

    def close(self) -> None:
        """Answer every held poll now, and hold none from now on."""
        with self._changed:
            self._broker.close()
            self._changed.notify_all()

    def _wait(self, poll: Poll, gone: Callable[[], bool]) -> list[Message]:
        while True:
            if gone():  # before anything is taken from the queue: it would be lost on the dead connection
                self._broker.abandon(poll, self._clock())
                return []
            ready = self._broker.answer(poll, self._clock())
            if ready is not None:
                return ready
            self._changed.wait(min(_LOOK_S, max(poll.deadline - self._clock(), 0.0)))

    def _note_dropped(self) -> None:
        if self._broker.dropped and not self._dropped:
            _log.warning("oldest queued event dropped")
        self._dropped = self._broker.dropped


def _messages() -> list[Message]:
    """Read the messages of the request: `application/json`, or the form field `message` that browsers' clients send."""
    kind = content_type()
    data = body_bytes()
    if kind == "application/x-www-form-urlencoded":
        try:
            data = parse_qs(data.decode(), strict_parsing=True, max_num_fields=8)["message"][0].encode()
        except (KeyError, ValueError):
            raise ApiError(400, "the form has no field `message`") from None
    elif kind != "application/json":
        raise ApiError(400, "Content-Type must be application/json")
    value = _parse(data)
    batch = value if isinstance(value, list) else [value]
    if not batch or len(batch) > _MAX_BATCH:
        raise ApiError(400, f"a batch has 1 to {_MAX_BATCH} messages")
    messages = [message for message in batch if isinstance(message, dict)]
    if len(messages) != len(batch):
        raise ApiError(400, "a message must be a JSON object")
    return messages


def _parse(data: bytes) -> object:
    """Decode JSON as node does: a lone surrogate is text like any other, and goes out again as it came in. A server
    that refused it would be asked again for ever by Faye's own client, with the same batch. Raises ApiError 400."""
    try:
        value: object = json.loads(data.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")

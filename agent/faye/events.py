"""Events for the client's owner, besides messages. None holds a token: a server's text is redacted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The protocol went from one state to another (`session_steps.SessionState`)."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connect succeeded after a handshake (`new`: a new client id, nothing is known of what was published before) or
    after an error (same id). The subscribes of the same batch were answered before."""

    client_id: str
    new: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages may have been lost since the last Connected: catch up by other means (docs/faye.md §15)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session was interrupted for `reason`; the next try is in `retry_in` seconds."""

    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class StoppedByAdvice:
    """ALARM. The server said `reconnect: none`. The client is silent for `retry_in` seconds, then tries once more."""

    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server accepted the subscription; messages on `channel` arrive from now on."""

    channel: str


@dataclass(frozen=True, slots=True)
class Refused:
    """ALARM. The server refused the subscription, as for a wrong token. Asked again in `retry_in` seconds, or at
    FayeClient.resubscribe()."""

    channel: str
    error: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class TransportChanged:
    """The websocket failed too often: long-polling from now on, with the same client id."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """ALARM. `count` messages were not delivered: unreadable, on a channel not subscribed to, or more than the queue
    holds while a handler is stuck. `channel` is "" where several or none are known."""

    count: int
    reason: str
    channel: str = ""


@dataclass(frozen=True, slots=True)
class HandlerFailed:
    """A handler raised for one message; the others are not concerned. The exception is given for its traceback."""

    channel: str
    error: Exception


Event = (
    StateChanged
    | Connected
    | Gap
    | Disconnected
    | StoppedByAdvice
    | Subscribed
    | Refused
    | TransportChanged
    | Dropped
    | HandlerFailed
)

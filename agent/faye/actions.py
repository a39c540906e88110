"""Actions: the outputs of the protocol, performed in order by whoever drives it (`FayeClient`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .events import Event
from .messages import Received


class Lane(StrEnum):
    """Connection that a request uses, of two at most. A websocket has one for both."""

    POLL = "poll"  # handshake and connect, and the subscribes that travel with a connect
    SEND = "send"  # what must not wait for a held connect


@dataclass(frozen=True, slots=True)
class Send:
    """Send `messages` as one request. `number` names it in the answers; `deadline` (monotonic seconds) is when the
    protocol itself gives up. The messages hold the token, so they are not shown."""

    number: int
    lane: Lane
    messages: tuple[Mapping[str, object], ...] = field(repr=False)
    deadline: float

    @property
    def channels(self) -> tuple[str, ...]:
        """The messages' channels, in order."""
        return tuple(str(message["channel"]) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop every connection now, answered or not. No answer to an earlier Send is waited for any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Use the transport called `name` from now on; no connect is outstanding."""

    name: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Decode the message and hand it to the handler of `subscription`."""

    subscription: str
    message: Received


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand the event to the owner's `on_event`."""

    event: Event


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over: disconnected, or given up waiting for it."""


Action = Send | Abort | Switch | Deliver | Emit | Closed

"""Pending replies: ids, request numbers and deadlines of our messages that are not answered yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HANDSHAKE = "/meta/handshake"
CONNECT = "/meta/connect"
SUBSCRIBE = "/meta/subscribe"
DISCONNECT = "/meta/disconnect"


@dataclass(slots=True)
class PendingReply:
    """A message of ours whose reply is outstanding; times in monotonic seconds."""

    identity: str
    channel: str
    number: int
    sent_at: float
    deadline: float
    subscription: str = ""


class PendingReplies:
    """Table of the outstanding replies: at most a handshake's, or a connect's and one subscribe's a channel."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingReply] = {}
        self._last_id = 0
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._pending)

    def next_id(self) -> str:
        """Return an id for the next message: a non-empty string, never used before."""
        self._last_id += 1
        return str(self._last_id)

    def expect(self, messages: Sequence[Mapping[str, object]], now: float, deadline: float) -> int:
        """Expect a reply to each of these messages of one request; returns the request's number."""
        self._last_number += 1
        for message in messages:
            identity = str(message["id"])
            channel, subscription = str(message["channel"]), str(message.get("subscription", ""))
            self._pending[identity] = PendingReply(identity, channel, self._last_number, now, deadline, subscription)
        return self._last_number

    def match(self, reply: Mapping[str, object]) -> PendingReply | None:
        """Remove and return the message that `reply` answers; None when it is not ours: id, channel and (where the
        reply names one) subscription must all be those of the message."""
        identity = reply.get("id")
        pending = self._pending.get(identity) if isinstance(identity, str) else None
        if pending is None or pending.channel != reply.get("channel"):
            return None
        if pending.subscription and reply.get("subscription", pending.subscription) != pending.subscription:
            return None
        return self._pending.pop(pending.identity)

    def of_request(self, number: int | None) -> list[PendingReply]:
        """Return what is outstanding of this request (None: of all requests)."""
        return [p for p in self._pending.values() if number is None or p.number == number]

    def drop(self, pendings: Sequence[PendingReply]) -> None:
        """Stop waiting for these."""
        for pending in pendings:
            del self._pending[pending.identity]

    def clear(self) -> None:
        """Stop waiting for anything."""
        self._pending.clear()

    def overdue(self, now: float) -> list[PendingReply]:
        """Return what should have been answered by `now`."""
        return [p for p in self._pending.values() if p.deadline <= now]

    def waits_for(self, channel: str) -> bool:
        """Return whether a reply on this channel is outstanding."""
        return any(p.channel == channel for p in self._pending.values())

    def deadlines(self) -> list[float]:
        """Return the deadline of each outstanding reply."""
        return [p.deadline for p in self._pending.values()]

    def extend_deadline(self, number: int | None, until: float, longest: float) -> None:
        """Put off the deadline of request `number` (None: of the websocket's connect), for which bytes came in: to
        `until` at the earliest, but to `longest` seconds after it was sent at the latest."""
        for pending in self._pending.values():
            if pending.number == number or (number is None and pending.channel == CONNECT):
                pending.deadline = max(pending.deadline, min(until, pending.sent_at + longest))

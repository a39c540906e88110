"""What was asked and is not answered yet: ids, request numbers and deadlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HANDSHAKE = "/meta/handshake"
CONNECT = "/meta/connect"
SUBSCRIBE = "/meta/subscribe"
DISCONNECT = "/meta/disconnect"


@dataclass(slots=True)
class Pending:
    """A message of ours whose reply is waited for; times in monotonic seconds."""

    identity: str
    channel: str
    number: int
    sent_at: float
    deadline: float
    subscription: str = ""


class PendingReplies:
    """The messages of ours that are waited for: at most a handshake, or a connect and one subscribe a channel."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._last_id = 0
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._pending)

    def next_id(self) -> str:
        """An id for the next message: a non-empty string, never used before."""
        self._last_id += 1
        return str(self._last_id)

    def enter(self, messages: Sequence[Mapping[str, object]], now: float, deadline: float) -> int:
        """Wait for the replies to these messages of one request; its number."""
        self._last_number += 1
        for message in messages:
            identity = str(message["id"])
            channel, subscription = str(message["channel"]), str(message.get("subscription", ""))
            self._pending[identity] = Pending(identity, channel, self._last_number, now, deadline, subscription)
        return self._last_number

    def settle(self, reply: Mapping[str, object]) -> Pending | None:
        """The message that `reply` answers, which is no longer waited for; None when it is not ours: id, channel and
        (where the reply names one) subscription must all be those of the message."""
        identity = reply.get("id")
        pending = self._pending.get(identity) if isinstance(identity, str) else None
        if pending is None or pending.channel != reply.get("channel"):
            return None
        if pending.subscription and reply.get("subscription", pending.subscription) != pending.subscription:
            return None
        return self._pending.pop(pending.identity)

    def of_request(self, number: int | None) -> list[Pending]:
        """What of this request (None: of all requests) is waited for."""
        return [p for p in self._pending.values() if number is None or p.number == number]

    def forget(self, pendings: Sequence[Pending]) -> None:
        """Wait for these no more."""
        for pending in pendings:
            del self._pending[pending.identity]

    def clear(self) -> None:
        """Wait for nothing."""
        self._pending.clear()

    def late(self, now: float) -> list[Pending]:
        """What should have been answered by now."""
        return [p for p in self._pending.values() if p.deadline <= now]

    def waits_for(self, channel: str) -> bool:
        """Whether a reply on this channel is waited for."""
        return any(p.channel == channel for p in self._pending.values())

    def deadlines(self) -> list[float]:
        """When each wait ends."""
        return [p.deadline for p in self._pending.values()]

    def extend(self, number: int | None, until: float, longest: float) -> None:
        """Bytes came in for request `number` (None: on the websocket): its wait ends at `until` at the earliest, but
        `longest` seconds after it was sent at the latest."""
        for pending in self._pending.values():
            if pending.number == number or (number is None and pending.channel == CONNECT):
                pending.deadline = max(pending.deadline, min(until, pending.sent_at + longest))

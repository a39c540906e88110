"""Bayeux 1.0 messages of a server: replies, refusals, and the fields of a client's message. Pure."""

from __future__ import annotations

Message = dict[str, object]

VERSION = "1.0"
CONNECTION_TYPE = "long-polling"


def reply(message: Message) -> Message:
    """Make the frame of a reply: the message's own channel and id, nothing else of it."""
    answer: Message = {"channel": message.get("channel", "")}
    if isinstance(message.get("id"), str | int):
        answer["id"] = message["id"]
    return answer


def success(message: Message, client_id: str) -> Message:
    """Make a successful reply; an empty `client_id` is left out."""
    answer = reply(message) | {"successful": True}
    return answer | {"clientId": client_id} if client_id else answer


def refusal(message: Message, error: str) -> Message:
    """Make a failed reply. `error` is `code:arguments:text`."""
    return reply(message) | {"successful": False, "error": error}


def subscription(message: Message) -> list[str]:
    """Return the `subscription` of a message as a list: Bayeux allows a name or an array of them. Empty when it is
    neither."""
    value = message.get("subscription")
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else []


def wanted_timeout(message: Message, longest: float) -> float:
    """Return the seconds that a connect asks to be held: its `advice.timeout` (milliseconds), never more than the
    server's own."""
    advice = message.get("advice")
    wanted = advice.get("timeout") if isinstance(advice, dict) else None
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return longest
    return min(max(wanted / 1000, 0.0), longest)

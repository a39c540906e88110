"""The pure protocol against simulated servers, on a clock of its own: one that refuses every handshake, one that has
nothing to say for a long time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from agent.faye.actions import Send
from agent.faye.bayeux_protocol import BayeuxProtocol
from agent.faye.subscriptions import Subscription

REFUSE = "refuse"  # the handshake is answered, with a refusal
RESET = "reset"  # the connection breaks
ADVISE = "advise"  # refused, with an advice of «handshake» and an interval of 0


def _protocol(rng: Callable[[], float], transport: str) -> BayeuxProtocol:
    return BayeuxProtocol([Subscription("/a", lambda _: None)], rng=rng, transport=transport)


def _sends(protocol: BayeuxProtocol) -> list[Send]:
    return [action for action in protocol.take() if isinstance(action, Send)]


def tries(seconds: float, rng: Callable[[], float], how: str) -> int:
    """Handshakes that a server sees in so many seconds when it takes none."""
    now, count = 0.0, 0
    protocol = _protocol(rng, "long-polling")
    protocol.start(now)
    while now <= seconds:
        for send in _sends(protocol):
            count += 1
            if how == RESET:
                protocol.failed(send.number, "reset", now)
                continue
            reply: dict[str, object] = {"channel": "/meta/handshake", "id": send.messages[0]["id"], "successful": False}
            if how == ADVISE:
                reply["advice"] = {"reconnect": "handshake", "interval": 0}
            protocol.receive(json.dumps([reply]).encode(), now, send.number)
        due = protocol.due()
        assert due is not None
        now = max(now, due)
        protocol.tick(now)
    return count


def away(seconds: float, rng: Callable[[], float]) -> tuple[float, list[int]]:
    """A subscribed client whose server goes away for so long: seconds from its return until it is subscribed again, and
    the protocol object's size (bytes) after every hundredth try in between."""
    now, refused, sizes = 0.0, 0, []
    protocol = _protocol(rng, "long-polling")
    protocol.start(now)
    gone, subscribed = False, False
    while not (gone and subscribed and now > seconds):
        sends = _sends(protocol)
        for send in sends:
            if gone and now <= seconds:
                subscribed = False
                protocol.failed(send.number, "connection refused", now)
                refused += 1
                if refused % 100 == 0:
                    sizes.append(deep_size(protocol))
                continue
            replies = [_success(message, {"timeout": 25000}) for message in send.messages]
            forgotten = gone and send.messages[0].get("clientId") == "first"
            for reply in replies:
                reply["clientId"] = "second" if gone else "first"
                if forgotten:
                    reply |= {"successful": False, "error": "401:first:Unknown client"}
                subscribed = subscribed or (reply["channel"] == "/meta/subscribe" and not forgotten)
            protocol.receive(json.dumps(replies).encode(), now, send.number)
        gone = gone or subscribed
        if not sends:
            due = protocol.due()
            assert due is not None
            now = max(now, due)
            protocol.tick(now)
    return now - seconds, sizes


def idle(seconds: float, timeout: float, transport: str = "long-polling") -> tuple[int, list[int]]:
    """A connected client to which nothing is published for so long: the requests that it sent from then on, and the
    protocol object's size (bytes) after each connect. `timeout` is how long the server holds a connect, seconds."""
    now, requests, sizes = 0.0, 0, []
    protocol = _protocol(lambda: 0.5, transport)
    protocol.start(now)
    advice = {"reconnect": "retry", "interval": 0, "timeout": int(timeout * 1000)}
    connected = False
    held: list[tuple[float, Send]] = []
    while now < seconds:
        for send in _sends(protocol):
            requests += connected
            held.append((now + (timeout if connected else 0.0), send))
            connected = connected or "/meta/connect" in send.channels
        at = min([due for due, _ in held] + [protocol.due() or float("inf")])
        now = max(now, at)
        protocol.tick(now)
        for item in [item for item in held if item[0] <= now]:
            held.remove(item)
            replies = [_success(message, advice) for message in item[1].messages]
            number = None if transport == "websocket" else item[1].number
            protocol.receive(json.dumps(replies).encode(), now, number)
            sizes.append(deep_size(protocol))
    return requests, sizes


def _success(message: Any, advice: dict[str, object]) -> dict[str, object]:
    reply: dict[str, object] = {"channel": message["channel"], "id": message["id"], "successful": True}
    if "subscription" in message:
        reply["subscription"] = message["subscription"]
    if message["channel"] != "/meta/subscribe":
        reply |= {"clientId": "c", "advice": advice}
    return reply


def deep_size(thing: object) -> int:
    """Bytes of an object and all that it holds, code aside."""
    seen: set[int] = set()
    todo, total = [thing], 0
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type | FunctionType | ModuleType):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            todo += item
        else:
            todo += [*getattr(item, "__dict__", {}).values()]
            slots = getattr(type(item), "__slots__", ())
            todo += [getattr(item, name) for name in slots if hasattr(item, name)]
    return total

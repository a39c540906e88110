"""A Faye (Bayeux 1.0) client that can be used on its own: it imports nothing of the agent. See README.md beside this.

messages, advice, backoff   what is on the wire, read with suspicion
book, ledger                what is subscribed to; what is waited for
session, protocol           the state machine, without I/O
transport                   the interface; long_polling (requests) and websocket (websocket-client) fill it
dispatcher, client          the threads
"""

from .client import FayeClient
from .events import (
    Connected,
    Disconnected,
    Dropped,
    Event,
    Gap,
    HandlerFailed,
    Refused,
    StateChanged,
    StoppedByAdvice,
    Subscribed,
    TransportChanged,
)
from .messages import Message
from .subscriptions import Subscription

__all__ = [
    "Connected",
    "Disconnected",
    "Dropped",
    "Event",
    "FayeClient",
    "Gap",
    "HandlerFailed",
    "Message",
    "Refused",
    "StateChanged",
    "StoppedByAdvice",
    "Subscribed",
    "Subscription",
    "TransportChanged",
]

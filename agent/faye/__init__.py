"""Faye (Bayeux 1.0) client, usable on its own: it imports nothing of the agent. See README.md beside this.

messages, advice, backoff          what is on the wire, none of it trusted
subscriptions, pending_replies     what is subscribed to; which replies are outstanding
session_steps, bayeux_protocol     the state machine, without I/O
actions, events                    what the protocol wants done; what the owner is told
transport                          the interface; long_polling (requests) with sockets, and websocket implement it
dispatcher, client                 the threads
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

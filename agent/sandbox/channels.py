"""Bayeux channel names (Bayeux 1.0 §2.1): what is a channel, what is a pattern, and which patterns match a channel.

As strict as the real server: a name with a dot, a trailing slash, a non-ASCII letter, or a wildcard anywhere but at
the end is none (docs/faye.md).
"""

from __future__ import annotations

import re

_SEGMENT = r"/[A-Za-z0-9\-_!~()$@]+"
_CHANNEL = re.compile(rf"(?:{_SEGMENT})+", re.ASCII)
_PATTERN = re.compile(rf"(?:{_SEGMENT})*/\*{{1,2}}", re.ASCII)

MAX_LENGTH = 256
"""Characters of the longest channel name taken."""


def is_channel(name: str) -> bool:
    """Return whether `name` is a channel that something can be published on."""
    return len(name) <= MAX_LENGTH and _CHANNEL.fullmatch(name) is not None


def is_subscription(name: str) -> bool:
    """Return whether `name` is a channel, or a pattern that ends in `/*` (one segment) or `/**` (one or more)."""
    return is_channel(name) or (len(name) <= MAX_LENGTH and _PATTERN.fullmatch(name) is not None)


def is_meta(name: str) -> bool:
    """Return whether `name` is one of the protocol's own channels."""
    return name == "/meta" or name.startswith("/meta/")


def is_service(name: str) -> bool:
    """Return whether `name` is a service channel: for the server alone, never forwarded."""
    return name == "/service" or name.startswith("/service/")


def matching(channel: str) -> frozenset[str]:
    """Return every subscription that matches `channel`: itself, its parent's `/*`, and each ancestor's `/**`."""
    segments = channel.split("/")[1:]
    ancestors = ["".join(f"/{segment}" for segment in segments[:depth]) for depth in range(len(segments))]
    return frozenset([channel, f"{ancestors[-1]}/*", *(f"{ancestor}/**" for ancestor in ancestors)])

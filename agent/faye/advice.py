"""A server's advice (Bayeux 1.0 §5): parsed from untrusted JSON, clamped to limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

MAX_INTERVAL = 300.0
"""Seconds. A larger `interval` would mute the client, whatever the server meant."""
MAX_TIMEOUT = 600.0
"""Seconds. A larger `timeout` would hide a dead connection."""
MIN_TIMEOUT = 0.1
"""Seconds. With less, a server that answers at once would be asked without a pause."""
DEFAULT_TIMEOUT = 60.0
"""Seconds; what Faye's server uses when nothing is configured (docs/faye.md)."""


class Reconnect(StrEnum):
    """Advised reaction to a refused connect or handshake (Bayeux 1.0 §5.1)."""

    UNSPECIFIED = ""
    RETRY = "retry"
    HANDSHAKE = "handshake"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice in force. `interval` and `timeout` are in seconds (milliseconds on the wire).

    `reconnect` belongs to the one reply it came in; the other two stay until a later reply changes them."""

    interval: float = 0.0
    timeout: float = DEFAULT_TIMEOUT
    reconnect: Reconnect = Reconnect.UNSPECIFIED

    def updated(self, value: object) -> Advice:
        """Merge a reply's advice into this one; the reply's `advice` field is `value`, which may be any JSON.

        A field of the wrong type is ignored. A negative interval is 0. A timeout of 0 or less is ignored: some
        servers echo the client's own `timeout: 0`."""
        if not isinstance(value, Mapping):
            return replace(self, reconnect=Reconnect.UNSPECIFIED)
        interval = _seconds(value.get("interval"))
        timeout = _seconds(value.get("timeout"))
        return Advice(
            interval=self.interval if interval is None else min(max(interval, 0.0), MAX_INTERVAL),
            timeout=self.timeout if timeout is None or timeout <= 0 else min(max(timeout, MIN_TIMEOUT), MAX_TIMEOUT),
            reconnect=_reconnect(value.get("reconnect")),
        )


def _reconnect(value: object) -> Reconnect:
    if isinstance(value, str) and value in tuple(Reconnect):
        return Reconnect(value)
    return Reconnect.UNSPECIFIED


def _seconds(value: object) -> float | None:
    """Convert milliseconds to seconds; None for what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        value = max(min(value, 10**12), -(10**12))  # an int may be too large for a float
    return value / 1000.0 if math.isfinite(value) else None

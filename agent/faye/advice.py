"""What a server advises (Bayeux 1.0 §5): read with suspicion, kept within limits."""

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
    """What to do when a connect or a handshake was refused."""

    UNSAID = ""
    RETRY = "retry"
    HANDSHAKE = "handshake"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice in force. `interval` and `timeout` are in seconds (milliseconds on the wire).

    `reconnect` belongs to the one reply it came in; the other two stay until a later reply says otherwise."""

    interval: float = 0.0
    timeout: float = DEFAULT_TIMEOUT
    reconnect: Reconnect = Reconnect.UNSAID

    def updated(self, value: object) -> Advice:
        """This advice after a reply whose `advice` field is `value`, which may be anything at all.

        A field of the wrong type says nothing. A negative interval is 0. A timeout of 0 or less says nothing: some
        servers echo the client's own `timeout: 0`."""
        if not isinstance(value, Mapping):
            return replace(self, reconnect=Reconnect.UNSAID)
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
    return Reconnect.UNSAID


def _seconds(value: object) -> float | None:
    """Milliseconds as seconds; None for what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        value = max(min(value, 10**12), -(10**12))  # an int may be too large for a float
    return value / 1000.0 if math.isfinite(value) else None

"""LinkLifecycle of the link's thread: when it is to stop and how, and its signs of life."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class LinkLifecycle:
    """`stop_at` is the latest moment to leave once a stop was requested, `inf` before; with `hand_over` a print is left
    as it is for the next agent. `released`: the port is another program's; the link's thread alone sets it. `beat` is
    called every `interval_s` seconds as long as the thread does its work."""

    def __init__(self, *, now: Callable[[], float], beat: Callable[[], None], interval_s: float) -> None:
        self.stopping = False
        self.stop_at = inf
        self.hand_over = False
        self.released = False
        self.beat_at = -inf
        self._now = now
        self._beat = beat
        self._interval_s = interval_s

    def request_stop(self, seconds: float, *, hand_over: bool) -> None:
        """From any thread: stop within `seconds`."""
        self.hand_over = hand_over
        self.stop_at = self._now() + seconds
        self.stopping = True

    def beat_if_due(self, now: float) -> None:
        """Give a sign of life, when it is time."""
        if now >= self.beat_at:
            self.beat_at = now + self._interval_s
            self._beat()

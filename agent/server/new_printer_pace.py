"""Pace of new printers: how long to wait before the server is asked for another one. Pure but for the clock."""

from __future__ import annotations

import math

from agent.core.clock import Clock
from agent.errors import CloudError

FIRST_WAIT = 60.0  # seconds from one new printer to the next while no token has worked; doubles with each
SHORT_WAIT = 10.0  # seconds from one new printer to the next when the token of the first one has worked
MAX_WAIT = 3600.0  # seconds


class NewPrinterPace:
    """Counts new printers in a row that the server never confirmed: one that refuses each token it gave must not get
    a printer a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unconfirmed = 0
        self._requested_at = -math.inf  # when the last one was requested (monotonic)

    def check(self) -> None:
        """Raise CloudError, with the seconds to wait, while no new printer may be requested."""
        pause = min(FIRST_WAIT * 2.0 ** min(self._unconfirmed - 1, 10), MAX_WAIT) if self._unconfirmed else SHORT_WAIT
        wait = self._requested_at + pause - self._clock.monotonic()
        if wait > 0:
            why = "the server refuses the token that it has just given"
            raise CloudError(why if self._unconfirmed else "a new printer was requested just now", retry_after=wait)

    def requested(self) -> None:
        """Note a new printer."""
        self._unconfirmed += 1
        self._requested_at = self._clock.monotonic()

    @property
    def waiting_for_proof(self) -> bool:
        """Whether no token has worked since the last new printer."""
        return self._unconfirmed > 0

    def token_worked(self) -> None:
        """Note that the server took a call with the token: the wait for the next new printer is short again."""
        self._unconfirmed = 0

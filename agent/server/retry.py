"""Retry policy of calls to the server: exponential back-off with full jitter (tenacity), `Retry-After` obeyed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_random_exponential
from tenacity.wait import wait_base

from agent.errors import CloudError, UnavailableError

MAX_WAIT = 45.0  # seconds; with a full queue, all has arrived within a minute of the server's return
SLICE = 5.0  # seconds between two beats during a wait

_FULL_JITTER = wait_random_exponential(multiplier=1, max=MAX_WAIT)


class ServerWait(wait_base):
    """Exponential wait with full jitter, at most MAX_WAIT; never less than the server's `Retry-After`."""

    def __call__(self, retry_state: RetryCallState) -> float:
        """Seconds to wait after the attempt in `retry_state`."""
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        asked = error.retry_after if isinstance(error, CloudError) else None
        return max(_FULL_JITTER(retry_state), asked or 0.0)


def delay(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (1 is the first)."""
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    return _FULL_JITTER(state)


def retry_forever(
    stop: threading.Event, beat: Callable[[], None], before_sleep: Callable[[RetryCallState], None] | None = None
) -> Retrying:
    """Retry until the call succeeds or `stop` is set; only an UnavailableError (the server, the disk) is retried.
    `beat` is called while waiting, so that a long wait does not look like a hung thread."""

    def wait(seconds: float) -> None:
        slices, rest = divmod(seconds, SLICE)
        for duration in (*(SLICE,) * int(slices), rest):
            beat()
            if stop.wait(duration):
                return

    return Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=ServerWait(),
        stop=stop_when_event_set(stop),
        sleep=wait,
        before_sleep=before_sleep,
        reraise=True,
    )

"""How long to wait before the next try: tenacity's strategies, with a server's `Retry-After` obeyed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_random_exponential
from tenacity.wait import wait_base

from agent.errors import CloudError, UnavailableError

CAP = 45.0  # seconds; with a full queue to send, all is there within a minute of the server's return
SLICE = 5.0  # seconds between two signs of life during a wait

_FULL_JITTER = wait_random_exponential(multiplier=1, max=CAP)


class ServerWait(wait_base):
    """Exponential with full jitter, capped at CAP; never less than what the server asked for."""

    def __call__(self, retry_state: RetryCallState) -> float:
        """Seconds to wait after the try in `retry_state`."""
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        asked = error.retry_after if isinstance(error, CloudError) else None
        return max(_FULL_JITTER(retry_state), asked or 0.0)


def delay(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (1 is the first)."""
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    return _FULL_JITTER(state)


def for_ever(
    stop: threading.Event, alive: Callable[[], None], before_sleep: Callable[[RetryCallState], None] | None = None
) -> Retrying:
    """Try until it works or `stop` is set; only an UnavailableError (the server, the disk) is worth another try.
    `alive` is called while waiting, so that a long wait is not taken for a hung thread."""

    def wait(seconds: float) -> None:
        slices, rest = divmod(seconds, SLICE)
        for part in (*(SLICE,) * int(slices), rest):
            alive()
            if stop.wait(part):
                return

    return Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=ServerWait(),
        stop=stop_when_event_set(stop),
        sleep=wait,
        before_sleep=before_sleep,
        reraise=True,
    )

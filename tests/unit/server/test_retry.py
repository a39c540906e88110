"""The waits between two calls to a server: they grow, with jitter, and are never shorter than the server asked for."""

from __future__ import annotations

import threading

import pytest
from tenacity import Future, RetryCallState, Retrying

from agent.errors import CloudError, RejectedError, UnavailableError
from agent.server.retry import MAX_WAIT, SLICE, ServerWait, delay, retry_forever


def wait_after(attempt: int, error: Exception) -> float:
    """Seconds to wait after the `attempt`-th failure."""
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return ServerWait()(state)


def test_the_wait_grows_with_jitter_to_its_limit() -> None:
    waits = [[wait_after(attempt, CloudError("x")) for _ in range(100)] for attempt in range(1, 12)]
    for number, some in enumerate(waits):
        assert 0 < max(some) <= min(2.0**number, MAX_WAIT)
        assert len(set(some)) == 100, "with jitter"
    assert max(waits[-1]) > MAX_WAIT / 2


@pytest.mark.parametrize("asked", [0.0, 0.001, None])
def test_a_server_that_wants_no_wait_gets_the_back_off_all_the_same(asked: float | None) -> None:
    waits = [wait_after(10, CloudError("x", retry_after=asked)) for _ in range(200)]
    assert sum(waits) / 200 > MAX_WAIT / 4


def test_a_server_that_asks_for_more_gets_it() -> None:
    assert wait_after(1, CloudError("x", retry_after=600.0)) == 600.0
    assert wait_after(1, UnavailableError("the disk")) <= 1.0


def test_the_delay_of_a_single_call_is_the_same_back_off() -> None:
    assert all(0 < delay(1) <= 1.0 for _ in range(100))
    assert MAX_WAIT / 2 < max(delay(20) for _ in range(100)) <= MAX_WAIT


def test_only_what_is_unavailable_is_tried_again_and_each_slice_of_a_wait_is_a_beat() -> None:
    stop, beats, calls = Stop(), list[None](), list[None]()

    def call() -> str:
        calls.append(None)
        if len(calls) < 3:
            raise CloudError("x", retry_after=2 * SLICE + 1)
        return "done"

    assert retry_forever(stop, lambda: beats.append(None))(call) == "done"
    assert stop.waited == [SLICE, SLICE, 1.0] * 2
    assert len(beats) == 6

    def refused() -> None:
        calls.append(None)
        raise RejectedError("never", status=422, answer="")

    calls.clear()
    with pytest.raises(RejectedError):
        retry_forever(stop, lambda: None)(refused)
    assert len(calls) == 1


def test_a_stop_ends_a_wait_and_the_tries() -> None:
    stop, calls = threading.Event(), list[None]()

    def call() -> None:
        calls.append(None)
        stop.set()
        raise CloudError("x", retry_after=3600.0)

    with pytest.raises(CloudError):
        retry_forever(stop, lambda: None)(call)
    assert len(calls) == 1


class Stop(threading.Event):
    """Never set; a wait for it takes no time, and is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note the seconds."""
        self.waited.append(timeout)
        return False

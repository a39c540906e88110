"""How the agent ends: signals, crashed threads, and the thread that ends last."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from agent.service.lifecycle import Lifecycle
from agent.service.loop_threads import LoopThreads

PATIENCE = 10.0
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP)


@pytest.fixture
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def join(thread: threading.Thread) -> None:
    thread.join(PATIENCE)


def wait_for(end: threading.Event) -> None:
    """A loop that does nothing."""
    end.wait(PATIENCE)


@pytest.mark.parametrize(
    ("number", "stop_hands_over", "hands_over"),
    [
        (signal.SIGTERM, False, False),
        (signal.SIGTERM, True, True),
        (signal.SIGINT, True, False),
        (signal.SIGUSR2, False, True),
    ],
)
@pytest.mark.usefixtures("_signals")
def test_a_signal_stops_the_agent_and_some_leave_the_print_to_the_next_one(
    number: int, stop_hands_over: bool, hands_over: bool
) -> None:
    lifecycle = Lifecycle(stop_hands_over=stop_hands_over)
    lifecycle.handle_signals()
    os.kill(os.getpid(), number)
    lifecycle.wait(PATIENCE)
    assert (lifecycle.stop.is_set(), lifecycle.is_handing_over()) == (True, hands_over)
    assert not lifecycle.has_failed()


@pytest.mark.usefixtures("_signals")
def test_sighup_requests_one_reload_and_stops_nothing() -> None:
    lifecycle = Lifecycle(stop_hands_over=False)
    lifecycle.handle_signals()
    assert not lifecycle.take_reload()
    os.kill(os.getpid(), signal.SIGHUP)
    lifecycle.wait(PATIENCE)
    assert (lifecycle.take_reload(), lifecycle.take_reload(), lifecycle.stop.is_set()) == (True, False, False)


def test_a_thread_that_crashes_ends_the_agent_and_leaves_the_print_to_the_next_one() -> None:
    lifecycle = Lifecycle(stop_hands_over=False)

    def crash(_end: threading.Event) -> None:
        raise ZeroDivisionError

    threads = LoopThreads({"bad": crash, "good": wait_for, "last": wait_for}, lifecycle, last="last")
    with capture_logs() as lines:
        threads.start()
        assert lifecycle.stop.wait(PATIENCE)
        threads.join_others(join)
    assert (lifecycle.has_failed(), lifecycle.is_handing_over()) == (True, True)
    assert [(line["event"], line["thread"]) for line in lines] == [("thread crashed", "bad")]
    threads.end_last(join, lambda: None)
    assert threads.alive() == []


def test_the_last_thread_runs_on_until_the_others_have_ended() -> None:
    lifecycle = Lifecycle(stop_hands_over=False)
    threads = LoopThreads({"last": wait_for, "first": wait_for}, lifecycle, last="last")
    threads.start()
    lifecycle.request_stop()
    threads.join_others(join)
    assert threads.alive() == ["last"]
    woken: list[bool] = []
    threads.end_last(join, lambda: woken.append(True))
    assert (threads.alive(), woken) == ([], [True])

"""The dispatcher: order, bounds, and what a bad handler can do (nothing)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from agent.faye.actions import Deliver
from agent.faye.dispatcher import SPARE, Dispatcher
from agent.faye.events import Dropped, Event, Gap, HandlerFailed, Subscribed
from agent.faye.messages import Message, decode


def deliver(data: object) -> Deliver:
    """A message on /a."""
    (message,) = decode(json.dumps({"channel": "/a", "data": data}).encode()).messages
    return Deliver("/a", message)


class Rig:
    """A dispatcher whose handler can be held, and what it was given, in order."""

    def __init__(self, *, max_messages: int = 5, max_bytes: int = 1000) -> None:
        self.seen: list[object] = []
        self.free = threading.Event()
        self.entered = threading.Event()
        self.done = threading.Event()
        self.fail: Callable[[object], None] = lambda _: None
        self.dispatcher = Dispatcher(
            {"/a": self.handle}, self.note, urgent={}, max_messages=max_messages, max_bytes=max_bytes
        )

    def handle(self, message: Message) -> None:
        self.entered.set()
        assert self.free.wait(10)
        self.seen.append(message.data)
        self.fail(message.data)

    def note(self, event: Event) -> None:
        self.seen.append(event)
        if isinstance(event, Gap):
            self.done.set()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A rig that is freed and closed at the end."""
    made = Rig()
    yield made
    made.free.set()
    made.dispatcher.close(5)


def test_messages_and_events_keep_their_order(rig: Rig) -> None:
    """A Subscribed that came before a message is told before it."""
    rig.free.set()
    rig.dispatcher.put_event(Subscribed("/a"))
    rig.dispatcher.put(deliver(1))
    rig.dispatcher.put_event(Subscribed("/b"))
    rig.dispatcher.close(5)
    assert rig.seen == [Subscribed("/a"), 1, Subscribed("/b")]


def test_a_full_queue_drops_loudly_and_asks_to_catch_up(rig: Rig) -> None:
    """The alarm comes at the first drop, the total and a Gap when the queue is empty."""
    rig.dispatcher.put(deliver(0))
    assert rig.entered.wait(5)
    for n in range(1, 9):
        rig.dispatcher.put(deliver(n))
    rig.free.set()
    assert rig.done.wait(5)
    assert rig.seen[:6] == [0, 1, 2, 3, 4, 5]
    assert [(e.count, e.channel) for e in rig.seen if isinstance(e, Dropped)] == [(1, "/a"), (3, "")]
    assert isinstance(rig.seen[-1], Gap)


def test_bytes_are_bounded_too_but_one_large_message_always_fits(rig: Rig) -> None:
    """Else a message larger than the bound could never arrive."""
    rig.free.set()
    rig.dispatcher.put(deliver("large" * 2_000))
    rig.dispatcher.close(5)
    assert rig.seen == ["large" * 2_000]


def test_events_cannot_fill_the_memory_while_a_handler_hangs(rig: Rig) -> None:
    """Their number is bounded as well."""
    rig.dispatcher.put(deliver(0))
    assert rig.entered.wait(5)
    for _ in range(3 * SPARE):
        rig.dispatcher.put_event(Subscribed("/a"))
    rig.free.set()
    rig.dispatcher.close(5)
    assert len(rig.seen) == 1 + 5 + SPARE


def test_a_handlers_exception_is_told_and_the_next_message_handled(rig: Rig) -> None:
    """It concerns its message alone."""
    problem = RuntimeError("no")

    def fail(data: object) -> None:
        if data == 1:
            raise problem

    rig.fail = fail
    rig.free.set()
    rig.dispatcher.put(deliver(1))
    rig.dispatcher.put(deliver(2))
    rig.dispatcher.close(5)
    assert rig.seen == [1, HandlerFailed("/a", problem), 2]


def test_an_on_event_that_raises_is_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    """There is nobody else to tell."""
    seen: list[object] = []

    def bad(event: Event) -> None:
        raise RuntimeError("no")

    dispatcher = Dispatcher({"/a": lambda m: seen.append(m.data)}, bad, urgent={})
    with caplog.at_level(logging.ERROR):
        dispatcher.put_event(Subscribed("/a"))
        dispatcher.put(deliver(1))
        dispatcher.close(5)
    assert seen == [1]
    assert "on_event failed for Subscribed" in caplog.text


def test_close_does_not_wait_for_a_handler_that_hangs(rig: Rig) -> None:
    """The thread ends when its handler returns, and handles nothing more."""
    rig.dispatcher.put(deliver(1))
    rig.dispatcher.put(deliver(2))
    assert rig.entered.wait(5)
    rig.dispatcher.close(0.05)
    rig.free.set()
    rig.dispatcher.close(5)
    assert rig.seen == [1]


def test_an_urgent_message_waits_behind_no_other_and_has_a_place_when_the_queue_is_full() -> None:
    seen: list[object] = []
    free, entered = threading.Event(), threading.Event()

    def handle(message: Message) -> None:
        entered.set()
        assert free.wait(10)
        seen.append(message.data)

    dispatcher = Dispatcher({"/a": handle}, None, urgent={"/a": lambda source: b"stop" in source}, max_messages=5)
    dispatcher.put(deliver("first"))
    assert entered.wait(5)
    for number in range(100):
        dispatcher.put(deliver(number))
    dispatcher.put(deliver("stop 1"))
    dispatcher.put(deliver("stop 2"))
    free.set()
    dispatcher.close(5)
    assert seen == ["first", "stop 1", "stop 2", 0, 1, 2, 3, 4]

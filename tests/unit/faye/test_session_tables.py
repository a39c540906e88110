"""The tables of a Faye session by themselves: subscriptions, and replies that are outstanding."""

from __future__ import annotations

from agent.faye.pending_replies import PendingReplies
from agent.faye.subscriptions import REFUSED_WAIT, Subscription, SubscriptionTable


def table(*channels: str) -> SubscriptionTable:
    subscriptions = [Subscription(channel, lambda _: None) for channel in channels]
    return SubscriptionTable(subscriptions, ext_on_all=False, rng=lambda: 0.0)


def asked(subscriptions: SubscriptionTable) -> None:
    """Each has been asked for."""
    ids = iter("123456789")
    messages, failed = subscriptions.make_subscribes(0.0, lambda: next(ids))
    assert messages
    assert failed == []


def test_of_several_refused_subscriptions_the_first_that_may_be_asked_for_again_is_due() -> None:
    subscriptions = table("/a", "/b")
    asked(subscriptions)
    assert subscriptions.due() is None
    for now, channel in ((5.0, "/b"), (9.0, "/a")):
        entry = subscriptions.entry(channel)
        assert entry is not None
        assert subscriptions.refuse(entry, now) == REFUSED_WAIT
    assert subscriptions.due() == 5.0 + REFUSED_WAIT


def test_a_subscription_that_is_wanted_again_waits_for_no_reply() -> None:
    subscriptions = table("/a", "/b", "/c")
    asked(subscriptions)
    confirmed = subscriptions.entry("/c")
    assert confirmed is not None
    subscriptions.confirm(confirmed)
    subscriptions.want_again(["/a", "/c", "/never"])
    ids = {channel: entry.subscribe_id for channel in ("/a", "/b") if (entry := subscriptions.entry(channel))}
    assert ids == {"/a": "", "/b": "2"}
    assert subscriptions.due() == float("-inf")
    messages, _ = subscriptions.make_subscribes(0.0, lambda: "9")
    assert [message["subscription"] for message in messages] == ["/a"], "what is confirmed stays so"


def test_bytes_of_one_request_put_off_the_deadline_of_that_one_alone() -> None:
    pending = PendingReplies()
    pending.expect([{"id": "1", "channel": "/meta/connect"}], 0.0, 70.0)
    number = pending.expect([{"id": "2", "channel": "/meta/subscribe", "subscription": "/a"}], 0.0, 20.0)
    pending.extend_deadline(number, 100.0, 600.0)
    assert pending.deadlines() == [70.0, 100.0]
    pending.extend_deadline(None, 200.0, 600.0)
    assert pending.deadlines() == [200.0, 100.0], "a websocket's bytes are its connect's"
    pending.extend_deadline(number, 900.0, 600.0)
    assert pending.deadlines() == [200.0, 600.0], "not for ever"
    pending.extend_deadline(number, 50.0, 600.0)
    assert pending.deadlines() == [200.0, 600.0], "never brought forward"

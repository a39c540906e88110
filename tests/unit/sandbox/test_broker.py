"""The broker as a Bayeux client meets it, with a clock that only the test moves."""

from __future__ import annotations

import itertools

import pytest

from agent.sandbox.access import PrinterAccess
from agent.sandbox.bayeux import Message
from agent.sandbox.broker import CROWDED_INTERVAL_MS, Broker, Poll

TIMEOUT = 25.0
HANDSHAKE: Message = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}


class World:
    """A broker, its clock, and the messages of its clients."""

    def __init__(self, **bounds: int) -> None:
        ids = itertools.count(1)
        access = PrinterAccess(lambda printer_id, token: (printer_id, token) == (7, "seven"))
        self.broker = Broker(access, lambda: f"id{next(ids)}", timeout=TIMEOUT, **bounds)
        self.now = 1000.0

    def send(self, **message: object) -> Message:
        """One message that is not a connect; its only reply."""
        exchange = self.broker.receive([message], self.now)
        assert exchange.poll is None
        (reply,) = exchange.replies
        return reply

    def client(self, *subscriptions: str) -> str:
        """A new session that has connected once and listens to `subscriptions`."""
        client_id = str(self.send(**HANDSHAKE)["clientId"])
        for name in subscriptions:
            reply = self.send(
                channel="/meta/subscribe",
                clientId=client_id,
                subscription=name,
                ext={"authentication_token": "seven"},
            )
            assert reply["successful"] is True, reply
        return client_id

    def connect(self, client_id: str, **more: object) -> Poll:
        message = {"channel": "/meta/connect", "clientId": client_id, "connectionType": "long-polling", **more}
        exchange = self.broker.receive([message], self.now)
        assert exchange.replies == []
        assert exchange.poll is not None
        return exchange.poll

    def answer(self, poll: Poll) -> list[Message] | None:
        return self.broker.answer(poll, self.now)

    def fetched(self, client_id: str) -> list[object]:
        """The data of all that waits for the client."""
        answer = self.answer(self.connect(client_id, advice={"timeout": 0}))
        assert answer is not None
        return [event["data"] for event in answer[1:]]


@pytest.fixture
def world() -> World:
    return World()


def test_a_handshake_gives_a_client_id_and_advice(world: World) -> None:
    reply = world.send(**HANDSHAKE, id="h1", ext={"secret": 1})
    assert reply == {
        "channel": "/meta/handshake",
        "id": "h1",
        "successful": True,
        "clientId": "id1",
        "version": "1.0",
        "supportedConnectionTypes": ["long-polling"],
        "advice": {"reconnect": "retry", "interval": 0, "timeout": 25000},
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": None}, "402:version"),
        ({"version": "2.0"}, "300:2.0"),
        ({"supportedConnectionTypes": None}, "402:supportedConnectionTypes"),
        ({"supportedConnectionTypes": ["websocket"]}, "301:"),
    ],
)
def test_a_handshake_that_can_never_work_says_why_and_stops_the_client(
    world: World, change: Message, code: str
) -> None:
    reply = world.send(**(HANDSHAKE | change))
    assert reply["successful"] is False
    assert str(reply["error"]).startswith(code)
    assert reply["advice"] == {"reconnect": "none"}
    assert "clientId" not in reply


def test_a_full_broker_refuses_a_handshake_and_asks_to_come_back_later() -> None:
    world = World(max_clients=1)
    world.client()
    reply = world.send(**HANDSHAKE)
    assert reply["successful"] is False
    assert reply["advice"] == {"reconnect": "handshake", "interval": 5000}


def test_a_connect_is_held_until_its_timeout(world: World) -> None:
    poll = world.connect(world.client(), id="c1")
    world.now += TIMEOUT - 0.1
    assert world.answer(poll) is None
    world.now += 0.1
    answer = world.answer(poll)
    assert answer is not None
    (reply,) = answer
    assert (reply["id"], reply["successful"]) == ("c1", True)
    assert reply["advice"] == {"reconnect": "retry", "interval": 0, "timeout": 25000}


def test_a_connect_with_timeout_zero_is_answered_at_once(world: World) -> None:
    assert world.answer(world.connect(world.client(), advice={"timeout": 0})) is not None


def test_a_client_may_ask_for_a_shorter_hold_but_not_a_longer_one(world: World) -> None:
    assert world.connect(world.client(), advice={"timeout": 2000}).deadline == world.now + 2
    assert world.connect(world.client(), advice={"timeout": 90000}).deadline == world.now + TIMEOUT


def test_a_crowded_broker_holds_no_connect_and_slows_the_client_down(world: World) -> None:
    message = {"channel": "/meta/connect", "clientId": world.client(), "connectionType": "long-polling"}
    poll = world.broker.receive([message], world.now, hold=False).poll
    assert poll is not None
    answer = world.answer(poll)
    assert answer is not None
    assert answer[0]["advice"] == {"reconnect": "retry", "interval": CROWDED_INTERVAL_MS, "timeout": 25000}


def test_an_event_ends_the_hold_and_comes_after_the_connects_reply(world: World) -> None:
    poll = world.connect(world.client("/printers/7/command"))
    assert world.broker.publish("/printers/7/command", {"command": "home"}, world.now, "m1") == 1
    answer = world.answer(poll)
    assert answer is not None
    assert answer[1:] == [{"channel": "/printers/7/command", "data": {"command": "home"}, "id": "m1"}]
    assert answer[0]["channel"] == "/meta/connect"


def test_an_event_is_delivered_once_even_when_two_subscriptions_match(world: World) -> None:
    client = world.client("/a/*", "/a/**", "/a/b")
    world.broker.publish("/a/b", 1, world.now)
    assert world.fetched(client) == [1]
    assert world.fetched(client) == []


def test_events_wait_in_order_between_two_connects(world: World) -> None:
    client = world.client("/a/**")
    for number in range(5):
        world.broker.publish("/a/b/c", number, world.now)
    assert world.fetched(client) == [0, 1, 2, 3, 4]


def test_the_queue_is_bounded_and_the_oldest_gives_way() -> None:
    world = World(max_queue=3)
    client = world.client("/a")
    for number in range(5):
        world.broker.publish("/a", number, world.now)
    assert world.fetched(client) == [2, 3, 4]
    assert world.broker.dropped == 2


def test_a_newer_connect_supersedes_the_older_which_is_answered_without_events(world: World) -> None:
    client = world.client("/a")
    first = world.connect(client, id="1")
    second = world.connect(client, id="2")
    world.broker.publish("/a", "x", world.now)
    superseded, answered = world.answer(first), world.answer(second)
    assert superseded is not None
    assert [message["id"] for message in superseded] == ["1"]
    assert answered is not None
    assert [message.get("data") for message in answered] == [None, "x"]


def test_of_two_connects_in_one_batch_only_the_last_waits(world: World) -> None:
    one, other = world.client(), world.client()
    batch = [
        {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling", "id": str(number)}
        for number, client in enumerate([one, other, other])
    ]
    exchange = world.broker.receive(batch, world.now)
    assert [reply["id"] for reply in exchange.replies] == ["0", "1"]
    world.now += 2 * TIMEOUT + 1
    world.broker.receive([HANDSHAKE], world.now)
    assert world.broker.clients == 2  # `one` has expired; `other` still waits; the handshake made the second


def test_a_session_dies_after_twice_the_timeout_without_connect(world: World) -> None:
    client = world.client("/a")
    world.now += 2 * TIMEOUT
    assert world.broker.publish("/a", 1, world.now) == 1
    world.now += 0.1
    assert world.broker.publish("/a", 1, world.now) == 0
    reply = world.send(channel="/meta/subscribe", clientId=client, subscription="/a", id="s")
    assert reply == {
        "channel": "/meta/subscribe",
        "id": "s",
        "successful": False,
        "error": f"401:{client}:Unknown client",
        "advice": {"reconnect": "handshake", "interval": 0},
    }


def test_only_connects_keep_a_session(world: World) -> None:
    client = world.client()
    world.now += 1.5 * TIMEOUT
    assert world.send(channel="/chat", clientId=client, data=1)["successful"] is True
    world.now += TIMEOUT
    assert world.send(channel="/chat", clientId=client, data=1)["successful"] is False


def test_a_held_connect_keeps_its_session_and_its_end_starts_the_time_anew(world: World) -> None:
    client = world.client()
    poll = world.connect(client)
    world.now += 3 * TIMEOUT
    assert world.send(channel="/chat", clientId=client, data=1)["successful"] is True
    assert world.answer(poll) is not None
    world.now += 2 * TIMEOUT
    assert world.send(channel="/chat", clientId=client, data=1)["successful"] is True


def test_what_was_queued_for_an_abandoned_poll_comes_with_the_next_connect(world: World) -> None:
    client = world.client("/a")
    poll = world.connect(client)
    world.broker.publish("/a", "x", world.now)
    world.broker.abandon(poll, world.now)
    assert world.fetched(client) == ["x"]


def test_nothing_a_publisher_adds_reaches_a_subscriber(world: World) -> None:
    client = world.client("/chat")
    reply = world.send(
        channel="/chat",
        clientId=world.client(),
        id="p1",
        data={"n": 1},
        ext={"authentication_token": "seven"},
        advice={"reconnect": "none"},
        successful=False,
        error="x",
    )
    assert reply == {"channel": "/chat", "id": "p1", "successful": True}
    answer = world.answer(world.connect(client))
    assert answer is not None
    assert answer[1:] == [{"channel": "/chat", "data": {"n": 1}, "id": "p1"}]


def test_an_event_without_a_usable_id_gets_one(world: World) -> None:
    client = world.client("/chat")
    world.send(channel="/chat", clientId=client, id=5, data=1)
    answer = world.answer(world.connect(client))
    assert answer is not None
    assert isinstance(answer[1]["id"], str)
    assert answer[1]["id"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"channel": "/printers/7/command", "data": 1}, "403:/printers/7/command"),
        ({"channel": "/meta/nothing", "data": 1}, "403:/meta/nothing"),
        ({"channel": "/a/*", "data": 1}, "405:/a/*"),
        ({"channel": "/a.b", "data": 1}, "405:/a.b"),
        ({"channel": "/a"}, "402:data"),
        ({"data": 1}, "402:channel"),
        ({"channel": 5, "data": 1}, "402:channel"),
        ({"channel": "/meta/subscribe"}, "402:subscription"),
        ({"channel": "/meta/subscribe", "subscription": 5}, "402:subscription"),
        ({"channel": "/meta/subscribe", "subscription": ["/a", "/b."]}, "405:/b."),
        ({"channel": "/meta/subscribe", "subscription": "/meta/*"}, "403:/meta/*"),
        ({"channel": "/meta/subscribe", "subscription": "/printers/7/command"}, "403:/printers/7/command"),
        ({"channel": "/meta/subscribe", "subscription": "/printers/7/command", "ext": "seven"}, "403:/printers"),
        ({"channel": "/meta/subscribe", "subscription": "/**"}, "403:/**"),
        ({"channel": "/meta/unsubscribe"}, "402:subscription"),
        ({"channel": "/meta/connect"}, "402:connectionType"),
        ({"channel": "/meta/connect", "connectionType": "websocket"}, "301:"),
    ],
)
def test_a_refusal_says_what_was_wrong(world: World, message: Message, code: str) -> None:
    listener = world.client("/printers/7/command", "/a")
    reply = world.send(**({"clientId": world.client(), "id": "x"} | message))
    assert reply["successful"] is False
    assert reply["id"] == "x"
    assert str(reply["error"]).startswith(code)
    assert "ext" not in reply
    assert world.fetched(listener) == []


@pytest.mark.parametrize("client_id", [None, "", 5, ["x"]])
def test_a_message_without_a_client_id_is_refused(world: World, client_id: object) -> None:
    assert str(world.send(channel="/chat", clientId=client_id, data=1)["error"]).startswith("402:clientId")


def test_of_a_list_with_one_forbidden_subscription_none_is_made(world: World) -> None:
    client = world.client()
    world.send(channel="/meta/subscribe", clientId=client, subscription=["/a", "/printers/7/command"])
    assert world.broker.publish("/a", 1, world.now) == 0


def test_after_unsubscribing_nothing_more_comes(world: World) -> None:
    client = world.client("/a", "/b")
    assert world.send(channel="/meta/unsubscribe", clientId=client, subscription="/a")["successful"] is True
    world.broker.publish("/a", 1, world.now)
    world.broker.publish("/b", 2, world.now)
    assert world.fetched(client) == [2]


def test_a_disconnect_ends_the_session_and_answers_its_poll(world: World) -> None:
    client = world.client()
    poll = world.connect(client)
    assert world.send(channel="/meta/disconnect", clientId=client)["successful"] is True
    answer = world.answer(poll)
    assert answer is not None
    assert answer[0]["advice"] == {"reconnect": "none"}
    assert str(world.send(channel="/chat", clientId=client, data=1)["error"]).startswith("401:")


def test_closing_answers_every_held_poll(world: World) -> None:
    polls = [world.connect(world.client()) for _ in range(3)]
    assert [world.answer(poll) for poll in polls] == [None] * 3
    world.broker.close()
    assert all(world.answer(poll) for poll in polls)


def test_a_service_channel_is_taken_and_forwarded_to_nobody(world: World) -> None:
    client = world.client("/chat", "/*")
    assert world.send(channel="/service/log", clientId=client, data=1)["successful"] is True
    assert world.fetched(client) == []

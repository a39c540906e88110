"""Turns of a session that no vector takes: refusals in a row, ends on a broken connection, what the owner hears."""

from __future__ import annotations

from typing import Any

from agent.faye.bayeux_protocol import MAX_RETRIES
from agent.faye.events import StateChanged
from tests.unit.faye.vector_runner import Player

HANDSHAKE = "/meta/handshake"
CONNECT = "/meta/connect"
SUBSCRIBE = "/meta/subscribe"
RETRY = {"reconnect": "retry", "interval": 0, "timeout": 60000}


def answer(channel: str, **fields: Any) -> dict[str, Any]:
    return {"channel": channel, "id": f"${channel}", "successful": True, "advice": RETRY} | fields


def shaken(transport: str = "long-polling") -> Player:
    """A client id was given; the first connect is out."""
    player = Player({"transport": transport})
    player.play("start")
    types = ["long-polling", "websocket"]
    player.play(
        {"reply": [answer(HANDSHAKE, clientId="c1", supportedConnectionTypes=types)], "to": HANDSHAKE},
    )
    return player


def connected(transport: str = "long-polling") -> Player:
    """Connected and subscribed; a connect is held."""
    player = shaken(transport)
    player.play({"reply": [answer(SUBSCRIBE, subscription="/a"), answer(CONNECT)]})
    player.checked = len(player.sent)
    player.events.clear()
    return player


def channels(player: Player) -> list[list[str]]:
    """The channels of the requests since the last look."""
    new = [list(request.channels) for _, request in player.sent[player.checked :]]
    player.checked = len(player.sent)
    return new


def test_refused_connects_in_a_row_lead_to_a_handshake_although_the_server_advises_to_retry() -> None:
    player = connected()
    for _ in range(MAX_RETRIES):
        player.play({"reply": [answer(CONNECT, successful=False, error="500::no")]})
        player.play({"wait": 120})
        assert [HANDSHAKE] not in channels(player)
    player.play({"reply": [answer(CONNECT, successful=False, error="500::no")]})
    player.play({"wait": 120})
    assert [HANDSHAKE] in channels(player)


def test_a_connect_that_succeeds_in_between_forgets_the_refused_ones() -> None:
    player = connected()
    for _ in range(3 * MAX_RETRIES):
        player.play({"reply": [answer(CONNECT, successful=False, error="500::no")]})
        player.play({"wait": 61})
        player.play({"reply": [answer(SUBSCRIBE, subscription="/a"), answer(CONNECT)]})
        assert [HANDSHAKE] not in channels(player)


def test_a_websocket_that_is_lost_after_the_goodbye_is_the_end() -> None:
    player = connected("websocket")
    player.play("stop")
    player.play({"fail": "gone"})
    player.play({"closed": True})


def test_an_incomplete_answer_to_a_subscribe_after_the_goodbye_changes_nothing() -> None:
    player = connected()
    player.play("resubscribe")
    assert channels(player) == [[SUBSCRIBE]]
    player.play("stop")
    assert channels(player) == [["/meta/disconnect"]]
    player.play({"reply": [], "to": SUBSCRIBE})
    player.play({"state": "closing"})
    player.play({"wait": 2})
    player.play({"closed": True})
    assert channels(player) == []


def test_refused_handshakes_are_not_the_websockets_fault() -> None:
    player = Player({"transport": "websocket"})
    player.play("start")
    for _ in range(6):
        player.aborted = False
        player.play({"reply": [answer(HANDSHAKE, successful=False, error="500::no")], "to": HANDSHAKE})
        assert not player.aborted, "an answer came: the connection is well"
        due = player.protocol.due()
        assert due is not None
        player.play({"wait": due - player.now})
    assert player.switched == ""


def test_the_owner_hears_of_each_state() -> None:
    player = shaken()
    player.play({"reply": [answer(SUBSCRIBE, subscription="/a"), answer(CONNECT)]})
    player.play("stop")
    player.play({"reply": [answer("/meta/disconnect")], "to": "/meta/disconnect"})
    moves = [(str(event.before), str(event.after)) for event in player.events if isinstance(event, StateChanged)]
    assert moves == [
        ("unconnected", "handshaking"),
        ("handshaking", "connecting"),
        ("connecting", "connected"),
        ("connected", "closing"),
        ("closing", "closed"),
    ]

"""Faye's own client (npm `faye`) against the local cloud's broker."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.faye_support import NodeClient
from tests.rigs.cloud_rig import RunningCloud, RunningPrinter

POLL = 0.4
"""Seconds that the broker holds a connect: a session dies after two of these."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with RunningCloud(tmp_path_factory.mktemp("cloud"), poll_timeout=POLL) as running:
        yield running


@pytest.fixture(scope="module")
def printer(cloud: RunningCloud) -> RunningPrinter:
    return cloud.printer()


@pytest.fixture
def node(cloud: RunningCloud) -> Iterator[NodeClient]:
    with NodeClient(f"{cloud.url}/faye") as client:
        yield client


def test_a_client_with_the_printers_token_hears_its_commands(
    cloud: RunningCloud, printer: RunningPrinter, node: NodeClient
) -> None:
    """Several polls later too, without a second handshake; and the message does not tell the token."""
    channel = f"/printers/{printer.printer_id}/command"
    node.subscribe(channel, printer.token)
    node.wait_for("subscribed", channel=channel)
    tasks = [cloud.member.command(printer.printer_id, "home")]
    node.wait_for("message")
    with pytest.raises(TimeoutError):
        node.wait_for("down", within=4 * POLL)
    tasks += [cloud.member.command(printer.printer_id, "park"), cloud.member.command(printer.printer_id, "calibrate")]
    node.wait_for("message", count=3)
    messages = [event["message"] for event in node.events("message")]
    assert [(m["data"]["command"], m["data"]["task_id"]) for m in messages] == list(
        zip(("home", "park", "calibrate"), tasks, strict=True)
    )
    assert {key for m in messages for key in m} == {"channel", "data", "id"}
    assert printer.token not in json.dumps(messages)
    assert len(node.events("handshake")) == 1


def test_a_client_without_the_token_hears_nothing_of_a_printer(
    cloud: RunningCloud, printer: RunningPrinter, node: NodeClient
) -> None:
    """No token, a wrong one, another printer's one, and every wildcard that would cover the channel."""
    other = cloud.printer()
    commands = f"/printers/{printer.printer_id}/command"
    tries = {
        commands: "",
        f"/printers/{printer.printer_id}/users": "x" * 43,
        f"/printers/{printer.printer_id}/*": other.token,
        "/printers/*": printer.token,
        "/printers/**": printer.token,
        "/**": printer.token,
    }
    for channel, token in tries.items():
        node.subscribe(channel, token)
        refused = node.wait_for("refused", what=channel)
        assert refused["error"].startswith("403"), refused
        assert not token or token not in refused["error"]
    node.subscribe("/open")  # and the refusals cost the session nothing
    node.wait_for("subscribed", channel="/open")
    cloud.member.command(printer.printer_id, "home")
    node.publish("/open", "end")
    node.wait_for("message")
    assert [event["message"]["channel"] for event in node.events("message")] == ["/open"]


def test_a_client_may_not_command_a_printer(cloud: RunningCloud, printer: RunningPrinter, node: NodeClient) -> None:
    """Not even with its token: who could publish there would move the printer."""
    commands = f"/printers/{printer.printer_id}/command"
    node.subscribe(commands, printer.token)
    node.wait_for("subscribed", channel=commands)
    for channel in (commands, f"/printers/{printer.printer_id}/users", "/printers/all"):
        ext: dict[str, object] = {"ext": {"authentication_token": printer.token}}
        node.publish(channel, {"command": "home", "task_id": "t"}, ext)
        assert node.wait_for("refused", what=channel)["error"].startswith("403")
    task_id = cloud.member.command(printer.printer_id, "park")
    node.wait_for("message")
    assert [event["message"]["data"]["task_id"] for event in node.events("message")] == [task_id]


def test_what_a_publisher_writes_beside_the_data_reaches_nobody(
    cloud: RunningCloud, printer: RunningPrinter, node: NodeClient
) -> None:
    """`advice` could stop every subscriber, and a token in `ext` would be everybody's."""
    node.subscribe("/talk/*")
    node.wait_for("subscribed", channel="/talk/*")
    raw: dict[str, object] = {
        "advice": {"reconnect": "none", "interval": 10**9},
        "ext": {"authentication_token": printer.token},
        "successful": False,
        "error": "401:x:Unknown client",
        "subscription": "/talk/*",
        "timestamp": "now",
        "more": 1,
    }
    with NodeClient(f"{cloud.url}/faye") as other:
        for n in range(2):
            other.publish("/talk/a", {"n": n, "text": "ü"}, raw)
            other.wait_for("published", count=n + 1)
        node.wait_for("message", count=2)
    messages = [event["message"] for event in node.events("message")]
    assert [m["data"] for m in messages] == [{"n": n, "text": "ü"} for n in range(2)]
    assert {key for m in messages for key in m} == {"channel", "data", "id"}
    assert len(node.events("handshake")) == 1


def test_a_client_that_was_silent_for_too_long_is_forgotten_and_comes_back(
    cloud: RunningCloud, printer: RunningPrinter, node: NodeClient
) -> None:
    """Its next connect is told to shake hands; it subscribes again, with the token, and hears again."""
    channel = f"/printers/{printer.printer_id}/command"
    node.subscribe(channel, printer.token)
    node.wait_for("subscribed", channel=channel)
    node.pause()
    try:
        with pytest.raises(TimeoutError):
            node.wait_for("handshake", count=2, within=4 * POLL)
        cloud.member.command(printer.printer_id, "home")  # nobody is there to hear it
    finally:
        node.resume()
    node.wait_for("handshake", count=2)
    node.wait_for("subscribed", channel=channel, count=2)
    task_id = cloud.member.command(printer.printer_id, "park")
    node.wait_for("message")
    (before, after) = [event["message"]["clientId"] for event in node.events("handshake")]
    assert before != after
    assert [event["message"]["data"]["task_id"] for event in node.events("message")] == [task_id]


def test_text_that_utf8_cannot_say_goes_through(cloud: RunningCloud, node: NodeClient) -> None:
    """A refused batch would be sent again for ever, and nothing after it would arrive."""
    node.subscribe("/open")
    node.wait_for("subscribed", channel="/open")
    for data in ("\ud800", "after"):
        node.publish("/open", data)
    node.wait_for("message", count=2)
    assert [event["message"]["data"] for event in node.events("message")] == ["\ud800", "after"]

"""The broker over real sockets: tokens, bodies, held polls, hang-ups, and a prompt stop."""

from __future__ import annotations

import queue
import socket
from pathlib import Path

import pytest
import requests

from agent.sandbox.broker import CROWDED_INTERVAL_MS
from agent.sandbox.serve import MAX_HELD
from tests.rigs.cloud_rig import LIMIT_S, HeldPoll, Replies, RunningCloud, RunningPrinter


def test_a_subscription_needs_the_printers_own_token(cloud: RunningCloud, printer: RunningPrinter) -> None:
    client_id = printer.listen()
    other = cloud.printer()
    for name, token in (
        (f"/printers/{other.printer_id}/command", printer.token),
        (f"/printers/{printer.printer_id}/users", "x" * 43),
        ("/printers/**", printer.token),
    ):
        message = {"channel": "/meta/subscribe", "clientId": client_id, "subscription": name, "id": "s"}
        (reply,) = cloud.faye(message | {"ext": {"authentication_token": token}})
        assert reply["successful"] is False
        assert reply["error"].startswith(f"403:{name}:")


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ("[5]", "application/json", 400),
        ('[{"channel": "/a", "n": NaN}]', "application/json", 400),
        ('[{"channel": "/\\ud800"}]', "application/json", 200),
        ('[{"channel": "/a"}]', "text/plain", 400),
        ("nothing=1", "application/x-www-form-urlencoded", 400),
        ("message=%5B%7B%22channel%22%3A%22%2Fa%22%7D%5D", "application/x-www-form-urlencoded", 200),
        ('{"channel": "/a"}', "application/json; charset=utf-8", 200),
    ],
)
def test_the_faye_endpoint_takes_json_and_forms_alone(cloud: RunningCloud, data: str, kind: str, status: int) -> None:
    answer = requests.post(f"{cloud.url}/faye", data=data, headers={"Content-Type": kind}, timeout=LIMIT_S)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()[0]["error"].startswith("402:clientId")
    else:
        assert answer.json()["error"]["message"]


def test_a_command_for_a_client_that_hung_up_comes_with_its_next_connect(
    cloud: RunningCloud, printer: RunningPrinter
) -> None:
    client_id = printer.listen()
    body = f'[{{"channel":"/meta/connect","clientId":"{client_id}","connectionType":"long-polling"}}]'
    host, port = cloud.url.removeprefix("http://").split(":")
    request = (
        f"POST /faye HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), LIMIT_S) as connection:
        connection.sendall((request + body).encode())
        cloud.member.printers()  # by its answer, the server has read the connect
    cloud.member.printers()  # and by this one's, the hang-up
    task_id = cloud.member.command(printer.printer_id, "home")
    reply, event = HeldPoll(cloud, client_id).replies()
    assert reply["successful"] is True
    assert event["data"]["task_id"] == task_id


def test_the_rest_api_answers_while_more_polls_than_may_be_held_are_open(tmp_path: Path) -> None:
    replies: Replies = queue.Queue()
    with RunningCloud(tmp_path) as cloud:
        printer = cloud.printer()
        for _ in range(MAX_HELD + 10):
            HeldPoll(cloud, printer.listen(), replies)
        not_held = [replies.get(timeout=LIMIT_S)[0] for _ in range(10)]
        assert {reply["advice"]["interval"] for reply in not_held} == {CROWDED_INTERVAL_MS}
        assert cloud.member.printers()["count"] == 1
        assert replies.empty()
        assert cloud.stop() < 1.0
        assert all(replies.get(timeout=LIMIT_S)[0]["successful"] for _ in range(MAX_HELD))


def test_it_stops_within_a_second_while_polls_are_held_and_answers_them(tmp_path: Path) -> None:
    with RunningCloud(tmp_path) as cloud:
        poll = HeldPoll(cloud, cloud.printer().listen())
        cloud.member.printers()  # by its answer, the server has read the connect
        took = cloud.stop()
        assert took < 1.0
        assert poll.replies()[0]["successful"] is True
        assert cloud.exit_code == 0


@pytest.mark.parametrize("path", ["/faye/", "/faye/handshake"])
def test_a_client_may_add_the_kind_of_message_to_the_path(cloud: RunningCloud, path: str) -> None:
    message = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
    answer = requests.post(cloud.url + path, json=message, timeout=LIMIT_S)
    assert answer.json()[0]["successful"] is True

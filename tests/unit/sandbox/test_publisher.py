"""Publishing on an external Faye server: here a broker of our own behind a real socket, with a clock of the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from bottle import Bottle

from agent.errors import CloudError
from agent.sandbox.bayeux import Message
from agent.sandbox.broker import Broker
from agent.sandbox.faye_http import FayeEndpoint
from agent.sandbox.publisher import ExternalPublisher
from agent.sandbox.web import endpoint
from tests.rigs.cloud_rig import RunningCloud

CHANNEL = "/printers/1/command"


class Open:
    """Everybody may do everything, except publish on `/closed`."""

    def may_subscribe(self, pattern: str, ext: Mapping[str, object]) -> bool:
        return True

    def may_publish(self, channel: str) -> bool:
        return channel != "/closed"


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """No line for each request."""


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Outside:
    """The external server. `now` is its clock; `heard` what a subscriber of every channel got since it last asked."""

    def __init__(self, server: WSGIServer) -> None:
        ids = iter(range(1, 1000))
        self.now = 0.0
        self._faye = FayeEndpoint(Broker(Open(), lambda: f"id{next(ids)}"), lambda: self.now, max_held=5)
        app = Bottle()
        app.route("/faye", "POST", endpoint(self._faye.handle))
        app.route("/other", "POST", lambda: "[]")
        server.set_app(app)
        self.url = f"http://127.0.0.1:{server.server_port}/faye"
        types = {"version": "1.0", "supportedConnectionTypes": ["long-polling"]}
        self._listener = self._ask({"channel": "/meta/handshake", **types})[0]["clientId"]
        self._ask({"channel": "/meta/subscribe", "clientId": self._listener, "subscription": "/**"})

    def heard(self) -> list[object]:
        connect = {"connectionType": "long-polling", "advice": {"timeout": 0}}
        replies = self._ask({"channel": "/meta/connect", "clientId": self._listener, **connect})
        return [reply["data"] for reply in replies[1:]]

    def let_sessions_die(self) -> None:
        """All but the listener's, which connects in between."""
        for _ in range(3):
            self.now += 24.0
            assert self.heard() == []

    def _ask(self, message: Message) -> list[Message]:
        return self._faye.exchange([message], lambda: False)


@pytest.fixture
def outside() -> Iterator[Outside]:
    with make_server("127.0.0.1", 0, Bottle(), ThreadingServer, QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="external-faye")
        thread.start()
        yield Outside(server)
        server.shutdown()
        thread.join(5)


@pytest.fixture
def publisher(outside: Outside) -> Iterator[ExternalPublisher]:
    made = ExternalPublisher(outside.url)
    yield made
    made.close()


def test_what_is_published_is_heard_outside(outside: Outside, publisher: ExternalPublisher) -> None:
    publisher.publish(CHANNEL, {"n": 1})
    publisher.publish(CHANNEL, {"n": 2})
    assert outside.heard() == [{"n": 1}, {"n": 2}]


def test_a_session_that_died_is_replaced_and_the_message_is_published_once(
    outside: Outside, publisher: ExternalPublisher
) -> None:
    publisher.publish(CHANNEL, {"n": 1})
    assert outside.heard() == [{"n": 1}]
    outside.let_sessions_die()
    publisher.publish(CHANNEL, {"n": 2})
    assert outside.heard() == [{"n": 2}]


def test_a_refusal_is_an_error_with_the_servers_reason(outside: Outside, publisher: ExternalPublisher) -> None:
    with pytest.raises(CloudError, match="403:/closed:Forbidden channel"):
        publisher.publish("/closed", {})


@pytest.mark.parametrize("path", ["/nowhere", "/other"])
def test_an_answer_that_is_not_bayeux_is_an_error(outside: Outside, path: str) -> None:
    publisher = ExternalPublisher(outside.url.replace("/faye", path))
    with pytest.raises(CloudError, match="gave no"):
        publisher.publish(CHANNEL, {})
    publisher.close()


def test_a_sandbox_with_an_external_server_publishes_its_commands_there(outside: Outside, tmp_path: Path) -> None:
    with RunningCloud(tmp_path, publish_to=outside.url) as cloud:
        printer = cloud.printer()
        task_id = cloud.member.command(printer.printer_id, "home")
        registration, command = outside.heard()
        assert registration["registration"] == "success"  # type: ignore[index]
        assert command == {"command": "home", "task_id": task_id}


def test_without_the_external_server_a_command_fails_and_a_job_waits(tmp_path: Path) -> None:
    with RunningCloud(tmp_path, publish_to="http://127.0.0.1:1/faye") as cloud:
        printer = cloud.printer()
        with pytest.raises(CloudError, match="could not be published"):
            cloud.member.command(printer.printer_id, "home")
        job = cloud.member.submit_job(printer.printer_id, "http://127.0.0.1:1/cube.gcode")
        assert [each["job_id"] for each in printer.waiting_jobs()] == [job["job_id"]]

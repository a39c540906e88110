"""The local socket's server: clients that misbehave, a stop, and what is in the way when it begins."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.errors import UnavailableError
from agent.local.local_requests import CommandRequest, HaltRequest, OutboxRequest, StatusRequest
from agent.local.socket_client import AnsweredError, ask
from agent.local.socket_server import AT_ONCE, LINE_TIME, WAITING_AT_ONCE, LocalServer
from agent.service.health import Pulse
from tests.rigs.local_rig import PATIENCE, SocketRig


def test_a_defect_in_one_request_is_logged_and_the_others_go_on(rig: SocketRig) -> None:
    with capture_logs() as logs:
        rig.driver.telemetry = None  # type: ignore[method-assign, assignment]
        with pytest.raises(AnsweredError, match="the agent closed the connection"):
            ask(rig.path, StatusRequest())
        assert ask(rig.path, OutboxRequest())["ok"]
        assert [line["event"] for line in logs] == ["local request crashed"]


def test_a_client_that_goes_away_harms_nobody(rig: SocketRig) -> None:
    for sent in (b"", b'{"op": "status"}\n', b'{"op": "print", "size": 1000000}\nG28'):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(rig.path))
        client.sendall(sent)
        client.close()
    assert ask(rig.path, StatusRequest())["ok"]


def test_a_stop_does_not_wait_for_a_silent_client(rig: SocketRig) -> None:
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(6)]
    for client in clients:
        client.connect(str(rig.path))
    began = time.monotonic()
    rig.end()
    assert time.monotonic() - began < 5
    for client in clients:
        client.close()
    assert not rig.path.exists()
    with pytest.raises(UnavailableError, match="no agent answers"):
        ask(rig.path, StatusRequest())


def test_a_second_agent_is_refused_and_the_first_goes_on(rig: SocketRig) -> None:
    with pytest.raises(UnavailableError, match="another agent is running"):
        LocalServer(rig.path, rig.api, Pulse("local", rig.clock))
    assert ask(rig.path, StatusRequest())["ok"]


def test_an_agent_that_is_too_busy_to_answer_is_still_one(rig: SocketRig, tmp_path: Path) -> None:
    path = tmp_path / "busy.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
            with pytest.raises(UnavailableError, match="another agent is running"):
                LocalServer(path, rig.api, Pulse("local", rig.clock))
    assert path.exists()


def test_what_a_killed_agent_left_is_replaced(rig: SocketRig, tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    server = LocalServer(path, rig.api, Pulse("local", rig.clock))
    assert path.is_socket()
    ended = threading.Event()
    ended.set()
    server.run(ended)
    assert not path.exists()


def test_a_file_in_the_way_is_left_alone(rig: SocketRig, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(UnavailableError, match="no socket"):
        LocalServer(path, rig.api, Pulse("local", rig.clock))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 120, "f/agent.sock"])
def test_a_place_where_no_socket_can_be_is_named(rig: SocketRig, tmp_path: Path, name: str) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(UnavailableError, match="cannot listen"):
        LocalServer(tmp_path / name, rig.api, Pulse("local", rig.clock))


def test_running_out_of_descriptors_does_not_end_the_server(rig: SocketRig) -> None:
    """A real EMFILE: the process may open no more descriptors while a client connects."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, capture_logs() as logs:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            client.connect(str(rig.path))
            deadline = time.monotonic() + PATIENCE
            while not logs and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [line["event"] for line in logs] == ["local connection not accepted"]
        assert ask(rig.path, StatusRequest())["ok"]


def connect(rig: SocketRig) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    client.connect(str(rig.path))
    return client


@pytest.mark.parametrize("sent", [b"", b'{"op": ', b'{"op": "print", "size": 1000000}\nG28'])
def test_silent_clients_do_not_make_a_halt_wait(rig: SocketRig, sent: bytes) -> None:
    """Seven silent connections made it wait for half a minute, and give up."""
    clients = [connect(rig) for _ in range(7)]
    for client in clients:
        client.sendall(sent)
    began = time.monotonic()
    assert ask(rig.path, HaltRequest())["ok"]
    assert ask(rig.path, CommandRequest("cancel"))["ok"]
    assert time.monotonic() - began < 1.0
    assert rig.halts == 1
    for client in clients:
        client.close()


def test_a_pause_has_workers_of_its_own(rig: SocketRig) -> None:
    """Each of the others waits for the database, which somebody holds."""
    busy = [connect(rig) for _ in range(3 * AT_ONCE)]
    with rig.store.database.locked():
        for client in busy:
            client.sendall(b'{"op": "outbox"}\n')
        assert ask(rig.path, HaltRequest())["ok"]
    assert rig.halts == 1
    for client in busy:
        assert client.recv(100).startswith(b'{"ok":true')
        client.close()


def test_the_oldest_silent_client_goes_when_one_more_comes(rig: SocketRig) -> None:
    clients = [connect(rig) for _ in range(WAITING_AT_ONCE + 1)]
    began = time.monotonic()
    assert clients[0].recv(1) == b""
    assert time.monotonic() - began < LINE_TIME / 2
    clients[1].sendall(b'{"op": "status"}\n')
    assert clients[1].recv(100).startswith(b'{"ok":true')
    for client in clients:
        client.close()


def test_one_file_is_received_at_a_time(rig: SocketRig) -> None:
    with connect(rig) as first:
        first.sendall(b'{"op": "print", "size": 1000}\nG28')
        with connect(rig) as second:
            deadline = time.monotonic() + PATIENCE
            while not list(rig.jobs.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.01)
            second.sendall(b'{"op": "print", "size": 4}\nG28\n')
            assert b"another file is being received" in second.recv(1000)

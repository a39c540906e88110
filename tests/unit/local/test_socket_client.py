"""A request at the printer gets through although others crowd the socket."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.local.local_requests import HaltRequest
from agent.local.socket_client import ask


def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """connect(2) gives EAGAIN then, which was told as «no agent answers»."""
    path = tmp_path / "agent.sock"
    answers: list[dict[str, object]] = []
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(path))
        server.listen(0)
        crowd = stack.enter_context(socket.socket(socket.AF_UNIX))
        crowd.setblocking(False)
        crowd.connect(str(path))
        one_more = stack.enter_context(socket.socket(socket.AF_UNIX))
        one_more.setblocking(False)
        with pytest.raises(BlockingIOError):
            one_more.connect(str(path))
        client = threading.Thread(target=lambda: answers.append(ask(path, HaltRequest())), name="client")
        client.start()
        server.accept()[0].close()  # the crowd's
        server.settimeout(10.0)
        served, _ = server.accept()
        with served:
            assert b"halt" in served.recv(1000)
            served.sendall(b'{"ok": true}\n')
        client.join(10.0)
    assert answers == [{"ok": True}]

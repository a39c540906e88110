"""The local socket's rig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent.local import socket_server
from tests.rigs.local_rig import SocketRig


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SocketRig]:
    """The agent as a client of its socket sees it; the server looks for its end twenty times a second."""
    monkeypatch.setattr(socket_server, "POLL", 0.05)
    structlog.reset_defaults()
    made = SocketRig(tmp_path)
    yield made
    made.end()
    made.store.close()

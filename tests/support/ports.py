"""TCP ports for tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of the loopback that nobody has now, for where both sides must know it before either is up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])

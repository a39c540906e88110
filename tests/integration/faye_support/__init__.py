"""The real Faye server (npm `faye`) for tests: found, installed once, started and killed.

with RealFayeServer(timeout=2.0, token="…") as server:
    FayeClient(server.url, …)
    server.publish("/a", {"n": 1})
"""

from tests.integration.faye_support.node import ensure_faye, node_path
from tests.integration.faye_support.server import RealFayeServer

__all__ = ["RealFayeServer", "ensure_faye", "node_path"]

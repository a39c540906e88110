"""The real Faye (npm `faye`) for tests: found, installed once; its server and its client, started and killed.

with RealFayeServer(timeout=2.0, token="…") as server:
    FayeClient(server.url, …)
    server.publish("/a", {"n": 1})
"""

from tests.integration.faye_support.node import ensure_faye, node_path
from tests.integration.faye_support.node_client import NodeClient
from tests.integration.faye_support.server import RealFayeServer
from tests.integration.faye_support.tcp_proxy import TcpProxy

__all__ = ["NodeClient", "RealFayeServer", "TcpProxy", "ensure_faye", "node_path"]

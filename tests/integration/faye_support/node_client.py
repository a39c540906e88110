"""One process of Faye's own client, driven over its standard input."""

from __future__ import annotations

import signal

from tests.integration.faye_support.process import NodeProcess


class NodeClient:
    """npm `faye`'s client of the server at `url`. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> NodeClient:
        self._process = NodeProcess("faye-client", "client.js", [self._url])
        self.events = self._process.events
        self.wait_for = self._process.wait_for
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()

    def subscribe(self, channel: str, token: str = "") -> None:
        """Ask; "subscribed" or "refused" tells the answer."""
        self._process.tell({"do": "subscribe", "channel": channel, "token": token})

    def publish(self, channel: str, data: object, raw: dict[str, object] | None = None) -> None:
        """Ask; "published" or "refused" tells the answer. `raw` are fields beside `data`."""
        self._process.tell({"do": "publish", "channel": channel, "data": data, "raw": raw or {}})

    def pause(self) -> None:
        """SIGSTOP: the client falls silent, its sockets stay open."""
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.signal(signal.SIGCONT)

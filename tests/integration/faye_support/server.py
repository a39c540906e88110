"""One process of the real Faye server, driven over its standard input."""

from __future__ import annotations

import signal
from typing import Any

from tests.integration.faye_support.process import NodeProcess


class RealFayeServer:
    """npm `faye` on a loopback port. `timeout`: seconds that it holds a connect. `token`: what a subscribe's
    `ext.authentication_token` must be ("" takes any). `proxy`: where requests that are not under /faye go.
    `port` 0 takes a free one, which a later `start` takes again."""

    def __init__(self, *, timeout: float = 25.0, token: str = "", proxy: str = "", port: int = 0) -> None:
        self.port = port
        self._timeout = timeout
        self._token = token
        self.proxy = proxy
        self._process: NodeProcess | None = None
        self._replies = 0

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}/faye"

    def __enter__(self) -> RealFayeServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it listens. Raises TimeoutError after 20 s."""
        arguments = ["--port", str(self.port), "--timeout", str(self._timeout)]
        if self.proxy:
            arguments += ["--proxy", self.proxy]
        self._process = NodeProcess("faye-server", "server.js", arguments)
        self.port = int(self.wait_for("ready", within=20.0)["port"])
        if self._token:
            self.set_token(self._token)

    def stop(self) -> None:
        """End it in peace: its standard input closes."""
        self._end(kill=False)

    def kill(self) -> None:
        """kill -9."""
        self._end(kill=True)

    def pause(self) -> None:
        """SIGSTOP: its sockets stay open, and nobody answers."""
        self._running().signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def publish(self, channel: str, data: object, raw: dict[str, object] | None = None) -> None:
        """Publish, with fields of the publisher's own choice (`raw`) beside `data`."""
        self._do({"do": "publish", "channel": channel, "data": data, "raw": raw or {}})

    def publish_batch(self, channel: str, count: int) -> None:
        """Publish {"n": 0}, {"n": 1} …, at once."""
        self._do({"do": "batch", "channel": channel, "count": count})

    def stream(self, channel: str, count: int, per_second: float) -> None:
        """Publish {"n": 0, "at": t} …, `t` being the machine's monotonic clock; `per_second` 0 is all at once.

        Returns at once; "streamed" is told at the end."""
        self._do({"do": "stream", "channel": channel, "count": count, "per_second": per_second})

    def set_token(self, token: str) -> None:
        """From now on a subscribe must carry this token."""
        self._token = token
        self._do({"do": "token", "token": token})

    def destroy_clients(self) -> None:
        """Forget every client, as after too long a silence."""
        self._do({"do": "destroy"})

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the process has told under this name since its start."""
        return self._running().events(name)

    def wait_for(self, name: str, *, count: int = 1, within: float = 10.0, **fields: object) -> dict[str, Any]:
        """See `NodeProcess.wait_for`."""
        return self._running().wait_for(name, count=count, within=within, **fields)

    def _do(self, command: dict[str, object]) -> None:
        self._replies += 1
        self._running().tell({**command, "reply": self._replies})
        self.wait_for("done", reply=self._replies)

    def _running(self) -> NodeProcess:
        assert self._process is not None
        return self._process

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(kill=kill)

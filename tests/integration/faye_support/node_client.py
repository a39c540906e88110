"""One process of Faye's own client, driven over its standard input."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from typing import Any

from tests.integration.faye_support.node import HERE, ensure_faye


class NodeClient:
    """npm `faye`'s client of the server at `url`. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._news = threading.Condition()
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> NodeClient:
        command = [ensure_faye(), "client.js", self._url]
        self._process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, name="node-client-output", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)
        self._reader.join(5.0)
        self._process.stdout.close()

    def subscribe(self, channel: str, token: str = "") -> None:
        """Ask; "subscribed" or "refused" tells the answer."""
        self._do({"do": "subscribe", "channel": channel, "token": token})

    def publish(self, channel: str, data: object, raw: dict[str, object] | None = None) -> None:
        """Ask; "published" or "refused" tells the answer. `raw` are fields beside `data`."""
        self._do({"do": "publish", "channel": channel, "data": data, "raw": raw or {}})

    def pause(self) -> None:
        """SIGSTOP: the client falls silent, its sockets stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has told under this name."""
        with self._news:
            return [event for event in self._events if event["event"] == name]

    def wait_for(self, name: str, *, count: int = 1, within: float = 10.0, **fields: object) -> dict[str, Any]:
        """The `count`-th event of this name with these fields. Raises TimeoutError after `within` seconds."""
        until = time.monotonic() + within
        with self._news:
            while True:
                found = [e for e in self._events if e["event"] == name and fields.items() <= e.items()]
                if len(found) >= count:
                    return found[count - 1]
                left = until - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise TimeoutError(f"the client told no {name!r} {fields or ''}: {self._events[-5:]}")

    def _do(self, command: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._events.append(json.loads(line))
                self._news.notify_all()

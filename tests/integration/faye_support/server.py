"""One process of the real Faye server, driven over its standard input."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from typing import Any

from tests.integration.faye_support.node import HERE, ensure_faye


class RealFayeServer:
    """npm `faye` on a loopback port. `timeout`: seconds that it holds a connect. `token`: what a subscribe's
    `ext.authentication_token` must be ("" takes any). `proxy`: where requests that are not under /faye go.
    `port` 0 takes a free one, which a later `start` takes again."""

    def __init__(self, *, timeout: float = 25.0, token: str = "", proxy: str = "", port: int = 0) -> None:
        self.port = port
        self._timeout = timeout
        self._token = token
        self.proxy = proxy
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._news = threading.Condition()
        self._events: list[dict[str, Any]] = []
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
        command = [ensure_faye(), "server.js", "--port", str(self.port), "--timeout", str(self._timeout)]
        if self.proxy:
            command += ["--proxy", self.proxy]
        self._events.clear()
        self._process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(
            target=self._read, args=(self._process,), name="faye-server-output", daemon=True
        )
        self._reader.start()
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
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

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
                    raise TimeoutError(f"the server told no {name!r} {fields or ''}: {self._events[-5:]}")

    def _do(self, command: dict[str, object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._replies += 1
        self._process.stdin.write(json.dumps({**command, "reply": self._replies}) + "\n")
        self._process.stdin.flush()
        self.wait_for("done", reply=self._replies)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._news:
                self._events.append(json.loads(line))
                self._news.notify_all()

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.send_signal(signal.SIGCONT)  # it may be paused
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5.0)
        if self._reader is not None:
            self._reader.join(5.0)
        process.stdout.close()

"""A node process that is driven over its standard input and tells events, a line of JSON each."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.faye_support.node import HERE, ensure_faye


class NodeProcess:
    """`script` with `arguments`, from its start to `end`. `name` is what errors and the reading thread call it."""

    def __init__(self, name: str, script: str, arguments: Sequence[str]) -> None:
        self._name = name
        self._news = threading.Condition()
        self._events: list[dict[str, Any]] = []
        command = [ensure_faye(), script, *arguments]
        self._process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, name=f"{name}-output", daemon=True)
        self._reader.start()

    def tell(self, command: Mapping[str, object]) -> None:
        """One line to the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the process has told under this name."""
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
                    raise TimeoutError(f"the {self._name} told no {name!r} {fields or ''}: {self._events[-5:]}")

    def end(self, *, kill: bool = False) -> None:
        """In peace, by closing its standard input (it may be paused), or with kill -9."""
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGCONT)
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

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._events.append(json.loads(line))
                self._news.notify_all()

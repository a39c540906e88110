"""Delivery latency of published messages: our client and Faye's own, on the same server, in alternating rounds."""

from __future__ import annotations

import json
import queue
import statistics
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.faye_support import RealFayeServer, ensure_faye

HERE = Path(__file__).parent
PATIENCE = 10.0
"""Seconds for a listener to be there, and for the last message to arrive after the last one was published."""
WARM_UP = 50
"""Messages that are not counted."""


class Listener:
    """One listener's process. `who` is "ours", "node" or "bare"."""

    def __init__(self, who: str, url: str, transport: str, channel: str) -> None:
        command = [sys.executable, "-m", "benchmarks.faye_listener"]
        if who == "node":
            command = [ensure_faye(), str(HERE / "faye_client.js")]
        self._process = subprocess.Popen(
            [*command, url, "none" if who == "bare" else transport, channel],
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="listener-output", daemon=True)
        self._reader.start()
        self.rss = int(self._next("ready")["rss"])

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._process.stdout.close()

    def hear(self, server: RealFayeServer, channel: str, count: int, per_second: float) -> tuple[list[float], float]:
        """Publish so many; the latencies (seconds) of those that arrived, and the CPU seconds that they took."""
        self._do({"do": "expect", "count": count})
        self._next("expecting")
        told = len(server.events("streamed"))
        server.stream(channel, count, per_second)
        server.wait_for("streamed", count=told + 1, within=PATIENCE + count / (per_second or count))
        try:
            seen = self._next("seen")
        except queue.Empty:  # some are lost
            self._do({"do": "give"})
            seen = self._next("seen")
        return list(dict(seen["seen"]).values()), float(seen["cpu"])

    def _do(self, command: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _next(self, name: str) -> dict[str, Any]:
        while True:
            event = self._events.get(timeout=PATIENCE)
            if event["event"] == name:
                return event

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))


@dataclass
class Delivered:
    """Figures of one client on one transport."""

    latencies: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)  # seconds until the last of a burst was there
    lost: int = 0
    cpu: float = 0.0  # seconds, of the paced messages
    paced: int = 0

    def figures(self) -> dict[str, float]:
        """Milliseconds, and CPU seconds per 1,000 messages."""
        return {
            "median_ms": round(1000 * statistics.median(self.latencies), 3),
            "p99_ms": round(1000 * statistics.quantiles(self.latencies, n=100)[98], 3),
            "lost": self.lost,
            "cpu_s_per_1000": round(self.cpu * 1000 / self.paced, 3),
            "burst_last_ms": round(1000 * statistics.median(self.burst), 1),
        }


def measure(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """{"ours long-polling": figures, …}: `count` messages at 100/s, a burst of 1,000, each client alone, in turns."""
    found: dict[str, Delivered] = {}
    with RealFayeServer(timeout=25.0) as server:
        for turn in range(rounds):
            for transport in ("long-polling", "websocket"):
                for who in ("ours", "node"):
                    name = f"{who} {transport}"
                    one_turn(server, who, transport, f"/bench/{who}{turn}", count, found.setdefault(name, Delivered()))
    return {name: delivered.figures() for name, delivered in found.items()}


def one_turn(server: RealFayeServer, who: str, transport: str, channel: str, count: int, into: Delivered) -> None:
    """Measure one client alone."""
    with Listener(who, server.url, transport, channel) as listener:
        listener.hear(server, channel, WARM_UP, 100)
        latencies, cpu = listener.hear(server, channel, count, 100)
        burst, _ = listener.hear(server, channel, 1000, 0)
    into.latencies += latencies
    into.burst.append(max(burst))
    into.lost += count - len(latencies) + 1000 - len(burst)
    into.cpu += cpu
    into.paced += count


def memory() -> dict[str, float]:
    """Resident MB: bare Python that has made one request, and a subscribed client of ours."""
    found: dict[str, float] = {}
    with RealFayeServer(timeout=25.0) as server:
        for who in ("bare", "ours"):
            with Listener(who, server.url, "long-polling", "/bench/memory") as listener:
                found[who] = round(listener.rss / 2**20, 1)
    return found

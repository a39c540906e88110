"""Our Faye client as the bench's listener, in a process of its own so that its CPU time and memory can be told.

    python -m benchmarks.faye_listener URL TRANSPORT CHANNEL

Prints one JSON object a line. "ready" (rss, bytes) when it is subscribed; after {"do": "expect", "count": N} on
standard input "expecting", and "seen" (seen: [n, seconds from publish to handler] each; cpu, seconds) when N messages
have come or at {"do": "give"}. Ends with its standard input. TRANSPORT "none" makes one request, without a client: the
memory of bare Python and requests.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any


def say(what: dict[str, object]) -> None:
    """Print one event."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def rss() -> int:
    """Resident memory of this process, bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Seen:
    """Count messages and note their latencies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected = 0
        self._seen: list[tuple[int, float]] = []
        self._began = 0.0

    def take(self, message: Any) -> None:
        """Handle a message."""
        late = time.monotonic() - message.data["at"]
        with self._lock:
            self._seen.append((message.data["n"], late))
            if len(self._seen) == self._expected:
                self._give()

    def expect(self, count: int) -> None:
        """Start a new count, up to `count` messages."""
        with self._lock:
            self._seen, self._expected, self._began = [], count, time.process_time()

    def give(self) -> None:
        """Print what has arrived, unless it is printed already."""
        with self._lock:
            if self._expected:
                self._give()

    def _give(self) -> None:
        self._expected = 0
        say({"event": "seen", "seen": self._seen, "cpu": time.process_time() - self._began})


def listen(url: str, transport: Any, channel: str) -> None:
    """Run a subscribed client until standard input ends."""
    from agent.faye import Event, FayeClient, Subscribed, Subscription

    seen = Seen()

    def note(event: Event) -> None:
        if isinstance(event, Subscribed):
            say({"event": "ready", "rss": rss()})

    client = FayeClient(url, [Subscription(channel, seen.take)], transport=transport, on_event=note)
    stop = threading.Event()
    thread = threading.Thread(target=client.run, args=(stop,), name="faye")
    thread.start()
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "expect":
            seen.expect(command["count"])
            say({"event": "expecting"})
        else:
            seen.give()
    stop.set()
    thread.join(5.0)


def bare(url: str) -> None:
    """Make one request: the memory of bare Python and requests."""
    import requests

    with requests.Session() as session:
        session.post(url, json=[], timeout=5)
        say({"event": "ready", "rss": rss()})
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[2] == "none":
        bare(sys.argv[1])
    else:
        listen(*sys.argv[1:4])

"""Recovery time: how soon a client is subscribed again after a fault, with the default back-off and real randomness."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from agent.faye import FayeClient, Message, Subscription
from benchmarks.faye_delivery import Listener
from tests.integration.faye_support import RealFayeServer, TcpProxy

LONG = 60.0
"""Seconds until a client must be back: then the figure is not worth a name."""
APART = 5.2
"""Seconds between two faults of one kind: a server that forgets its clients more often than that meets the back-off."""
OURS: tuple[Literal["long-polling"], Literal["websocket"]] = ("long-polling", "websocket")

Figures = dict[str, float]


@contextmanager
def client(url: str, transport: Literal["long-polling", "websocket"], channel: str, heard: list[int]) -> Iterator[None]:
    """A client of ours on threads of this process; `heard` gets the `n` of each message."""

    def take(message: Message) -> None:
        data: Any = message.data
        heard.append(data["n"])

    stop = threading.Event()
    made = FayeClient(url, [Subscription(channel, take)], transport=transport)
    thread = threading.Thread(target=made.run, args=(stop,), name=f"bench-{transport}")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10.0)


def restarts(runs: int) -> dict[str, list[float]]:
    """Seconds from the moment that a killed server accepts connections again until it has the subscription."""
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(RealFayeServer(timeout=25.0))
        names = {f"/bench/{name}": f"ours {name}" for name in OURS} | {"/bench/node": "node long-polling"}
        for name in OURS:
            stack.enter_context(client(server.url, name, f"/bench/{name}", []))
        stack.enter_context(Listener("node", server.url, "long-polling", "/bench/node"))
        for channel in names:
            server.wait_for("subscribe", channel=channel)
        for _ in range(runs):
            time.sleep(1.0)  # all of them hold a connect
            server.kill()
            server.start()
            accepts = float(server.events("ready")[0]["at"])
            for channel, who in names.items():
                again = float(server.wait_for("subscribe", channel=channel, within=LONG)["at"])
                found.setdefault(who, []).append(again - accepts)
    return found


def forgotten(runs: int) -> dict[str, list[float]]:
    """Seconds from the moment that the server forgets every client until it has the subscription again."""
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(RealFayeServer(timeout=25.0))
        for name in OURS:
            stack.enter_context(client(server.url, name, f"/bench/{name}", []))
            server.wait_for("subscribe", channel=f"/bench/{name}")
        for run in range(runs):
            time.sleep(APART if run else 1.0)
            began = time.monotonic()
            server.destroy_clients()
            for name in OURS:
                event = server.wait_for("subscribe", channel=f"/bench/{name}", count=run + 2, within=LONG)
                found.setdefault(f"ours {name}", []).append(float(event["at"]) - began)
    return found


def half_open(timeout: float, every: float = 0.2) -> dict[str, Figures]:
    """The connections are swallowed while something is published `every` so many seconds: seconds until a message
    arrives again, and how many were lost. The session survives where 2 × `timeout` is longer than that."""
    heard: dict[str, list[int]] = {name: [] for name in OURS}
    with ExitStack() as stack:
        server = stack.enter_context(RealFayeServer(timeout=timeout))
        proxy = stack.enter_context(TcpProxy(("127.0.0.1", server.port)))
        for name in OURS:
            stack.enter_context(client(f"{proxy.url}/faye", name, "/bench/half", heard[name]))
        server.wait_for("subscribe", channel="/bench/half", count=2)
        time.sleep(0.5)
        back: dict[str, float] = {}
        before: dict[str, int] = {}
        swallowed, n = 0.0, 0
        until = time.monotonic() + timeout + 30.0
        while time.monotonic() < until and (len(back) < len(OURS) or n < 30):
            if n == 10:
                before = {name: len(heard[name]) for name in OURS}
                proxy.swallow("/faye")
                swallowed = time.monotonic()
            server.publish("/bench/half", {"n": n})
            n += 1
            time.sleep(every)
            for name in OURS:
                if n > 10 and name not in back and len(heard[name]) > before[name]:
                    back[name] = time.monotonic() - swallowed
        time.sleep(1.0)
    return {
        f"ours {name}": {"s": round(back.get(name, float("inf")), 1), "lost": n - len(set(heard[name]))}
        for name in OURS
    }


def refused(seconds: float) -> int:
    """Count the handshakes that reach a server which refuses every one."""
    count = 0

    class Refuser(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal count
            messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count += 1
            advice = {"reconnect": "handshake"}
            replies = [
                {"channel": m["channel"], "id": m["id"], "successful": False, "error": "403::no", "advice": advice}
                for m in messages
            ]
            body = json.dumps(replies).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuser)
    thread = threading.Thread(target=server.serve_forever, name="refuser")
    thread.start()
    try:
        with client(f"http://127.0.0.1:{server.server_port}/faye", "long-polling", "/bench/refused", []):
            time.sleep(seconds)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)
    return count


def summary(values: Sequence[float]) -> Figures:
    """Median and maximum, seconds."""
    return {"median_s": round(statistics.median(values), 2), "max_s": round(max(values), 2), "runs": len(values)}

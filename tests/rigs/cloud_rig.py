"""The local cloud in this process, and the two sides that talk to it.

Real: all of it, the HTTP and Faye server on the loopback, its database, the member's client, the time.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from pathlib import Path
from typing import Any

import requests

from agent.sandbox.member_client import SandboxMember
from agent.sandbox.serve import serve

TYPE_ID = "7FAF097F-DB2E-45DC-9395-A30210E789AA"
LIMIT_S = 10.0

Replies = queue.Queue[list[dict[str, Any]]]


class RunningCloud:
    """Started when entered, stopped when left. `events` are all events after `ready`, as they came."""

    def __init__(
        self,
        state: Path,
        *,
        publish_to: str = "",
        poll_timeout: float = 25.0,
        members: int = 1,
        rate_limit: tuple[int, float] | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "state": state,
            "publish_to": publish_to,
            "poll_timeout": poll_timeout,
            "members": members,
            "rate_limit": rate_limit,
        }
        self._stop = threading.Event()
        self._queue: queue.Queue[dict[str, object]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="sandbox-under-test", daemon=True)
        self.exit_code: int | None = None
        self.events: list[dict[str, object]] = []

    def __enter__(self) -> RunningCloud:
        self._thread.start()
        ready = self._queue.get(timeout=LIMIT_S)
        assert ready["event"] == "ready"
        self.url, self.member_token = str(ready["url"]), str(ready["member_token"])
        self.members: Any = ready["members"]
        self.api = f"{self.url}/v1/print"
        self.http = requests.Session()
        self.member = SandboxMember(self.url, self.member_token)
        return self

    def __exit__(self, *_: object) -> None:
        self.member.close()
        self.http.close()
        self.stop()

    def stop(self) -> float:
        """Stop it; how long that took, in seconds."""
        started = time.monotonic()
        self._stop.set()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return time.monotonic() - started

    def seen(self, kind: str) -> list[dict[str, object]]:
        """All events of a kind so far."""
        while not self._queue.empty():
            self.events.append(self._queue.get())
        return [event for event in self.events if event["event"] == kind]

    def printer(self, *, registered: bool = True) -> RunningPrinter:
        """A new printer."""
        body = {"firmware": "1.1.1.1", "type_id": TYPE_ID, "serial_number": "SN1"}
        answer = self.http.post(f"{self.api}/printers/registration_code", json=body, timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        printer = RunningPrinter(self, answer.json())
        if registered:
            assert self.member.register("my new printer", printer.code) == printer.printer_id
        return printer

    def faye(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Post one batch to the Faye endpoint, on a connection of its own; the replies."""
        answer = requests.post(f"{self.url}/faye", json=list(messages), timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def _run(self) -> None:
        self.exit_code = serve(listen="127.0.0.1:0", emit=self._queue.put, stop=self._stop, **self._options)


class RunningPrinter:
    """The printer's side."""

    def __init__(self, cloud: RunningCloud, identity: dict[str, Any]) -> None:
        self.cloud = cloud
        self.identity = identity
        self.printer_id = int(identity["printer_id"])
        self.code, self.token = str(identity["registration_code"]), str(identity["auth_token"])

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        """POST as this printer; a header `X-Printer-Auth-Token` of another wins."""
        headers = {
            "X-Printer-Auth-Token": self.token,
            **{name.replace("_", "-"): each for name, each in headers.items()},
        }
        return self.cloud.http.post(f"{self.cloud.api}/{path}", json=body, headers=headers, timeout=LIMIT_S)

    def report(self, task_id: str, body: object, **headers: str) -> requests.Response:
        """A report on a command."""
        return self.post(f"printers/command/{task_id}", body, **headers)

    def waiting_jobs(self) -> list[dict[str, Any]]:
        """GET printers/jobs."""
        headers = {"X-Printer-Auth-Token": self.token}
        answer = self.cloud.http.get(f"{self.cloud.api}/printers/jobs", headers=headers, timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["jobs"])

    def listen(self) -> str:
        """Subscribe to both channels; the clientId."""
        types = {"version": "1.0", "supportedConnectionTypes": ["long-polling"]}
        (shake,) = self.cloud.faye({"channel": "/meta/handshake", "id": "1", **types})
        client_id = str(shake["clientId"])
        ext = {"authentication_token": self.token}
        for kind in ("command", "users"):
            name = f"/printers/{self.printer_id}/{kind}"
            message = {"channel": "/meta/subscribe", "clientId": client_id, "subscription": name, "ext": ext, "id": "2"}
            (reply,) = self.cloud.faye(message)
            assert reply["successful"] is True, reply
        return client_id


class HeldPoll:
    """A connect on its own connection: sent when this is made, its answer awaited in a thread of its own.

    The answer goes to `replies_to`."""

    def __init__(self, cloud: RunningCloud, client_id: str, replies_to: Replies | None = None) -> None:
        self._replies = queue.Queue() if replies_to is None else replies_to
        message = {"channel": "/meta/connect", "clientId": client_id, "connectionType": "long-polling", "id": "c"}
        self._connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=LIMIT_S)
        self._connection.request("POST", "/faye", json.dumps([message]), {"Content-Type": "application/json"})
        threading.Thread(target=self._run, name="held-poll", daemon=True).start()

    def replies(self) -> list[dict[str, Any]]:
        """Its answer, waited for."""
        return self._replies.get(timeout=LIMIT_S)

    def _run(self) -> None:
        with self._connection.getresponse() as response:
            self._replies.put(list(json.load(response)))
        self._connection.close()

"""What the reporter's tests stand on: a real store, a real client, a real server, and a clock in our hands."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from agent.core.command import Command, Name
from agent.core.task import TaskEvent
from agent.service.config import CloudSection
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Identity, Store
from tests.support.clock import FakeClock
from tests.support.cloud_side import make_client, make_registrar, make_reporter
from tests.support.driver import SlotDriver
from tests.support.http import ScriptedServer

TOKEN = "T" * 43
STATUS = "/v1/print/printers/status"
COMMAND = "/v1/print/printers/command/"
LONG = 61.0  # seconds, longer than any wait of our own


class Rig:
    """A reporter that knows who it is, at a server that takes everything unless told otherwise."""

    def __init__(self, server: ScriptedServer, path: Path) -> None:
        self.server = server
        self.clock = FakeClock()
        self.store = Store(path, self.clock)
        self.driver = SlotDriver()
        self.board = AgentSnapshot(self.driver)
        self.wake = threading.Event()
        self.lost: list[bool] = []
        self.cloud = make_client(CloudSection(server=server.url, read_timeout_s=5.0), self.clock)
        registrar = make_registrar(server.url, self.store, on_token_lost=lambda: self.lost.append(True))
        self.reporter = make_reporter(self.store, self.cloud, registrar, self.board, clock=self.clock, wake=self.wake)
        self.know(TOKEN)

    def know(self, token: str, printer_id: int = 7) -> None:
        self.store.save_identity(Identity(self.server.url, printer_id, token, registered=True))

    def task(self, task_id: str, *, end: bool = True) -> None:
        self.store.accept(Command(task_id, Name.HOME, "home"), b'{"progress":0}')
        if end:
            self.store.end(task_id, TaskEvent.COMPLETE, b'{"progress":1}')

    def later(self, seconds: float = LONG) -> None:
        self.clock.advance(seconds)
        self.reporter.step()

    def told(self, task_id: str = "") -> list[tuple[str, float]]:
        """Which reports arrived, in order."""
        return [(one.path.removeprefix(COMMAND), one.json["progress"]) for one in self.server.asked(COMMAND + task_id)]

    def statuses(self) -> list[dict[str, Any]]:
        return [one.json for one in self.server.asked(STATUS)]

    def close(self) -> None:
        self.cloud.close()
        self.store.close()

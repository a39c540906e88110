"""What the tests of the local socket stand on: a real server on a real socket, and a stand-in for the runner."""

from __future__ import annotations

import threading
from pathlib import Path

from agent.core.command import Name
from agent.core.driver import PrinterState
from agent.core.job import JobState, JobView
from agent.core.task import TaskEvent, TaskState
from agent.errors import NotReadyError
from agent.local.api import LocalApi
from agent.local.socket_server import LocalServer
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config, JobSection, PrinterSection
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Store
from tests.support.clock import FakeClock
from tests.support.cloud_side import make_inbox, make_registrar
from tests.support.driver import SlotDriver

TOKEN = "T" * 43
SERVER = "https://cloud.example.com"
GCODE = b"G28\nG1 X10 Y10 F3000\nG1 X20 E1\n" * 50
PATIENCE = 10.0


class Rig:
    """The agent as the socket sees it; `wake` stands for the runner."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run" / "agent.sock"
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.clock = FakeClock()
        self.store = Store(folder / "state" / "agent.db", self.clock)
        self.driver = SlotDriver()
        self.board = AgentSnapshot(self.driver)
        self.fails = ""
        self.halts = 0
        self.halt_fails = ""
        config = Config(printer=PrinterSection(name="mine"), job=JobSection(max_file_mb=1))
        self.api = LocalApi(
            config=config,
            jobs=self.jobs,
            store=self.store,
            inbox=make_inbox(self.store, self._run),
            snapshot=self.board,
            registrar=make_registrar(SERVER, self.store),
            conditions=ConditionTracker(),
            listening=lambda: False,
            wake_reporter=lambda: None,
            emergency_stop=self._halt,
        )
        self.server = LocalServer(self.path, self.api, Pulse("local", self.clock))
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.server.run, args=(self.stop,), name="local")
        self.thread.start()

    def _halt(self) -> None:
        if self.halt_fails:
            raise NotReadyError(self.halt_fails)
        self.halts += 1

    def _run(self) -> None:
        """What a runner does: begin each new task and end it, or let a print begin."""
        for task in self.store.tasks(TaskState.RECEIVED):
            command = task.command
            self.store.start(command.task_id)
            if self.fails:
                self.store.end(command.task_id, TaskEvent.FAIL, b"{}", self.fails)
            elif command.name is Name.PRINT_DATA:
                self.driver.now(state=PrinterState.PRINTING)
                self.board.publish(JobView(command.job_id, command.task_id, JobState.PRINTING, command.job_name), "")
            else:
                self.store.end(command.task_id, TaskEvent.COMPLETE, b"{}")

    def end(self) -> None:
        self.stop.set()
        self.server.interrupt()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

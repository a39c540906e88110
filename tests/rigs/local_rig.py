"""The agent as a client of its local socket sees it.

Real: the Unix socket and its server thread, the API behind it, the inbox, the store with its database file, the
snapshot. Not real: the runner (a function that begins and ends each new task), the driver (`SlotDriver`: telemetry that
the test writes) and the clock (`FakeClock`).
"""

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
from agent.testing import FakeClock
from tests.support.cloud_side import make_inbox, make_registrar
from tests.support.driver import SlotDriver
from tests.support.store import open_store

TOKEN = "T" * 43
SERVER = "https://cloud.example.com"
GCODE = b"G28\nG1 X10 Y10 F3000\nG1 X20 E1\n" * 50
PATIENCE = 10.0


class SocketRig:
    """A socket at `path`. `fails` is the error of each task that the runner's stand-in ends, if any, `code` its
    error_code."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run" / "agent.sock"
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.clock = FakeClock()
        self.store = open_store(folder / "state" / "agent.db", self.clock)
        self.driver = SlotDriver()
        self.board = AgentSnapshot(self.driver)
        self.fails = ""
        self.code = 409
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
            wake_runner=lambda: None,
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
        for task in self.store.tasks.in_state(TaskState.RECEIVED):
            command = task.command
            self.store.tasks.start(command.task_id)
            if self.fails:
                self.store.tasks.end(command.task_id, TaskEvent.FAIL, b'{"error_code":%d}' % self.code, self.fails)
            elif command.name is Name.PRINT_DATA:
                self.driver.now(state=PrinterState.PRINTING)
                self.board.publish(JobView(command.job_id, command.task_id, JobState.PRINTING, command.job_name), "")
            else:
                self.store.tasks.end(command.task_id, TaskEvent.COMPLETE, b"{}")

    def end(self) -> None:
        self.stop.set()
        self.server.interrupt()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

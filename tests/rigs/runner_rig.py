"""A runner with a driver in the test's hands, stepped by hand.

Real: `Runner` and all that it uses (the store with its database file, job files, checks, reports, the snapshot, and
the thread that reads a file). Not real: the driver (`ScriptedDriver`: the test says what the printer makes of a
request) and the clock (`FakeClock`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.core import report_bodies
from agent.core.command import Command, Name
from agent.core.driver import Host, LineSource, Operation, Outcome, PrinterState, Unfinished
from agent.core.task import TaskState
from agent.errors import DataError, NotReadyError
from agent.files.job_file import JobFile
from agent.files.kept_files import KeptFiles
from agent.gcode import Scanner
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.heat_control import HeatControl
from agent.runner.runner_store import RunnerStore
from agent.service.config import load
from agent.service.health import Health
from agent.service.log_sources import LogSources
from agent.service.notify_socket import NotifySocket
from agent.service.snapshot import AgentSnapshot
from agent.service.stop_inhibitor import StopInhibitor
from agent.state.store import Store
from agent.testing import FakeClock
from tests.support.cloud_side import make_http
from tests.support.driver import SlotDriver

S = PrinterState
FILE = b"G28\nG1 X1\n;LAYER_CHANGE\nG1 X2 E1\nG1 X3 E2\n"


class ScriptedDriver(SlotDriver):
    """Does what it is asked, at once; the test says what the printer makes of it."""

    def __init__(self) -> None:
        super().__init__(S.OFFLINE, "not opened yet")
        self._state_told = False
        self.asked: list[str] = []
        self.preamble: list[str] = []
        self.script: list[str] = []
        self.opened = 0
        self.refusing = False  # a cancel
        self.unfinished: Unfinished | None = None
        self.on_print: Callable[[str], None] = lambda _task_id: None

    def now(self, **changes: object) -> None:
        """The test says what state the printer is in; without that it is idle once the driver is open."""
        self._state_told = self._state_told or "state" in changes
        super().now(**changes)

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """With a print to take over it has its task_id at once, and the test says what comes of it."""
        self.opened += 1
        self.unfinished = unfinished
        if unfinished is None and not self._state_told:
            self.now(state=S.IDLE, reason="")
        if unfinished is not None:
            self.now(state=S.RECOVERING, task_id=unfinished.task_id, line=unfinished.line, reason="asking the printer")

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """Prints."""
        self.on_print(task_id)
        self.asked.append("print")
        self.preamble = list(preamble)
        assert next(iter(source.lines())) == b"G28"
        self.now(state=S.PRINTING, task_id=task_id)

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """Busy."""
        self.asked.append("script")
        self.script = list(lines)
        self.now(state=S.BUSY, task_id=task_id)

    def pause(self) -> None:
        """Pausing."""
        if self.slot.state is not S.PRINTING:
            raise NotReadyError(f"cannot pause: {self.slot.state}")
        self.now(state=S.PAUSING)

    def resume(self) -> None:
        """Resuming."""
        self.now(state=S.RESUMING)

    def cancel(self) -> None:
        """Cancelling."""
        if self.refusing:
            raise NotReadyError("nothing runs yet")
        self.asked.append("cancel")
        self.now(state=S.CANCELLING)

    def cool(self) -> None:
        """Asked for; the test says when the printer reports its heaters off."""
        if self.slot.state is not S.IDLE:
            raise NotReadyError(f"cannot cool: {self.slot.state}")
        self.asked.append("cool")

    def respond(self, prompt_id: int, choice: int) -> None:
        """Noted; the test says what the printer makes of it."""
        prompt = self.slot.prompt
        if prompt is None or prompt.id != prompt_id or self.slot.answered == prompt_id:
            raise NotReadyError("it has its answer already")
        if choice >= len(prompt.choices):
            raise DataError(f"choice {choice}: there is none")
        self.asked.append(f"respond {choice}")

    def reset(self) -> None:
        """Gone, until the test says what comes of it."""
        self.asked.append("reset")
        self.now(state=S.OFFLINE, reason="the printer is being reset", reset_error="")

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """As a driver should: what runs is cancelled, or left as it is."""
        self.asked.append("hand over" if hand_over else "close")

    def ends(self, outcome: Outcome, error: str = "") -> None:
        """The running operation has ended."""
        self.now(state=S.IDLE, task_id="", script=None, last=Operation(self.slot.task_id, outcome, error))


class RunnerRig:
    """`runner.step()` is one turn; `said` are the reports that it left on a task. `settings` are `section.key=value`,
    over the defaults; `clock` is the store's where both are to have the same time."""

    driver: type[ScriptedDriver] = ScriptedDriver

    def __init__(self, folder: Path, store: Store, *settings: str, clock: FakeClock | None = None) -> None:
        self.store = store
        self.logs = b"a line of the log\n"
        self.clock = clock or FakeClock()
        self.printer = self.driver()
        self.jobs = folder / "jobs"
        self.jobs.mkdir(exist_ok=True)
        self.kept = folder / "kept"
        self.kept.mkdir(exist_ok=True)
        self.woken = threading.Event()
        self.handing_over = False
        self.inhibitor = StopInhibitor(self.clock)
        self.conditions: list[str] = []  # of the heat, one for each step
        self.board = AgentSnapshot(self.printer)
        config = load(None, {}, ["cloud.server=http://127.0.0.1:1", "scripts.calibrate=off", *settings])
        context = Context(
            config=config,
            http=make_http(config.cloud, self.clock),
            store=RunnerStore(store),
            driver=self.printer,
            clock=self.clock,
            jobs=self.jobs,
            kept=KeptFiles(self.kept, store.elapsed),
            logs=LogSources(recent=lambda: self.logs, runs=folder / "log", black_boxes=folder / "blackbox"),
            wake_reporter=lambda: None,
            heat=HeatControl(
                driver=self.printer, store=RunnerStore(store), clock=self.clock, say=self.conditions.append
            ),
            inhibitor=self.inhibitor,
            host=Host(self.woken.set, remember=store.checkpoints.remember),
            printer_status=self.board.printer_status,
        )
        self.runner = Runner(
            context=context,
            snapshot=self.board,
            wake=self.woken,
            pulse=Health(self.clock, NotifySocket("")).pulse("runner"),
            hand_over=lambda: self.handing_over,
        )

    def task(self, name: Name, task_id: str = "", **more: Any) -> str:
        """A command in the ledger."""
        task_id = task_id or f"t-{name}"
        self.store.tasks.accept(Command(task_id=task_id, name=name, raw_name=str(name), **more), b"{}")
        return task_id

    def print(self, task_id: str = "p", *, data: bytes = FILE, **more: Any) -> str:
        """A print whose file is here already."""
        scanner = Scanner()
        scanner.feed(data)
        file = JobFile(self.jobs, task_id)
        file.path.write_bytes(data)
        file.save_index(msgspec.structs.replace(scanner.finish(), sha256=hashlib.sha256(data).hexdigest()))
        return self.task(Name.PRINT_DATA, task_id, spooled=file.path.name, job_id="job", **more)

    def printing(self, data: bytes = FILE, **more: Any) -> str:
        """A print under way."""
        task_id = self.print(data=data, **more)
        self.runner.step()
        assert self.woken.wait(5)  # the file was looked at, on a thread of its own
        self.runner.step()
        assert self.printer.slot.state is S.PRINTING
        return task_id

    def stop(self, *, hand_over: bool = False) -> None:
        """The runner's loop is told to stop before it takes another step."""
        self.handing_over = hand_over
        stopped = threading.Event()
        stopped.set()
        self.runner.run(stopped)

    def said(self, task_id: str) -> list[dict[str, Any]]:
        """All reports on a task that wait to be sent, in order, and the last one."""
        rows = self.store.database.rows("SELECT body FROM outbox WHERE task_id = ? ORDER BY id", task_id)
        return [msgspec.json.decode(row[0]) for row in rows]

    def heartbeat(self) -> dict[str, Any]:
        """The heartbeat as it would be sent now."""
        body: dict[str, Any] = msgspec.json.decode(report_bodies.encode(self.board.read().body()))
        return body

    def state(self, task_id: str) -> TaskState:
        """The task's."""
        task = self.store.tasks.get(task_id)
        assert task is not None
        return task.state

    def end(self, task_id: str) -> dict[str, Any]:
        """The terminal report."""
        last = self.said(task_id)[-1]
        assert last["progress"] == 1, last
        return last

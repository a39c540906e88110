"""One printer, its agent, its cloud and its people, in virtual time, for the random histories of the bed.

Real: the inbox, the ledger in its SQLite file, the runner with all that it uses. Not real: the driver (scripted), the
time, and the way of a message to the inbox. A kill is a copy of the database's files at one statement, as a kill -9 or
a power cut leaves them; whatever the dead agent does after it reaches nobody.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.core.bed import BedPolicy
from agent.core.command import Command, Name
from agent.core.command_age import AgeLimits
from agent.core.driver import Host, LineSource, Outcome, PrinterState
from agent.core.task import TaskState
from agent.errors import NotReadyError
from agent.files.job_file import JobFile
from agent.files.kept_files import KeptFiles
from agent.gcode import Index, Scanner
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.heat_control import HeatControl
from agent.runner.runner_store import RunnerStore
from agent.server.admission import Admission
from agent.server.inbox import Inbox
from agent.service.config import Config, load
from agent.service.health import Health
from agent.service.log_sources import LogSources
from agent.service.notify_socket import NotifySocket
from agent.service.snapshot import AgentSnapshot
from agent.service.stop_inhibitor import StopInhibitor
from agent.state.store import Store
from agent.testing import FakeClock
from benchmarks.room_model import EPOCH, Model
from tests.rigs.runner_rig import FILE, ScriptedDriver
from tests.support.cloud_side import make_http

S = PrinterState


class Killed(BaseException):
    """The agent is dead: what it still does reaches no printer and no person."""


class Printer(ScriptedDriver):
    """The driver of one life of the agent; what the printer really does is the world's."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """The first line goes to the printer, unless it refuses."""
        self._world.require_alive()
        if self._world.refusing:
            raise NotReadyError("the printer refuses")
        super().start_print(task_id, source, preamble)
        self._world.started(task_id)

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """As a driver should."""
        self._world.require_alive()
        super().close(timeout, hand_over=hand_over)


class World:
    """`clock` is the board's; `model.now` is the true time, which no clock of the board has to know."""

    def __init__(self, folder: Path, template: Path, policy: BedPolicy, model: Model) -> None:
        self.folder = folder
        self.model = model
        self.clock = FakeClock()
        self.refusing = False
        self.figures: Counter[str] = Counter()
        self.messages: list[dict[str, Any]] = []
        self._policy = policy
        self._config = configuration(policy)
        self._numbers = itertools.count(1)
        self._boot = 1
        self._kill_in = -1  # statements until the agent dies; negative: it lives
        self._dead = False
        self._image = folder / "image"
        self._lives = 0
        self.printing = ""  # the task that the printer prints
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self._database = folder / "life-0" / "agent.db"
        self._database.parent.mkdir()
        shutil.copyfile(template, self._database)
        self._live()

    # --- the agent's lives

    def _live(self) -> None:
        self._dead = False
        with traced(self._count):
            self.store = Store(self._database, self.clock, boot=f"boot-{self._boot}", on_trouble=lambda _: None)
        self.printer = Printer(self)
        self.board = AgentSnapshot(self.printer)
        self._wake = threading.Event()
        limits = AgeLimits(other=self._config.job.max_age_s, start=self._config.job.start_within_s)
        self.inbox = Inbox(
            tasks=self.store.tasks,
            outbox=self.store.outbox,
            admission=Admission(self.clock, self.board.running_job),
            clock=self.clock,
            wake=self._wake.set,
            limits=limits,
            server_now=lambda: EPOCH + self.model.now,
            printer_status=self.board.printer_status,
        )
        self._handing_over = False
        store = RunnerStore(self.store)
        context = Context(
            config=self._config,
            http=make_http(self._config.cloud, self.clock),
            store=store,
            driver=self.printer,
            clock=self.clock,
            jobs=self.jobs,
            kept=KeptFiles(self.jobs.with_name("kept"), self.store.elapsed),
            logs=LogSources(recent=bytes, runs=Path(), black_boxes=Path()),
            wake_reporter=lambda: None,
            heat=HeatControl(driver=self.printer, store=store, clock=self.clock, say=lambda _: None),
            inhibitor=StopInhibitor(self.clock),
            host=Host(self._wake.set, remember=self.store.checkpoints.remember),
            printer_status=self.board.printer_status,
        )
        self._runner = Runner(
            context=context,
            snapshot=self.board,
            wake=self._wake,
            pulse=Health(self.clock, NotifySocket("")).pulse("runner"),
            hand_over=lambda: self._handing_over,
        )

    def _count(self, _statement: str) -> None:
        """Called before each statement; the agent dies at the one that was chosen."""
        if self._kill_in == 0:
            self._take_image()
        self._kill_in -= 1

    def _take_image(self) -> None:
        self._image.mkdir()
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{self._database}{suffix}", f"{self._image / 'agent.db'}{suffix}")
        self._dead = True

    def require_alive(self) -> None:
        """Raise Killed when the agent is dead."""
        if self._dead:
            raise Killed

    def kill_in(self, statements: int) -> None:
        """Let the agent die before the statement that many from now."""
        self._kill_in = statements

    def do(self, action: Callable[[], None]) -> None:
        """Do something and let the agent come to rest; if it dies in that, a new one starts."""
        try:
            action()
            self.settle()
        except Killed:
            pass
        if self._kill_in >= 0:  # as many statements were not made: it dies now
            self._kill_in = -1
            self._take_image()
        while self._dead:
            self.figures["kills"] += 1
            self._after_death()

    def _after_death(self) -> None:
        self._join_fetches()
        self.store.close()
        shutil.rmtree(self._database.parent)
        self._lives += 1
        self._database = self.folder / f"life-{self._lives}" / "agent.db"
        self._image.rename(self._database.parent)
        self._live()
        task = self.store.tasks.get(self.printing)
        if task is not None and task.state in (TaskState.COMPLETED, TaskState.FAILED):
            self.printing = ""  # it was ended, and its agent died before it told the printer
        rows = self.store.database.rows("SELECT task_id FROM checkpoints")
        for state in (TaskState.RECEIVED, TaskState.RUNNING):
            for task in self.store.tasks.in_state(state):
                if task.command.name is Name.PRINT_DATA:
                    self.file(task.command.task_id)  # the file server has it still
        self.model.look(self)  # what it was told and wrote down before it died
        self.model.restarted({row[0] for row in rows}, self.printing, self._policy)
        with suppress(Killed):
            self.settle()

    def restart(self, *, hand_over: bool) -> None:
        """An orderly end, and a new agent."""
        self._handing_over = hand_over
        stopped = threading.Event()
        stopped.set()
        self._runner.run(stopped)
        self.require_alive()
        self._join_fetches()
        if not hand_over and self.printing:
            self.printing = ""
        self.model.look(self)
        self.store.close()
        self.require_alive()
        self._live()

    def power_cut(self, off: float, wall: float) -> None:
        """The board is off for a time; its clock begins anew, and its wall clock is wherever it is."""
        self.kill_in(-1)
        if not self._dead:
            self._take_image()
        self.printing = ""
        self._boot += 1
        self.model.rebooted(off)
        self.clock.now = 20.0
        self.clock.epoch += wall

    # --- the printer

    def started(self, task_id: str) -> None:
        """The first line of a print has reached the printer."""
        self.model.look(self)
        self.model.started(task_id, self._policy)
        self.printing = task_id
        self.figures["starts"] += 1

    def ends(self, outcome: Outcome) -> None:
        """What the printer prints ends."""
        if self.printing and self.printer.slot.task_id == self.printing:
            self.printing = ""
            self.printer.ends(outcome, "why" if outcome is Outcome.FAILED else "")

    def settle(self) -> None:
        """Step the runner until nothing more comes of it. Raises Killed."""
        for _ in range(4):
            self._runner.step()
            self.require_alive()
            self._recover()
            self._join_fetches()
        self._runner.step()
        self.require_alive()
        self.model.look(self)
        self.model.rest(self, self._policy)

    def _recover(self) -> None:
        """What the printer says of a print that is to be taken over."""
        slot = self.printer.slot
        if slot.state is not S.RECOVERING:
            return
        if self.printing == slot.task_id:
            self.printer.now(state=S.PRINTING, reason="")
        elif self.model.rng.random() < 0.5 and not self.model.was_started(slot.task_id) and not self.model.cut:
            self.printer.now(state=S.PRINTING, reason="")  # its first line goes only now
            self.started(slot.task_id)
        else:
            self.printer.ends(Outcome.FAILED, "the board was reset")

    def _join_fetches(self) -> None:
        for thread in threading.enumerate():
            if thread.name == "fetch":
                thread.join(10.0)

    # --- messages and people

    def file(self, task_id: str) -> str:
        """Put a print's file where its download would have."""
        file = JobFile(self.jobs, task_id)
        file.path.write_bytes(FILE)
        file.save_index(index())
        return file.path.name

    def message(self, command: str, job_id: str = "", *, dated: bool) -> dict[str, Any]:
        """The cloud sends a command; it is not delivered yet."""
        number = next(self._numbers)
        made: dict[str, Any] = {"command": command, "task_id": f"t{number}"}
        if command == "print_data":
            made |= {"job_id": f"j{number}", "file_url": "http://127.0.0.1:1/f"}
        elif job_id:
            made["job_id"] = job_id
        if dated:
            made["sent_at"] = EPOCH + self.model.now
        self.messages.append(made)
        self.model.sent(made)
        return made

    def deliver(self, message: dict[str, Any], *, missed: bool) -> None:
        """A message reaches the agent, by the channel or by the catch-up."""
        if self.store.tasks.get(message["task_id"]) is None:
            self.model.delivered(message, missed=missed)
            if message["command"] == "print_data":
                self.file(message["task_id"])
        if missed:
            self.inbox.accept(message, missed=True)
        else:
            self.inbox.enqueue(message)
        self.require_alive()

    def print_locally(self) -> None:
        """A person at the printer prints a file."""
        task_id = f"local-{next(self._numbers)}"
        spooled = self.file(task_id)
        self.model.sent({"command": "print_data", "task_id": task_id, "job_id": task_id})
        command = Command(task_id=task_id, name=Name.PRINT_DATA, raw_name="print_data", job_id=task_id, spooled=spooled)
        self.inbox.accept_local(command)
        self.require_alive()

    def ready(self) -> None:
        """A person at the printer says that the bed is clear."""
        self.model.ready(self.store.bed.confirm, lambda: self._dead)
        self.require_alive()

    def tasks(self, state: TaskState) -> Iterator[tuple[str, str]]:
        """The ids and messages of the tasks in a state."""
        for task in self.store.tasks.in_state(state):
            yield task.command.task_id, task.message

    def close(self) -> None:
        """The end of the history."""
        self._kill_in = -1
        self.store.close()


@contextmanager
def traced(count: Callable[[str], None]) -> Iterator[None]:
    """Have each statement of the connections that are made within counted."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def made(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = made  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = connect  # type: ignore[assignment]


_CONFIGS: dict[str, Config] = {}
_INDEX: list[Index] = []


def configuration(policy: BedPolicy) -> Config:
    """The configuration with this policy."""
    if policy not in _CONFIGS:
        _CONFIGS[policy] = load(None, {}, ["cloud.server=http://127.0.0.1:1", f"job.bed={policy}"])
    return _CONFIGS[policy]


def index() -> Index:
    """The scan of the file that everybody prints."""
    if not _INDEX:
        scanner = Scanner()
        scanner.feed(FILE)
        _INDEX.append(msgspec.structs.replace(scanner.finish(), sha256=hashlib.sha256(FILE).hexdigest()))
    return _INDEX[0]

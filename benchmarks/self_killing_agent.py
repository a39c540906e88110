"""A small agent that kills itself: inbox, runner and reporter on one thread, with a printer that records what it does.

`python -m benchmarks.self_killing_agent FOLDER SERVER-URL POINT` with POINT `before N` or `after N`, the N-th commit,
or `never 0`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from agent.core.driver import Host, LineSource, Operation, Outcome, PrinterState, Unfinished
from agent.core.task import TaskState
from agent.files.kept_files import KeptFiles
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.heat_control import HeatControl
from agent.runner.runner_store import RunnerStore
from agent.service.config import CloudSection, Config
from agent.service.health import Pulse
from agent.service.log_sources import LogSources
from agent.service.snapshot import AgentSnapshot
from agent.service.stop_inhibitor import StopInhibitor
from agent.service.system_clock import SystemClock, boot_id
from agent.state.store import Store
from tests.support.cloud_side import make_client, make_http, make_inbox, make_registrar, make_reporter
from tests.support.driver import SlotDriver

MESSAGES = (
    {"command": "home", "task_id": "home"},
    {"command": "settings", "task_id": "settings", "settings": {"speed_percent": 90}},
    {"command": "levitate", "task_id": "unknown"},
    {"command": "print_data", "task_id": "bad", "file_url": "ftp://x"},
    {"command": "print_data", "task_id": "print", "file_url": "SERVER/file"},
)
TASKS = {str(message["task_id"]) for message in MESSAGES}
FILE = b"G28\nG1 X1 F600\nG1 X2\n"
TURNS = 400  # of the loop at most


class Killer:
    """End the process at a commit, before it or after it."""

    def __init__(self, store: Store, point: tuple[str, int]) -> None:
        self.count = 0
        self._point = point
        store.database.on_commit(before=self._before, after=self._after)

    def _before(self) -> None:
        self.count += 1
        self._die("before")

    def _after(self) -> None:
        self._die("after")

    def _die(self, when: str) -> None:
        if (when, self.count) == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class RecordingPrinter(SlotDriver):
    """Does each operation at once; what it did is in a file, a line each, on the disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.ends: Operation | None = None

    def _note(self, task_id: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{task_id}\n")
            file.flush()
            os.fsync(file.fileno())
        self.ends = Operation(task_id, Outcome.COMPLETED)

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """A print that it did is at its end; one that it never heard of cannot be gone on with."""
        if unfinished is None:
            return
        task_id = unfinished.task_id
        if self._path.exists() and task_id in self._path.read_text().split():
            self.ends = Operation(task_id, Outcome.COMPLETED)
            self.now(state=PrinterState.PRINTING, task_id=task_id, line=1)
        else:
            self.now(last=Operation(task_id, Outcome.FAILED, "the printer has not begun it"))

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """Print at once."""
        self._note(task_id)
        self.now(state=PrinterState.PRINTING, task_id=task_id, line=1)

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """Run a script at once."""
        self._note(task_id)
        self.now(state=PrinterState.BUSY, task_id=task_id)

    def cool(self) -> None:
        """Nothing was on."""

    def turn(self) -> None:
        """End what runs."""
        if self.ends is not None:
            self.now(state=PrinterState.IDLE, task_id="", last=self.ends)
            self.ends = None


def main(folder: Path, url: str, point: tuple[str, int]) -> int:
    """Run until all tasks have ended and all reports are taken; the exit code 0."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock = SystemClock()
    store = Store(folder / "agent.db", clock, boot=boot_id(), on_trouble=lambda _: None)
    killer = Killer(store, point)
    jobs = folder / "jobs"
    jobs.mkdir(exist_ok=True)
    printer = RecordingPrinter(folder / "executed")
    board = AgentSnapshot(printer)
    wake = threading.Event()
    section = CloudSection(server=url, connect_timeout_s=2.0, read_timeout_s=2.0)
    config = Config(cloud=section)
    cloud = make_client(section, clock)
    registrar = make_registrar(url, store, clock=clock)
    runner_store = RunnerStore(store)
    context = Context(
        config=config,
        http=make_http(section, clock),
        store=runner_store,
        driver=printer,
        clock=clock,
        jobs=jobs,
        kept=KeptFiles(jobs.with_name("kept"), store.elapsed),
        logs=LogSources(recent=bytes, runs=Path(), black_boxes=Path()),
        wake_reporter=lambda: None,
        heat=HeatControl(driver=printer, store=runner_store, clock=clock, say=lambda _: None),
        inhibitor=StopInhibitor(clock),
        host=Host(wake.set),
        printer_status=board.printer_status,
    )
    runner = Runner(context=context, snapshot=board, wake=wake, pulse=Pulse("runner", clock), hand_over=lambda: False)
    reporter = make_reporter(store, cloud, registrar, board, clock=clock, wake=wake, heartbeat=3600.0)
    inbox = make_inbox(store, wake.set)
    registrar.register(cloud, threading.Event(), lambda: None)
    for message in MESSAGES:
        inbox.accept(
            {key: text.replace("SERVER", url) if isinstance(text, str) else text for key, text in message.items()}
        )
        runner.step()
        reporter.step()
        printer.turn()
    for _ in range(TURNS):
        runner.step()
        printer.turn()
        reporter.step()
        ended = len(store.tasks.in_state(TaskState.COMPLETED)) + len(store.tasks.in_state(TaskState.FAILED))
        if ended == len(TASKS) and store.outbox.pending_count() == 0:
            break
        wake.wait(0.02)
        wake.clear()
    else:
        return 1
    store.close()
    (folder / "commits").write_text(str(killer.count))
    return 0


if __name__ == "__main__":
    _, where, server, when, number = sys.argv
    sys.exit(main(Path(where), server, (when, int(number))))

"""An agent without its cloud on the pty of a virtual printer, for what becomes of the heaters.

Real: the virtual printer with its firmware, the G-code driver with its link thread, the runner's thread with the ledger
on the disk, time. The driver's waits are short (`QUICK`), and so is `settle_s`. There is no server: nothing of this may
need one.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.core.command import Command, Name
from agent.core.driver import Host, PrinterState, Telemetry
from agent.core.task import TaskState
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
from agent.state.store import Store, Task
from agent.testing import SystemClock
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import QUICK
from tests.support.cloud_side import make_http
from tests.support.handover import Kept

TIMING = msgspec.structs.replace(QUICK, poll=0.1, idle_poll=0.1, take_over=0.8, calm=0.05)
SETTLE_S = 0.3


class HeatRig:
    """One printer, and one agent after the other for it. `executed` are the commands in the order in which the printer
    executed them; `cool_after_s` holds for agents that start from now on."""

    def __init__(self, folder: Path, store: Store, options: Options, cool_after_s: float) -> None:
        self.executed: list[bytes] = []
        self.printer = VirtualPrinter(options, on_line=self.executed.append)
        self.store = store
        self.jobs = folder / "jobs"
        self.jobs.mkdir(exist_ok=True)
        self.cool_after_s = cool_after_s
        self.said: list[str] = []
        self._link = str(options.link)
        self._kept = Kept()
        self._count = 0
        self._thread: threading.Thread | None = None

    # --- the agent

    def start(self) -> None:
        """One more life."""
        clock, woken = SystemClock(), threading.Event()
        settings = DriverSettings(port=self._link, baud=115200, window=1, deadman_s=600)
        self.driver = GcodeDriver(settings, clock=clock, timing=TIMING)
        config = load(
            None,
            {},
            [
                "cloud.server=http://127.0.0.1:1",
                f"job.cool_after_s={self.cool_after_s}",
                "job.bed=free",
                'scripts.calibrate=["M140 S60", "M104 S210"]',
                'scripts.park=["M140 S60", "M190 S60", "M109 S210"]',
                'scripts.home=["M140 S60", "M104 S210", "G999"]',
            ],
        )
        runner_store = RunnerStore(self.store)
        board = AgentSnapshot(self.driver)
        context = Context(
            config=config,
            http=make_http(config.cloud, clock),
            store=runner_store,
            driver=self.driver,
            clock=clock,
            jobs=self.jobs,
            kept=KeptFiles(self.jobs.with_name("kept"), self.store.elapsed),
            logs=LogSources(recent=bytes, runs=Path(), black_boxes=Path()),
            wake_reporter=lambda: None,
            heat=HeatControl(
                driver=self.driver, store=runner_store, clock=clock, say=self.said.append, settle_s=SETTLE_S
            ),
            inhibitor=StopInhibitor(clock),
            host=Host(woken.set, remember=self.store.checkpoints.remember, port=self._kept),
            printer_status=board.printer_status,
        )
        self._stop, self._woken, self._handing_over = threading.Event(), woken, False
        runner = Runner(
            context=context,
            snapshot=board,
            wake=woken,
            pulse=Health(clock, NotifySocket("")).pulse("runner"),
            hand_over=lambda: self._handing_over,
        )
        self._thread = threading.Thread(target=runner.run, args=(self._stop,), name="runner", daemon=True)
        self._thread.start()

    def ready(self) -> None:
        """Start, and wait until the printer is idle."""
        self.start()
        self.until(lambda t: t.state is PrinterState.IDLE)

    def stop(self, *, hand_over: bool = False) -> None:
        """The agent's end; idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._handing_over = hand_over
            self._stop.set()
            self._woken.set()
            thread.join(10.0)
            assert not thread.is_alive()

    def close(self) -> None:
        """The end of all."""
        self.stop()
        self.printer.stop()
        self._kept.drop()

    # --- commands

    def command(self, name: Name, job_id: str = "") -> str:
        """A command of the cloud's; its task_id."""
        self._count += 1
        task_id = f"t{self._count}"
        self.store.tasks.accept(Command(task_id=task_id, name=name, raw_name=str(name), job_id=job_id), b"{}")
        self._woken.set()
        return task_id

    def print(self, lines: list[str]) -> str:
        """A print whose file is here already; its task_id."""
        self._count += 1
        task_id, data = f"t{self._count}", "\n".join([*lines, ""]).encode()
        scanner = Scanner()
        scanner.feed(data)
        file = JobFile(self.jobs, task_id)
        file.path.write_bytes(data)
        file.save_index(msgspec.structs.replace(scanner.finish(), sha256=hashlib.sha256(data).hexdigest()))
        command = Command(
            task_id=task_id, name=Name.PRINT_DATA, raw_name="print_data", spooled=file.path.name, job_id=f"j{task_id}"
        )
        self.store.tasks.accept(command, b"{}")
        self._woken.set()
        return task_id

    def ended(self, task_id: str) -> Task:
        """Wait for a task's end."""
        found: list[Task] = []

        def look() -> bool:
            task = self.store.tasks.get(task_id)
            found[:] = [task] if task is not None else []
            return task is not None and task.state in (TaskState.COMPLETED, TaskState.FAILED)

        self.soon(look, f"task {task_id} ends")
        return found[0]

    # --- looks

    def until(self, true: object) -> Telemetry:
        """Wait for telemetry of which `true` is so."""
        self.soon(lambda: true(self.driver.telemetry()), "the telemetry")  # type: ignore[operator]
        return self.driver.telemetry()

    def soon(self, true: object, what: str, seconds: float = 10.0) -> None:
        """Wait until `true()` is."""
        end = time.monotonic() + seconds
        while not true():  # type: ignore[operator]
            assert time.monotonic() < end, (what, self.targets(), self.executed[-12:])
            time.sleep(0.005)

    def targets(self) -> tuple[float, float]:
        """What nozzle and bed are really set to, in °C."""
        machine = self.printer._firmware.machine
        return machine.nozzle.target, machine.bed.target

    def set_at_the_display(self, nozzle: float, bed: float) -> None:
        """Somebody turns the knob."""
        machine = self.printer._firmware.machine
        machine.nozzle.set_target(machine.now, nozzle)
        machine.bed.set_target(machine.now, bed)

    def disarmed_while_hot(self) -> list[int]:
        """Places in `executed` at which the firmware's watch was ended while a heater was on."""
        on, found = {b"M104": 0.0, b"M140": 0.0}, []
        for place, line in enumerate(self.executed):
            word, _, rest = line.partition(b" S")
            kind = {b"M109": b"M104", b"M190": b"M140"}.get(word, word)
            if kind in on:
                on[kind] = float(rest)
            elif line == b"M85 S0" and any(on.values()):
                found.append(place)
        return found


@contextmanager
def heat_rig(
    folder: Path, store: Store, *, faults: tuple[str, ...] = (), cool_after_s: float = 0.2, dialect: str = "marlin"
) -> Iterator[HeatRig]:
    """A printer that is switched on, and no agent yet."""
    options = Options(dialect=dialect, faults=faults, link=folder / "printer", homed=True)
    made = HeatRig(folder, store, options, cool_after_s)
    made.printer.start()
    try:
        yield made
    finally:
        made.close()

"""The whole agent as a process (`printer-agent run`), between the local cloud, which runs here, and the null firmware.

What the cloud sees is stamped as it happens: `events` are (seconds of `time.monotonic`, lines that the firmware had
executed, the event)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import AgentError, UnavailableError
from agent.local.local_requests import RegisterRequest, StatusRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember
from agent.sandbox.serve import serve
from benchmarks.serial_null import ROOT, Firmware, Link

PATIENCE = 60.0  # seconds for anything that should happen
LOOK = 0.02
HELD = "kept-for-the-bench"  # the key under which the sandbox serves our files
UNIT = ROOT / "systemd" / "printer-agent.service"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Event:
    """`at` in seconds of `time.monotonic`, `line` is how many lines of the file the firmware had by then."""

    at: float
    line: int
    body: dict[str, Any]


class Agent:
    """One life of the agent, with its firmware. `ready` is how many seconds it took to say READY=1."""

    def __init__(self, process: subprocess.Popen[bytes], firmware: Firmware, ready: float, folder: Path) -> None:
        self.firmware = firmware
        self.ready = ready
        self.socket = folder / "agent.sock"
        self._process = process
        self._folder = folder

    def cpu(self) -> float:
        """Seconds of processor time until now, in and for it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, which: str) -> int:
        """VmRSS or VmHWM, in KiB."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))

    def status(self) -> dict[str, Any]:
        """Its own word."""
        return dict(ask(self.socket, StatusRequest())["status"])

    def until(self, what: str, look: Callable[[], Any], within: float = PATIENCE, rest: float = LOOK) -> Any:
        """Wait for something true."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            assert self._process.poll() is None, f"the agent ended:\n{self.log()}"
            try:
                if found := look():
                    return found
            except UnavailableError:
                pass  # its socket is not there yet
            time.sleep(rest)
        raise AssertionError(f"did not happen within {within:.0f} s: {what}\n{self.log()}")

    def log(self) -> str:
        """The last that it logged."""
        return (self._folder / "agent.log").read_text(errors="replace")[-3000:]


class Daemon:
    """The cloud, and agents one after the other. Use `daemon`."""

    def __init__(self, folder: Path, firmware: Path, programs: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.printer_id = 0
        self.agent: Agent
        self.member: SandboxMember
        self._program = firmware
        self._programs = programs
        self._firmware: Firmware | None = None
        self._came = threading.Condition()

    def emit(self, body: dict[str, Any]) -> None:
        """From the cloud, as it happens."""
        line = self._firmware.seen().executed if self._firmware else 0
        with self._came:
            self.events.append(Event(time.monotonic(), line, body))
            self._came.notify_all()

    def event(self, what: str, fits: Callable[[dict[str, Any]], bool], within: float = PATIENCE) -> Event:
        """The first event that fits, waited for. Raises AssertionError."""
        end, at = time.monotonic() + within, 0
        with self._came:
            while True:
                for found in self.events[at:]:
                    if fits(found.body):
                        return found
                at = len(self.events)
                left = end - time.monotonic()
                assert left > 0, f"not within {within:.0f} s: {what}\n{self.agent.log()}"
                self._came.wait(left)

    def published(self, task_id: str) -> Event:
        """When the command was published."""
        return self.event(f"{task_id} published", lambda e: e["event"] == "command" and e.get("task_id") == task_id)

    def receipt(self, task_id: str) -> Event:
        """When its first report came."""
        return self.event(f"receipt of {task_id}", lambda e: e["event"] == "report" and e.get("task_id") == task_id)

    def ended(self, task_id: str, within: float = PATIENCE) -> Event:
        """When its last report came."""
        return self.event(
            f"end of {task_id}",
            lambda e: e["event"] == "report" and e.get("task_id") == task_id and e["body"]["progress"] == 1,
            within,
        )

    def hosted(self, name: str) -> Path:
        """Where a file lies that the cloud serves under `url`."""
        path = self.folder / "cloud" / "files" / HELD / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def print_file(self, name: str) -> tuple[str, str]:
        """Publish a print of a hosted file; its task_id and job_id."""
        url = f"{self.events[0].body['url']}/files/{HELD}/{name}"
        job = self.member.submit_job(self.printer_id, url, name)
        return str(job["task_id"]), str(job["job_id"])

    @contextmanager
    def life(self, link: Link) -> Iterator[Agent]:
        """A new agent and firmware, registered and ready for a print."""
        address = self.folder / "notify.sock"
        with Firmware(self._program, link) as firmware, _supervisor(address) as ready_at:
            self._firmware = firmware
            config = self._configured(firmware.port)
            environment = {key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")}
            environment |= unit_environment() | {"NOTIFY_SOCKET": str(address)}
            with (self.folder / "agent.log").open("ab") as log:
                began = time.monotonic()
                process = subprocess.Popen(
                    [str(self._programs / "printer-agent"), "run", "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                )
            try:
                self.agent = Agent(process, firmware, ready_at(PATIENCE) - began, self.folder)
                self._register(self.agent)
                yield self.agent
            finally:
                self._firmware = None
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise

    def _configured(self, port: str) -> Path:
        """All defaults, but for what a test needs to know."""
        config = self.folder / "agent.toml"
        config.write_text(
            f'[cloud]\nserver = "{self.events[0].body["url"]}"\n[serial]\nport = "{port}"\nbaud = 115200\n'
            f'[state]\ndir = "{self.folder / "state"}"\n[local]\nsocket = "{self.folder / "agent.sock"}"\n'
            '[job]\nbed = "free"\n'  # several prints, and nobody there
        )
        return config

    def _register(self, agent: Agent) -> None:
        if not self.printer_id:
            code = agent.until(
                "a code", lambda: ask(agent.socket, RegisterRequest())["registration"].get("code"), rest=0.1
            )
            self.printer_id = self.member.register("bench", str(code))

        def ready() -> bool:
            status = agent.status()
            return bool(status["listening"]) and status["printer_status"] == "ready"

        agent.until("ready", ready, rest=0.1)


@contextmanager
def _supervisor(address: Path) -> Iterator[Callable[[float], float]]:
    """Read $NOTIFY_SOCKET as systemd does, all the time; the function waits so many seconds for READY=1, and gives the
    moment when it came. Raises AssertionError."""
    address.unlink(missing_ok=True)
    stop, came, at = threading.Event(), threading.Event(), list[float]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(0.2)

        def read() -> None:
            while not stop.is_set():
                try:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        at.append(time.monotonic())
                        came.set()
                except TimeoutError:
                    continue

        def ready_at(within: float) -> float:
            assert came.wait(within), f"the agent did not say that it is ready within {within:.0f} s"
            return at[0]

        thread = threading.Thread(target=read, name="supervisor")
        thread.start()
        try:
            yield ready_at
        finally:
            stop.set()
            thread.join()


def unit_environment() -> dict[str, str]:
    """What the unit file sets."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return dict(line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment="))


@contextmanager
def daemon(folder: Path, firmware: Path, programs: Path) -> Iterator[Daemon]:
    """The cloud up, on a thread of this process. `firmware` is compiled, `programs` the folder of printer-agent."""
    made, stop = Daemon(folder, firmware, programs), threading.Event()
    failed: list[AgentError] = []

    def work() -> None:
        try:
            serve(listen="127.0.0.1:0", state=folder / "cloud", emit=made.emit, stop=stop)
        except AgentError as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="sandbox", daemon=True)
    thread.start()
    try:
        end = time.monotonic() + PATIENCE
        while not made.events:
            assert thread.is_alive(), failed
            assert time.monotonic() < end, "no cloud"
            time.sleep(LOOK)
        ready = made.events[0].body
        with SandboxMember(str(ready["url"]), str(ready["member_token"])) as member:
            made.member = member
            yield made
    finally:
        stop.set()
        thread.join(10.0)

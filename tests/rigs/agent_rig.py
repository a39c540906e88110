"""The whole agent as processes, with a person at the portal and one at the printer.

Real: everything. The cloud (`printer-agent sandbox`), the printer (`printer-agent simulate` on a pty) and the agent
(`printer-agent run`) are processes of their own, with their files and sockets; what the tests ask goes through the
portal's API and the agent's local socket. Time is real, the printer's runs `speed` times as fast.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from agent.dryrun.processes import ChildProcess, ChildProcesses
from agent.errors import AgentError
from agent.local.local_requests import RegisterRequest, StatusRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember

PATIENCE = 60.0  # seconds for anything that should happen
LOOK = 0.01  # seconds between two looks


class AgentRig:
    """`member` is the portal, `printer_id` the registered printer, `socket` the agent's. `task_id` and `job_id` are of
    the job that was submitted last."""

    def __init__(
        self, parts: ChildProcesses, member: SandboxMember, *, url: str, member_token: str, folder: Path
    ) -> None:
        self.parts = parts
        self.member = member
        self.url = url
        self.member_token = member_token
        self.folder = folder
        self.socket = folder / "agent.sock"
        self.printer_id = 0
        self.task_id = self.job_id = ""

    def until(self, what: str, look: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait for `look` to give something true, with the processes watched meanwhile. Nobody who answers yet
        (AgentError) is nothing true."""
        end = time.monotonic() + within
        last = ""
        while time.monotonic() < end:
            try:
                if found := look():
                    return found
            except AgentError as error:
                last = f" ({error})"
            self.watch()
        raise AssertionError(f"did not happen within {within:.0f} s: {what}{last}\n{self.log()[-6000:]}")

    def watch(self) -> None:
        """Wait a moment. Raises UnavailableError when a process has ended."""
        self.parts.event(LOOK)

    def log(self) -> str:
        """What the agent logged."""
        return (self.folder / "agent.log").read_text(errors="replace")

    # --- the person at the printer

    def status(self) -> dict[str, Any]:
        """The agent's own word."""
        return dict(ask(self.socket, StatusRequest())["status"])

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command of `printer-agent`, with the agent's configuration."""
        argv = [sys.executable, "-m", "agent.cli", *words, "--config", str(self.folder / "agent.toml")]
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def register(self, state: str = "ready") -> None:
        """Read the code at the printer, type it into the portal, wait until the printer is ready there, or in another
        `state`."""
        code = self.until("a code", lambda: ask(self.socket, RegisterRequest())["registration"].get("code"))
        self.printer_id = self.member.register("rig", str(code))
        self.until(f"it is {state} and listens", lambda: self.state() == state and self.status()["listening"])

    # --- the person at the portal

    def download(self, url: str) -> bytes:
        """A file of the member's, as the portal hands it out."""
        headers = {"Authorization": f"Bearer {self.member_token}"}
        answer = requests.get(url, headers=headers, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.content

    def state(self) -> str:
        """The printer's state as the cloud knows it."""
        return str(self.member.printer_status(self.printer_id).get("last_reported_state"))

    def submit(self, file: Path, **settings: object) -> dict[str, Any]:
        """Send a job; the portal's answer."""
        job = self.member.submit_job(self.printer_id, self.member.upload(file), file.name, settings)
        self.task_id, self.job_id = str(job["task_id"]), str(job["job_id"])
        return job

    def command(self, command: str, **parameters: object) -> str:
        """Send a command; its task_id."""
        return self.member.command(self.printer_id, command, **parameters)

    def reports(self, task_id: str = "") -> list[dict[str, Any]]:
        """What the cloud was told of a task (the last job's), in order."""
        return [one["body"] for one in self.member.reports(task_id or self.task_id)]

    def ended(self, task_id: str = "", within: float = PATIENCE) -> dict[str, Any]:
        """The terminal report of a task (the last job's), once it is there."""

        def terminal() -> dict[str, Any] | None:
            reports = self.reports(task_id)
            return reports[-1] if reports and reports[-1]["progress"] == 1 else None

        return dict(self.until(f"task {task_id or self.task_id} ends", terminal, within))

    def do(self, command: str, **parameters: object) -> dict[str, Any]:
        """Send a command and wait for its end."""
        return self.ended(self.command(command, **parameters))

    def job_is(self, job_id: str, status: str) -> None:
        """Wait until the cloud has the job in this state."""
        self.until(f"the job is {status}", lambda: self.member.job(job_id)["job_status"] == status)


class KillableAgentRig(AgentRig):
    """An agent that comes and goes, and a printer that writes down what it executes. The agent's log is over all its
    lives."""

    def __init__(
        self,
        parts: ChildProcesses,
        member: SandboxMember,
        *,
        url: str,
        member_token: str,
        folder: Path,
        simulate: tuple[str, ...],
        module: tuple[str, ...],
        bed: str,
    ) -> None:
        super().__init__(parts, member, url=url, member_token=member_token, folder=folder)
        self._simulate = simulate
        self._module = module
        self.bed = bed
        self._boards = 0
        self._board: ChildProcess | None = None
        self._record = folder / "record-0"
        self._read = 0  # bytes of the record that are in `_executed`
        self._executed: list[tuple[float, str]] = []
        self._agent: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """Wait a moment. Fails when the agent has ended by itself."""
        assert self._agent is None or self._agent.poll() is None, f"the agent ended by itself\n{self.log()[-6000:]}"
        super().watch()

    # --- the printer

    def plug_in(self) -> None:
        """A board that was just switched on."""
        self._boards += 1
        self._record, self._read = self.folder / f"record-{self._boards}", 0
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        arguments = ["simulate", *self._simulate, "--record", str(self._record)]
        self._board = ChildProcess("printer", arguments, self.folder / "printer.log", events)
        event = events.get(timeout=PATIENCE)
        assert event["event"] == "ready", event

    def unplug(self) -> None:
        """Switch it off."""
        if self._board is not None:
            self.executed()
            self._board.terminate()
            self._board.end(time.monotonic() + 5.0)
            self._board = None

    def executed(self) -> list[tuple[float, str]]:
        """All commands that boards executed so far, each with its time in seconds."""
        if self._record.exists():
            with self._record.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode("latin-1").splitlines():
                at, _, code = line.partition(" ")
                self._executed.append((float(at), code))
        return self._executed

    def half_a_line(self, text: bytes) -> None:
        """What an agent that dies while it writes leaves on the wire."""
        fd = os.open(self.folder / "printer", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)

    # --- the agent

    def start(self) -> None:
        """One more life."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")}
        config = str(self.folder / "agent.toml")
        with (self.folder / "agent.log").open("ab") as log:
            self._agent = subprocess.Popen(
                [sys.executable, "-m", *self._module, "run", "--config", config, *_asking(self.bed), "--until-eof"],
                stdin=subprocess.PIPE,  # it ends when we do, in whatever way
                stdout=log,
                stderr=log,
                env=environ,
            )

    def send(self, how: signal.Signals) -> None:
        """Send a signal that it may take its time to follow; `wait` is for its end."""
        assert self._agent is not None
        self._agent.send_signal(how)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """kill -9, or another way; the exit code."""
        if self._agent is None:
            return 0
        self._agent.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; the exit code."""
        agent, self._agent = self._agent, None
        assert agent is not None
        assert agent.stdin is not None
        try:
            return agent.wait(PATIENCE)
        finally:
            agent.stdin.close()

    def job_command(self, command: str) -> str:
        """Send a command for the job that was submitted last; its task_id."""
        return self.command(command, job_id=self.job_id)


def _simulate(
    folder: Path,
    speed: str,
    faults: tuple[str, ...],
    dialect: str = "marlin",
    probe: int = 0,
    *,
    bootloader: bool = False,
) -> tuple[str, ...]:
    words = [word for fault in faults for word in ("--fault", fault)]
    if bootloader:
        words.append("--bootloader")
    return ("--link", str(folder / "printer"), "--speed", speed, "--dialect", dialect, "--probe", str(probe), *words)


def _asking(bed: str) -> tuple[str, ...]:
    return ("--set", f"job.bed={bed}")


def _start_cloud(parts: ChildProcesses, folder: Path, *more: str) -> None:
    parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud"), *more])


def _configure(folder: Path, server: str, serial: str, progress_s: float, more: str) -> Path:
    config = folder / "agent.toml"
    config.write_text(
        f'[cloud]\nserver = "{server}"\n[serial]\nport = "{folder / "printer"}"\nbaud = 115200\n{serial}'
        f"[reports]\nprogress_s = {progress_s}\nheartbeat_s = 1\n"
        f'[state]\ndir = "{folder / "state"}"\n[local]\nsocket = "{folder / "agent.sock"}"\n{more}'
    )
    return config


@contextmanager
def agent_rig(
    folder: Path,
    *,
    speed: str = "max",
    dialect: str = "marlin",
    faults: tuple[str, ...] = (),
    more: str = "",
    front: Callable[[str], str] | None = None,
    sandbox: tuple[str, ...] = (),
    agent: bool = True,
    state: str = "ready",
    bed: str = "free",
    probe: int = 0,
    bootloader: bool = False,
) -> Iterator[AgentRig]:
    """Everything up and the printer registered. `more` is TOML put behind the agent's configuration. `front` gets the
    sandbox's URL and gives the one that the agent is to use. Without `agent` only the cloud and the printer are up;
    `state` is the printer's that is waited for. `probe`: points of the mesh that the printer measures. `bed` is
    `[job] bed`: most tests print several times. `bootloader`: the printer's board has one."""
    with ChildProcesses(folder) as parts:
        _start_cloud(parts, folder, *sandbox)
        parts.start("printer", ["simulate", *_simulate(folder, speed, faults, dialect, probe, bootloader=bootloader)])
        ready = parts.ready({"cloud", "printer"})["cloud"]
        url, token = str(ready["url"]), str(ready["member_token"])
        config = _configure(folder, front(url) if front else url, "", 0.05, more)
        with SandboxMember(url, token) as member:
            made = AgentRig(parts, member, url=url, member_token=token, folder=folder)
            if agent:
                parts.start("agent", ["run", "--config", str(config), *_asking(bed)])
                made.register(state)
            yield made


@contextmanager
def killable_agent_rig(
    folder: Path,
    *,
    speed: str = "4",
    faults: tuple[str, ...] = (),
    window: int = 1,
    more: str = "",
    module: tuple[str, ...] = ("agent.cli",),
    bed: str = "free",
    bootloader: bool = False,
) -> Iterator[KillableAgentRig]:
    """Everything up, the agent started and the printer registered. `more` is TOML behind the agent's configuration,
    `module` another main module, with its first arguments. `bed` is `[job] bed`; `bootloader` as in `agent_rig`."""
    with ExitStack() as stack:
        parts = stack.enter_context(ChildProcesses(folder))
        _start_cloud(parts, folder)
        ready = parts.ready({"cloud"})["cloud"]
        url, token = str(ready["url"]), str(ready["member_token"])
        member = stack.enter_context(SandboxMember(url, token))
        _configure(folder, url, f"window = {window}\n", 0.2, more)
        made = KillableAgentRig(
            parts,
            member,
            url=url,
            member_token=token,
            folder=folder,
            simulate=_simulate(folder, speed, faults, bootloader=bootloader),
            module=module,
            bed=bed,
        )
        stack.callback(made.unplug)
        stack.callback(made.kill)
        made.plug_in()
        made.start()
        made.register()
        yield made

"""One agent that prints, and everything round it that can be made hostile: its server, its printer's cable, hosts of
files, its local socket.

Real: the cloud (`printer-agent sandbox`), the printer (`printer-agent simulate` on a pty) and the agent
(`printer-agent run`) are processes. The hostile parts stand between them and do what a case says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.dryrun.processes import ChildProcesses
from agent.errors import AgentError
from agent.local.local_requests import CommandRequest, LocalCommand, PrintRequest, TaskRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember
from benchmarks.hostile.answers import HostileHost, hostile_host
from benchmarks.hostile.host import Memory, memory_limit, size_mb
from benchmarks.hostile.serial_front import SerialFront
from tests.rigs.agent_rig import PATIENCE, AgentRig
from tests.support.hostile_front import HostileFront, hostile_front
from tests.support.prints import write_gcode

SPEED = "10"  # simulated seconds a second: some 100 lines a second
ATTEMPTS, BUSY_S = 8, 1.0
UNIT = {"MALLOC_ARENA_MAX": "1"}  # as in systemd/printer-agent.service
REQUESTED = "job control requested"  # the log's event when the driver was asked


class Part(AgentRig):
    """The rig of an agent whose process is ours, so that it can be measured, limited and ended."""

    def __init__(self, agent: Callable[[], subprocess.Popen[bytes] | None], **rest: Any) -> None:
        super().__init__(**rest)
        self._agent = agent

    def watch(self) -> None:
        """Wait a moment. Fails when the agent has ended."""
        agent = self._agent()
        assert agent is None or agent.poll() is None, f"the agent ended by itself\n{self.log()[-3000:]}"
        super().watch()


class Stage:
    """What cases use. `rig` is the agent's, `front` its server, `cable` its printer's, `host` a hostile host of files.
    `under_way` and `ends` are of the case that runs."""

    def __init__(self, rig: Part, agent: subprocess.Popen[bytes], front: HostileFront, cable: SerialFront) -> None:
        self.rig, self.front, self.cable = rig, front, cable
        self.host: HostileHost
        self.agent = agent
        self.memory = Memory(agent.pid)
        self.under_way, self.ends = threading.Event(), threading.Event()
        self.config: dict[str, Any] = {}  # what a group has prepared
        self.told: list[Callable[[], None]] = []  # looked at when the case has ended
        self._send: Callable[[dict[str, object]], None] | None = None
        self._record_at = 0
        self._executed: list[str] = []
        self._local_task = ""

    # --- the publisher

    def publish(self, messages: Sequence[dict[str, object]], *, raw: Sequence[bytes] = (), tail: bytes = b"") -> None:
        """Have the agent receive these on its command channel, and wait until a reply has carried them. In `raw`
        elements CHANNEL is the channel."""
        channel = f"/printers/{self.rig.printer_id}/command"
        elements = [json.dumps({"channel": channel, "data": message}).encode() for message in messages]
        self.front.add([*elements, *(one.replace(b"CHANNEL", channel.encode()) for one in raw)], tail)
        end = time.monotonic() + PATIENCE
        while self.front.waiting() and time.monotonic() < end:
            self.rig.command("request_settings")  # a held connect is answered now
            for _ in range(100):
                if not self.front.waiting() or self.ends.wait(0.01):
                    break
            if self.ends.is_set():
                return

    def send_by(self, send: Callable[[dict[str, object]], None]) -> None:
        """Publish what the person at the portal asks for in another way."""
        self._send = send

    def command(self, name: str) -> None:
        """The person at the portal."""
        if self._send is not None:
            self._send({"command": name, "task_id": f"person-{time.monotonic_ns()}"})
        else:
            self.rig.command(name)

    # --- the print

    def print(self, lines: list[str]) -> None:
        """Begin to print this, as a person at the printer does, and wait until lines come out."""
        path = write_gcode(self.rig.folder / "file.gcode", lines)
        for _ in range(ATTEMPTS):  # a command of the case before may have the printer still
            self.begin_record()
            answer = ask(self.rig.socket, PrintRequest(name="file.gcode", size=path.stat().st_size), path)
            self._local_task = str(answer["task_id"])
            if self.rig.until("lines come out", lambda: len(self.own()) > 2 or self._refused(), within=20.0) is True:
                return
            time.sleep(BUSY_S)
        raise AssertionError("the printer was busy")

    def _refused(self) -> str:
        """Why the print that was just begun has ended; empty while it has not."""
        answer = ask(self.rig.socket, TaskRequest(self._local_task))
        return str(answer["message"]) if answer["state"] == "failed" else ""

    def begin_record(self) -> None:
        """Forget what the printer executed until now."""
        self.executed()
        self._executed.clear()

    def executed(self) -> list[str]:
        """What the printer executed since the last print began."""
        with (self.rig.folder / "record").open("rb") as file:
            file.seek(self._record_at)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._record_at += len(data)
        self._executed += [line.partition(" ")[2] for line in data.decode("latin-1").splitlines()]
        return self._executed

    def own(self) -> list[str]:
        """Of these the lines that are of the file alone."""
        return [line for line in self.executed() if _of_the_file(line)]

    def local_end(self, within: float = PATIENCE) -> tuple[str, str]:
        """State and message of the print once it has ended."""

        def ended() -> tuple[str, str] | None:
            answer = ask(self.rig.socket, TaskRequest(self._local_task))
            return (answer["state"], answer["message"]) if answer["state"] in ("completed", "failed") else None

        found: tuple[str, str] = self.rig.until("the print ends", ended, within)
        return found

    def compare(self, lines: list[str], *, whole: bool) -> int:
        """Check that what was executed is the file, or its beginning; how many of its lines."""
        own, wanted = self.own(), [line for line in lines if _of_the_file(line)]
        if not whole:
            wanted = wanted[: len(own)]
        if own != wanted:
            pairs = enumerate(zip(own, wanted, strict=False))
            at = next((i for i, (is_, should) in pairs if is_ != should), min(len(own), len(wanted)))
            raise AssertionError(
                f"lost lines: {len(own)} executed of {len(wanted)};"
                f" at {at}: {own[at : at + 3]} for {wanted[at : at + 3]}"
            )
        return len(own)

    # --- control

    def act(self, name: LocalCommand, *, locally: bool = False, by_log: bool = False) -> float:
        """Cancel or pause the print that runs; the seconds from the publication until the driver acts on it, by the
        agent's status or its log, whichever says so first (the log alone for a job that does not print yet)."""
        at = len(self.rig.log())
        began, began_wall = time.monotonic(), time.time()
        if locally:
            ask(self.rig.socket, CommandRequest(name))
        else:
            self.command(name)
        took: list[float] = []

        def acted() -> bool:
            moment = _requested(self.rig.log()[at:], name)
            if moment is not None:
                took.append(max(moment - began_wall, 0.0))
            elif not by_log and self.rig.status()["printer_status"] != "printing":
                took.append(time.monotonic() - began)
            return bool(took)

        self.rig.until(f"the {name} is acted on", acted, within=30.0)
        return took[0]

    def status_is(self, *states: str, within: float = PATIENCE) -> None:
        """Wait until the agent says one of these of its printer."""
        self.rig.until(f"it is {states}", lambda: self.rig.status()["printer_status"] in states, within)

    def settle(self) -> None:
        """Wait until the printer is idle and the agent listens again."""
        self.front.relent()
        self.cable.relent()
        self._send = self.config.get("send")
        self.status_is("ready", within=30.0)
        self.rig.until("it listens", lambda: self.rig.status()["listening"], within=15.0)

    def state_mb(self) -> float:
        """The state folder without the file that is printed, and those kept."""
        return size_mb(self.rig.folder / "state", without=("jobs", "kept"))


def _of_the_file(line: str) -> bool:
    return line.startswith("M117") or (line.startswith("G1 X") and " E" in line)


def _requested(log: str, name: str) -> float | None:
    """When the log says that this was asked of the driver, in seconds since the epoch."""
    for line in log.splitlines():
        if f'"event":"{REQUESTED}"' in line and f'"command":"{name}"' in line:
            stamp = line.partition('"timestamp":"')[2].partition('"')[0]
            return datetime.fromisoformat(stamp).timestamp()
    return None


Behind = Callable[[ExitStack, str, dict[str, Any]], str]
Prepare = Callable[[Path, HostileHost], tuple[str, dict[str, Any]]]


@contextmanager
def stage(
    folder: Path,
    *,
    prepare: Prepare | None = None,
    behind: Behind | None = None,
) -> Iterator[Stage]:
    """Everything up, the printer registered and idle.

    `prepare` gives TOML for the end of the agent's configuration, and what the cases need: `cloud`, `job`, `local` are
    lines of these tables, `sandbox` arguments of it, `before` is called before the printer is registered, `send`
    publishes in the portal's place. `behind` puts something between cloud and front: it gets a URL, gives another."""
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        parts = stack.enter_context(ChildProcesses(folder))
        host = stack.enter_context(hostile_host())
        front = stack.enter_context(hostile_front())
        extra, known = prepare(folder, host) if prepare is not None else ("", {})
        sandbox = ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud"), *known.get("sandbox", ())]
        parts.start("cloud", sandbox)
        board, record = str(folder / "board"), str(folder / "record")
        parts.start("printer", ["simulate", "--link", board, "--speed", SPEED, "--record", record])
        ready = parts.ready({"cloud", "printer"})["cloud"]
        url, token = str(ready["url"]), str(ready["member_token"])
        cable = stack.enter_context(SerialFront(Path(board), folder / "printer"))
        server = front.behind(behind(stack, url, known) if behind is not None else url)
        config = folder / "agent.toml"
        config.write_text(
            f'[cloud]\nserver = "{server}"\n{known.get("cloud", "")}[serial]\nport = "{folder / "printer"}"\n'
            f'baud = 115200\n[reports]\nprogress_s = 0.2\nheartbeat_s = 1\n[state]\ndir = "{folder / "state"}"\n'
            f'[local]\nsocket = "{folder / "agent.sock"}"\n{known.get("local", "")}'
            f'[job]\nbed = "free"\n{known.get("job", "")}{extra}'
        )
        member = stack.enter_context(SandboxMember(url, token))
        agent = stack.enter_context(_agent(config, folder))
        processes.append(agent)
        rig = Part(lambda: processes[0], parts=parts, member=member, url=url, member_token=token, folder=folder)
        made = Stage(rig, agent, front, cable)
        made.host, made.config = host, known
        if before := known.get("before"):
            before(made)
        rig.register()
        made.settle()
        yield made


@contextmanager
def _agent(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The agent's process, held to the unit's memory where the machine can."""
    netrc = folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password of-the-owner\n")
    netrc.chmod(0o600)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")}
    words = [*memory_limit(), sys.executable, "-m", "agent.cli", "run", "--config", str(config), "--until-eof"]
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**environ, **UNIT, "NETRC": str(netrc)}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(6.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def answers(stage: Stage) -> bool:
    """Whether the agent is there and answers at its socket."""
    try:
        return stage.agent.poll() is None and bool(stage.rig.status())
    except (AgentError, OSError):
        return False

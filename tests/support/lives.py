"""A cloud, a printer that writes down what it executes, and an agent that comes and goes: each a real process."""

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

from agent.dryrun.processes import Part, Parts
from agent.errors import AgentError
from agent.local.requests import RegisterRequest, StatusRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember

PATIENCE = 60.0  # seconds for anything that should happen
LOOK = 0.01


class Lives:
    """`lives()` makes one. The agent's log is `agent.log`, over all its lives."""

    def __init__(
        self, folder: Path, stack: ExitStack, speed: str, faults: tuple[str, ...], window: int, more: str
    ) -> None:
        self.module: tuple[str, ...] = ("agent.cli",)
        self.folder = folder
        self.printer_link = folder / "printer"
        self.socket = folder / "agent.sock"
        self._speed, self._faults = speed, faults
        self._boards = 0
        self._board: Part | None = None
        self._record = folder / "record-0"
        self._read = 0  # bytes of the record that are in `_executed`
        self._executed: list[tuple[float, str]] = []
        self._agent: subprocess.Popen[bytes] | None = None
        parts = stack.enter_context(Parts(folder))
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
        ready = parts.ready({"cloud"})["cloud"]
        self.member = stack.enter_context(SandboxMember(str(ready["url"]), str(ready["member_token"])))
        stack.callback(self.unplug)
        self.plug_in()
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'[cloud]\nserver = "{ready["url"]}"\n[serial]\nport = "{self.printer_link}"\nbaud = 115200\n'
            f"window = {window}\n[reports]\nprogress_s = 0.2\nheartbeat_s = 1\n"
            f'[state]\ndir = "{folder / "state"}"\n[local]\nsocket = "{self.socket}"\n{more}'
        )
        stack.callback(self.kill)
        self.printer_id = 0
        self.task_id = self.job_id = ""

    # --- the printer

    def plug_in(self) -> None:
        """A board that was just switched on."""
        self._boards += 1
        self._record, self._read = self.folder / f"record-{self._boards}", 0
        words = [word for fault in self._faults for word in ("--fault", fault)]
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        arguments = ["simulate", "--link", str(self.printer_link), "--speed", self._speed, *words]
        log = self.folder / "printer.log"
        self._board = Part("printer", [*arguments, "--record", str(self._record)], log, events)
        event = events.get(timeout=PATIENCE)
        assert event["event"] == "ready", event

    def unplug(self) -> None:
        """Switch it off."""
        if self._board is not None:
            self.executed()
            self._board.ask_to_end()
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
        fd = os.open(self.printer_link, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)

    # --- the agent

    def start(self) -> None:
        """One more life."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")}
        with (self.folder / "agent.log").open("ab") as log:
            self._agent = subprocess.Popen(
                [sys.executable, "-m", *self.module, "run", "--config", str(self.config), "--until-eof"],
                stdin=subprocess.PIPE,  # it ends when we do, in whatever way
                stdout=log,
                stderr=log,
                env=environ,
            )

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

    def until(self, what: str, look: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait for something true, as long as the agent lives."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            try:
                found = look()
            except AgentError:
                found = None
            if found:
                return found
            assert self._agent is None or self._agent.poll() is None, f"the agent ended by itself\n{self.log()}"
            time.sleep(LOOK)
        raise AssertionError(f"did not happen within {within:.0f} s: {what}\n{self.log()}")

    def log(self) -> str:
        """The end of what it logged."""
        return (self.folder / "agent.log").read_text(errors="replace")[-6000:]

    def status(self) -> dict[str, Any]:
        """The agent's own word."""
        return dict(ask(self.socket, StatusRequest())["status"])

    def register(self) -> None:
        """Read the code at the printer, type it into the portal."""
        code = self.until("a code", lambda: ask(self.socket, RegisterRequest())["registration"].get("code"))
        self.printer_id = self.member.register("lives", str(code))
        self.until("ready", lambda: self.status()["listening"] and self.status()["printer_status"] == "ready")

    # --- the print

    def submit(self, file: Path) -> None:
        """Send a job."""
        job = self.member.submit_job(self.printer_id, self.member.upload(file), file.name)
        self.task_id, self.job_id = str(job["task_id"]), str(job["job_id"])

    def command(self, name: str) -> str:
        """Send a command; its task_id."""
        return self.member.command(self.printer_id, name, job_id=self.job_id)

    def reports(self, task_id: str = "") -> list[dict[str, Any]]:
        """What the cloud was told of a task (the print's), in order."""
        return [one["body"] for one in self.member.reports(task_id or self.task_id)]

    def ended(self, task_id: str = "", within: float = PATIENCE) -> dict[str, Any]:
        """The task's terminal report, once it is there."""

        def terminal() -> dict[str, Any] | None:
            found = self.reports(task_id)
            return found[-1] if found and found[-1]["progress"] == 1 else None

        return dict(self.until("the task ends", terminal, within))


@contextmanager
def lives(
    folder: Path,
    *,
    speed: str = "4",
    faults: tuple[str, ...] = (),
    window: int = 1,
    more: str = "",
    module: tuple[str, ...] = (),
) -> Iterator[Lives]:
    """Everything up, the agent started and the printer registered. `more` is TOML behind the agent's configuration,
    `module` another main module, with its first arguments."""
    with ExitStack() as stack:
        made = Lives(folder, stack, speed, faults, window, more)
        made.module = module or made.module
        made.start()
        made.register()
        yield made


def gcode(moves: int, *, length: float = 2.5, speed: int = 1500) -> list[str]:
    """A print of which each line is there once, and which says where it is: mm, and mm a minute."""
    lines = ["M117 begin", "G90", "M82", "G28", "M104 S60", "M106 S120", "G1 Z0.2 F600"]
    for at in range(1, moves + 1):
        if at % 50 == 1:
            lines.append(f"M117 layer {at // 50}")
        place = 20.0 + length * (at % 20 if at // 20 % 2 == 0 else 20 - at % 20)
        lines.append(f"G1 X{place:.2f} Y{20 + at // 20 % 20} E{at / 1000:.3f} F{speed}")
    return [*lines, "M117 end"]


def write_gcode(path: Path, lines: list[str]) -> Path:
    """With the comments by which layers are known."""
    text = "\n".join(f";LAYER_CHANGE\n{line}" if line.startswith("M117 layer") else line for line in lines)
    path.write_text(text + "\n")
    return path


def of_the_file(executed: list[tuple[float, str]], lines: list[str]) -> list[tuple[float, str]]:
    """What was executed without what a host adds: the file's own lines that no host would send by itself."""
    own = {line for line in lines if line.startswith(("M117", "G1 X"))}
    return [(at, code) for at, code in executed if code in own]


def assert_whole(executed: list[tuple[float, str]], lines: list[str]) -> None:
    """What was executed is the file: each line once, in order."""
    own = of_the_file(executed, lines)
    wanted = [line for line in lines if line.startswith(("M117", "G1 X"))]
    if [code for _, code in own] == wanted:
        return
    pairs = enumerate(zip(own, wanted, strict=False))
    at = next((i for i, ((_, found), line) in pairs if found != line), min(len(own), len(wanted)))
    moment = own[min(at, len(own) - 1)][0]
    around = "\n".join(f"  {moved - moment:+.3f} {code}" for moved, code in executed if abs(moved - moment) < 2.0)
    raise AssertionError(
        f"executed is not the file: {len(own)} lines, {len(wanted)} in the file;"
        f" instead of {wanted[min(at, len(wanted) - 1)]!r}, at 0.000 s:\n{around}"
    )

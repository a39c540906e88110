"""kill -9 of the whole agent at random instants, between the real Faye server, an API that fails at random and the
virtual printer. What must hold: each task has exactly one terminal report at the cloud, none ran twice, the database is
intact after each kill."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from agent.dryrun.processes import ChildProcesses
from agent.errors import AgentError
from agent.local.local_requests import OutboxRequest, RegisterRequest, StatusRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember
from benchmarks.flaky_proxy import FlakyProxy
from drivers.simulated.options import Options
from drivers.simulated.printer import VirtualPrinter
from tests.integration.faye_support import RealFayeServer
from tests.support.ports import free_port

PATIENCE = 90.0  # seconds until everything has its end, once nobody kills any more
LONGEST_LIFE = 1.6  # seconds from a start to a kill
MOVES = 60  # of a print, each a tenth of a second or so of the printer's time


class World:
    """All but the agent, and the agent as something to start and to kill."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.seen: Counter[str] = Counter()  # markers and homings that the printer executed
        self.printing = threading.Event()
        self.tasks: dict[str, str] = {}  # task_id -> marker, or the command
        self.resent = 0
        self._process: subprocess.Popen[bytes] | None = None
        parts = stack.enter_context(ChildProcesses(folder))
        port = free_port()
        publish = ("--publish-to", f"http://127.0.0.1:{port}/faye")
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud"), *publish])
        ready = parts.ready({"cloud"})["cloud"]
        self.proxy = FlakyProxy(str(ready["url"]), 0.0, seed)
        stack.callback(self.proxy.close)
        self.faye = stack.enter_context(RealFayeServer(timeout=5.0, proxy=self.proxy.url, port=port))
        stack.enter_context(VirtualPrinter(Options(speed=10.0, link=folder / "printer"), on_line=self._on_line))
        self.member = stack.enter_context(SandboxMember(str(ready["url"]), str(ready["member_token"])))
        self.printer_id = 0
        self._page = f"127.0.0.1:{free_port()}"
        (folder / "agent.toml").write_text(
            f'[cloud]\nserver = "http://127.0.0.1:{port}"\n[serial]\nport = "{folder / "printer"}"\nbaud = 115200\n'
            f'[reports]\nprogress_s = 0.1\nheartbeat_s = 1\n[state]\ndir = "{folder / "state"}"\n'
            f'[local]\nsocket = "{folder / "agent.sock"}"\nstatus_page = "{self._page}"\n[logs]\nlevel = "debug"\n'
            '[job]\nbed = "free"\n'
        )
        stack.callback(self.kill)

    def _on_line(self, line: bytes) -> None:
        text = line.decode("ascii", "replace")
        if "M117 " in text:
            self.seen[text.split("M117 ", 1)[1].split("*")[0].strip()] += 1
            self.printing.set()
        elif "G28" in text:
            self.seen["G28"] += 1

    def start(self) -> None:
        """Start an agent."""
        with (self.folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", "run", "--config", str(self.folder / "agent.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the agent with `how`."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def alive(self) -> bool:
        """Whether the agent runs."""
        return self._process is not None and self._process.poll() is None

    def until(self, what: str, look: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait for `look` to give something true."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            try:
                found = look()
            except AgentError:
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not happen within {within:.0f} s: {what}")

    def register(self) -> None:
        """Register the printer."""
        self.start()
        code = self.until(
            "a code", lambda: ask(self.folder / "agent.sock", RegisterRequest())["registration"].get("code")
        )
        self.printer_id = self.member.register("torture", str(code))
        self.faye.wait_for("subscribe", channel=self.channel, within=PATIENCE)

    @property
    def channel(self) -> str:
        """The channel of commands."""
        return f"/printers/{self.printer_id}/command"

    def send(self) -> None:
        """Send a command of a random kind; a print has a line that no other print has."""
        if self.random.random() < 0.3:
            self.send_home()
        else:
            self.send_print()

    def send_home(self) -> None:
        """Send `home`, the only command here without a marker: homings are counted."""
        self.tasks[self.member.command(self.printer_id, "home")] = "home"

    def ready(self) -> bool:
        """Whether the agent listens, and has a printer that does nothing."""
        status = ask(self.folder / "agent.sock", StatusRequest())["status"]
        return bool(status["listening"]) and status["printer_status"] == "ready"

    def send_print(self, moves: int = MOVES) -> str:
        """Submit a print with a marker of its own as its first line."""
        marker = f"task {len(self.tasks)}"
        file = self.folder / "job.gcode"
        lines = "".join(f"G1 X{10 + i % 90} Y{10 + i * 7 % 90} F3000\n" for i in range(moves))
        file.write_text(f"M117 {marker}\n{lines}")
        job = self.member.submit_job(self.printer_id, self.member.upload(file), file.name)
        self.tasks[str(job["task_id"])] = marker
        return marker

    def terminals(self, task_id: str) -> int:
        """Count different terminal reports of a task at the cloud; one that came twice under one key counts once."""
        return sum(report["body"]["progress"] == 1 for report in self.member.reports(task_id))

    def resend(self) -> None:
        """Send every command without an end once more: what the channel lost, or a careful server sends twice."""
        for task_id, what in self.tasks.items():
            if what == "home" and not self.terminals(task_id):
                self.faye.publish(self.channel, {"command": "home", "task_id": task_id})
                self.resent += 1

    def secret(self) -> None:
        """Check that no token is in what the agent wrote, answers, or shows to other processes, and that the state is
        its owner's alone."""
        state = self.folder / "state"
        tokens = [one["auth_token"] for one in json.loads((state / "identity.json").read_text())]
        assert tokens
        shown = [self.folder.joinpath("agent.log").read_text(errors="replace")]
        shown += [
            str(ask(self.folder / "agent.sock", one)) for one in (StatusRequest(), RegisterRequest(), OutboxRequest())
        ]
        pages = [requests.get(f"http://{self._page}{path}", timeout=10) for path in ("/", "/status.json", "/metrics")]
        assert [page.status_code for page in pages] == [200] * 3
        shown += [page.text for page in pages]
        if self._process is not None:
            shown += [Path(f"/proc/{self._process.pid}/{name}").read_text() for name in ("cmdline", "environ")]
        assert not [token for token in tokens for text in shown if token in text], "a token is shown"
        assert all(path.stat().st_mode & 0o077 == 0 for path in state.glob("*") if path.is_file())

    def intact(self) -> None:
        """Check the integrity of the database as the kill left it."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for part in (self.folder / "state").glob("agent.db*"):
            if not part.name.endswith(("-shm", ".spare")):
                shutil.copy(part, copy / part.name)
        with closing(sqlite3.connect(copy / "agent.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not list((self.folder / "state").glob("*.damaged-*"))


@contextmanager
def world(folder: Path, seed: int) -> Iterator[World]:
    """Start everything and register the printer."""
    with ExitStack() as stack:
        made = World(folder, seed, stack)
        made.register()
        made.kill()
        yield made


def torture(folder: Path, kills: int, printing: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """`kills` kills, `printing` of them while a print runs. Raises AssertionError for a broken promise."""
    began = time.monotonic()
    with world(folder, seed) as made:
        made.proxy.rate = 0.15
        while_printing = 0
        for number in range(kills):
            made.start()
            wanted = number * printing // kills > while_printing - 1 and while_printing < printing
            if wanted:
                made.printing.clear()
                made.send_print()
                if made.printing.wait(10.0):
                    time.sleep(made.random.uniform(0.0, 0.4))
                    while_printing += 1
            elif number % 4 == 1:  # a homing that has a chance to begin
                made.until("ready", made.ready)
                made.send_home()
                time.sleep(made.random.uniform(0.0, 0.5))
            else:
                if made.random.random() < 0.5:
                    made.send()
                time.sleep(made.random.uniform(0.2, LONGEST_LIFE))
            assert made.alive(), "the agent ended by itself"
            made.kill()
            made.intact()
            if number % 50 == 49:
                made.resend()
                say(f"  {number + 1} kills, {while_printing} while printing, {time.monotonic() - began:.0f} s")
        made.proxy.rate = 0.0
        made.start()
        _drain(made)
        _check(made)
        made.secret()
        made.kill()
        made.intact()
        return {
            "kills": kills,
            "while_printing": while_printing,
            "tasks": len(made.tasks),
            "homes": sum(what == "home" for what in made.tasks.values()),
            "prints_begun": sum(count for what, count in made.seen.items() if what != "G28"),
            "homings": made.seen["G28"],
            "api_faults": sum(made.proxy.faults.values()),
            "sent_again": made.resent,
            "seconds": round(time.monotonic() - began),
        }


def _drain(made: World) -> None:
    """Wait until each task has its end; the channel's losses are sent again meanwhile."""
    end = time.monotonic() + PATIENCE
    while True:
        time.sleep(1.0)
        missing = [task_id for task_id in made.tasks if not made.terminals(task_id)]
        if not missing:
            return
        assert time.monotonic() < end, f"without an end: {[(one, made.tasks[one]) for one in missing]}"
        made.resend()


def _check(made: World) -> None:
    several = {task_id: n for task_id in made.tasks if (n := made.terminals(task_id)) != 1}
    assert not several, f"not exactly one terminal report: {several}"
    twice = {what: count for what, count in made.seen.items() if what != "G28" and count > 1}
    assert not twice, f"ran twice: {twice}"
    assert made.seen["G28"] <= sum(what == "home" for what in made.tasks.values()), "a homing too many"

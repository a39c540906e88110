"""The three long-running parts, each a real process, with a person at the portal and one at the printer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.dryrun.processes import Parts
from agent.errors import UnavailableError
from agent.local.requests import RegisterRequest, StatusRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember

PATIENCE = 30.0  # seconds for anything that should happen
LOOK = 0.02


class Rig:
    """`member` is the portal, `printer_id` the registered printer, `socket` the agent's."""

    def __init__(self, parts: Parts, member: SandboxMember, url: str, folder: Path) -> None:
        self.parts = parts
        self.member = member
        self.url = url
        self.folder = folder
        self.socket = folder / "agent.sock"
        self.printer_id = 0

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """Wait for `look` to give something true, with the parts watched meanwhile."""
        waited = 0.0
        while waited < PATIENCE:
            found = look()
            if found:
                return found
            self.parts.event(LOOK)
            waited += LOOK
        raise AssertionError(f"did not happen within {PATIENCE:.0f} s: {what}\n{self.log()}")

    def log(self) -> str:
        """What the agent logged."""
        return (self.folder / "agent.log").read_text()

    def status(self) -> dict[str, Any]:
        """The agent's own word."""
        return dict(ask(self.socket, StatusRequest())["status"])

    def register(self) -> None:
        """Read the code at the printer, type it into the portal, wait until the printer is ready there."""

        def code() -> str:
            try:
                return str(ask(self.socket, RegisterRequest())["registration"].get("code", ""))
            except UnavailableError:
                return ""

        self.printer_id = self.member.register("rig", self.until("a registration code", code))
        self.until("the printer is ready and listens", lambda: self.state() == "ready" and self.status()["listening"])

    def state(self) -> str:
        """The printer's state as the cloud knows it."""
        return str(self.member.printer_status(self.printer_id).get("last_reported_state"))

    def submit(self, file: Path, **settings: object) -> dict[str, Any]:
        """Send a job; the portal's answer."""
        return self.member.submit_job(self.printer_id, self.member.upload(file), file.name, settings)

    def command(self, command: str, **parameters: object) -> str:
        """Send a command; its task_id."""
        return self.member.command(self.printer_id, command, **parameters)

    def ended(self, task_id: str) -> dict[str, Any]:
        """The task's terminal report, once it is there."""

        def terminal() -> dict[str, Any] | None:
            reports = self.member.reports(task_id)
            return reports[-1]["body"] if reports and reports[-1]["body"]["progress"] == 1 else None

        return dict(self.until(f"task {task_id} ends", terminal))

    def do(self, command: str, **parameters: object) -> dict[str, Any]:
        """Send a command and wait for its end."""
        return self.ended(self.command(command, **parameters))

    def job_is(self, job_id: str, status: str) -> None:
        """Wait until the cloud has the job in this state."""
        self.until(f"the job is {status}", lambda: self.member.job(job_id)["job_status"] == status)


def check_record(bodies: list[dict[str, Any]]) -> None:
    """The life of a task (docs/protocol.md): begins with progress 0, never goes back, one terminal report at the
    end."""
    values = [body["progress"] for body in bodies]
    assert values[0] == 0
    assert values == sorted(values)
    assert values.count(1) == 1
    assert values[-1] == 1
    assert bodies[0]["data"]["state"] == "received"
    assert bodies[-1]["data"]["state"] in ("completed", "failed")
    for body in bodies:
        assert len(msgspec.json.encode(body["data"]).decode()) <= 5000


@contextmanager
def rig(
    folder: Path,
    *,
    speed: str = "max",
    faults: tuple[str, ...] = (),
    more: str = "",
    front: Callable[[str], str] | None = None,
    sandbox: tuple[str, ...] = (),
    agent: bool = True,
) -> Iterator[Rig]:
    """Everything up and the printer registered. `more` is TOML put behind the agent's configuration. `front` gets the
    sandbox's URL and gives the one that the agent is to use."""
    with Parts(folder) as parts:
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud"), *sandbox])
        words = [word for fault in faults for word in ("--fault", fault)]
        parts.start("printer", ["simulate", "--link", str(folder / "printer"), "--speed", speed, *words])
        ready = parts.ready({"cloud", "printer"})["cloud"]
        url = str(ready["url"])
        config = folder / "agent.toml"
        config.write_text(
            f'[cloud]\nserver = "{front(url) if front else url}"\n'
            f'[serial]\nport = "{folder / "printer"}"\nbaud = 115200\n'
            f"[reports]\nprogress_s = 0.05\nheartbeat_s = 1\n"
            f'[state]\ndir = "{folder / "state"}"\n[local]\nsocket = "{folder / "agent.sock"}"\n{more}'
        )
        with SandboxMember(url, str(ready["member_token"])) as member:
            made = Rig(parts, member, url, folder)
            if agent:
                parts.start("agent", ["run", "--config", str(config)])
                made.register()
            yield made


def in_background(work: Callable[[], None], name: str) -> threading.Thread:
    """Run it on a thread of its own."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread

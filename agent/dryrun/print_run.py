"""The dry run itself: set the parts up, do what a person does in the web portal, follow the print in the cloud."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec

from agent.dryrun.display import Show, make_show
from agent.dryrun.processes import Parts
from agent.errors import EX_DATAERR, EX_OK, EX_UNAVAILABLE, DataError, UnavailableError
from agent.gcode import Limits, Scanner
from agent.local.requests import RegisterRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember

LONG = 20.0  # seconds that a print takes at --speed auto, where the slicer says how long it really is
AUTO_MAX = 200.0  # times real time at --speed auto, at most
REGISTRATION = 20.0  # seconds until the agent must have its registration code
SILENCE = 60.0  # seconds without any news from the cloud after which the dry run gives up
POLL = 0.05  # seconds between two looks at the agent's registration
BLOCK = 1 << 18


class Wanted(msgspec.Struct, frozen=True):
    """The arguments. `file` None is the bundled demo; `speed` None is auto, infinity is max."""

    file: Path | None = None
    speed: float | None = None
    faults: tuple[str, ...] = ()
    json: bool = False
    keep: bool = False


class Job(msgspec.Struct, frozen=True):
    """The submitted job."""

    job_id: str
    task_id: str


def run(wanted: Wanted) -> int:
    """Do it; the exit code: 0 completed, 65 the file was refused, 69 anything else that failed.

    Raises AgentError for what a person can mend, KeyboardInterrupt as it is. The parts have ended in any case.
    """
    folder = Path(tempfile.mkdtemp(prefix="printer-agent-dry-run-"))
    show = make_show(json=wanted.json)
    try:
        with as_file(files("agent.sandbox") / "data" / "demo.gcode") as demo:
            file = wanted.file or demo
            _check(file)
            return _run(wanted, file, folder, show)
    finally:
        show.close()
        if wanted.keep:
            show.kept(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run(wanted: Wanted, file: Path, folder: Path, show: Show) -> int:
    speed = wanted.speed if wanted.speed is not None else _auto_speed(file)
    began = time.monotonic()
    with Parts(folder) as parts:
        member = _set_up(parts, wanted, folder, speed, show)
        with member:
            printer_id = _register(parts, folder, member)
            job = _submit(member, printer_id, file)
            show.submitted(file.name, printer_id, speed)
            _follow(parts, job, show)
            summary = _summary(member, job, time.monotonic() - began)
        show.summary(summary)
        return _exit_code(summary)


def _check(file: Path) -> None:
    """What can be said before anything is started. Raises DataError."""
    try:
        if not file.is_file():
            raise DataError(f"{file}: {'not a file' if file.exists() else 'no such file'}")
        with file.open("rb") as stream:
            if not stream.read(1):
                raise DataError(f"{file}: the file is empty")
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _auto_speed(file: Path) -> float:
    """So fast that the print takes about LONG seconds; max where nobody says how long it is."""
    scanner = Scanner(Limits())
    try:
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                scanner.feed(block)
        seconds = scanner.finish().position(0).seconds_left
    except DataError:
        return math.inf  # the agent will refuse it; it is the one to say why
    return min(max(round(seconds / LONG), 1), AUTO_MAX) if seconds else math.inf


def _set_up(parts: Parts, wanted: Wanted, folder: Path, speed: float, show: Show) -> SandboxMember:
    link = folder / "printer"
    shown_speed = "max" if math.isinf(speed) else str(speed)
    faults = [word for fault in wanted.faults for word in ("--fault", fault)]
    parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
    parts.start("printer", ["simulate", "--link", str(link), "--speed", shown_speed, *faults])
    cloud = parts.ready({"cloud", "printer"})["cloud"]
    config = folder / "agent.toml"
    config.write_text(_config(str(cloud["url"]), link, folder), encoding="utf-8")
    parts.start("agent", ["run", "--config", str(config)])
    show.started(str(cloud["url"]), str(link))
    return SandboxMember(str(cloud["url"]), str(cloud["member_token"]))


def _config(url: str, port: Path, folder: Path) -> str:
    """The agent's configuration, as a person would write it. TOML takes JSON's strings."""

    def quoted(text: str) -> str:
        return msgspec.json.encode(text).decode()

    return f"""[cloud]
server = {quoted(url)}
[printer]
name = "dry-run"
[serial]
port = {quoted(str(port))}
baud = 115200
[reports]
progress_s = 0.5
heartbeat_s = 5
[state]
dir = {quoted(str(folder / "state"))}
[local]
socket = {quoted(str(folder / "agent.sock"))}
"""


def _register(parts: Parts, folder: Path, member: SandboxMember) -> int:
    """Read the code at the printer and type it into the portal; the printer's id."""
    deadline = time.monotonic() + REGISTRATION
    while time.monotonic() < deadline:
        try:
            found = ask(folder / "agent.sock", RegisterRequest())["registration"]
        except UnavailableError:
            found = {}  # the agent is not up yet
        if found.get("code"):
            return member.register("dry-run", str(found["code"]))
        parts.event(POLL)
    raise UnavailableError(f"the agent did not register within {REGISTRATION:.0f} s")


def _submit(member: SandboxMember, printer_id: int, file: Path) -> Job:
    try:
        url = member.upload(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    answer = member.submit_job(printer_id, url, file.name)
    return Job(job_id=str(answer["job_id"]), task_id=str(answer["task_id"]))


def _follow(parts: Parts, job: Job, show: Show) -> None:
    """Show each report that the cloud took, until the terminal one. Raises UnavailableError after SILENCE."""
    while True:
        event = parts.event(SILENCE)
        if event is None:
            raise UnavailableError(f"the cloud has heard nothing for {SILENCE:.0f} s")
        if event["event"] == "report":
            show.report(event)
            body = event["body"]
            if event.get("task_id") == job.task_id and event["status"] == 204 and body.get("progress") == 1:
                return
        elif event["event"] == "status":
            show.status(event)


def _summary(member: SandboxMember, job: Job, seconds: float) -> dict[str, Any]:
    """What the cloud holds of the job."""
    reports = member.reports(job.task_id)
    last = reports[-1]["body"]
    data = last.get("data", {})
    summary = {
        "event": "summary",
        "job_status": member.job(job.job_id)["job_status"],
        "lines": data.get("line", 0),
        "layers": data.get("layer", 0),
        "reports": len(reports),
        "seconds": round(seconds, 1),
    }
    if last.get("error_message"):
        summary.update(error_code=last.get("error_code"), error_message=last["error_message"])
    return summary


def _exit_code(summary: dict[str, Any]) -> int:
    if summary["job_status"] == "completed":
        return EX_OK
    return EX_DATAERR if summary.get("error_code") == 422 else EX_UNAVAILABLE

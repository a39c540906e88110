"""The dry run: set the processes up, do what a person does in the web portal, follow the print in the cloud."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec

from agent.dryrun.display import Display, make_display
from agent.dryrun.processes import ChildProcesses
from agent.errors import EX_DATAERR, EX_OK, EX_UNAVAILABLE, DataError, UnavailableError
from agent.gcode import Limits, Scanner
from agent.local.local_requests import RegisterRequest
from agent.local.socket_client import ask
from agent.sandbox.member_client import SandboxMember

AUTO_S = 20.0  # seconds that a print takes at --speed auto, where the slicer says how long it really is
AUTO_MAX_SPEED = 200.0  # times real time at --speed auto, at most
REGISTRATION_S = 20.0  # seconds until the agent must have its registration code
SILENCE_S = 60.0  # seconds without any news from the cloud after which the dry run gives up
POLL_S = 0.05  # seconds between two looks at the agent's registration
BLOCK = 1 << 18


class DryRunOptions(msgspec.Struct, frozen=True):
    """Options of a dry run. `file` None is the bundled demo; `speed` None is auto, infinity is max; `dialect` and
    `faults` are the virtual printer's."""

    file: Path | None = None
    speed: float | None = None
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()
    json: bool = False
    keep: bool = False


class SubmittedJob(msgspec.Struct, frozen=True):
    """Ids of the submitted job."""

    job_id: str
    task_id: str


def run(options: DryRunOptions) -> int:
    """Print a file through all three processes; returns the exit code: 0 completed, 65 the file was refused, 69
    anything else that failed.

    Raises AgentError with a reason for a person, KeyboardInterrupt as it is. The processes have ended in any case.
    """
    folder = Path(tempfile.mkdtemp(prefix="printer-agent-dry-run-"))
    display = make_display(json=options.json)
    try:
        with as_file(files("agent.sandbox") / "data" / "demo.gcode") as demo:
            file = options.file or demo
            _check(file)
            return _run(options, file, folder, display)
    finally:
        display.close()
        if options.keep:
            display.kept(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run(options: DryRunOptions, file: Path, folder: Path, display: Display) -> int:
    speed = options.speed if options.speed is not None else _auto_speed(file)
    began = time.monotonic()
    with ChildProcesses(folder) as processes:
        member = _set_up(processes, options, folder, speed, display)
        with member:
            printer_id = _register(processes, folder, member)
            job = _submit(member, printer_id, file)
            display.submitted(file.name, printer_id, speed)
            _follow(processes, job, display)
            summary = _summary(member, job, time.monotonic() - began)
        display.summary(summary)
        return _exit_code(summary)


def _check(file: Path) -> None:
    """Check that the file can be read and is not empty, before anything is started. Raises DataError."""
    try:
        if not file.is_file():
            raise DataError(f"{file}: {'not a file' if file.exists() else 'no such file'}")
        with file.open("rb") as stream:
            if not stream.read(1):
                raise DataError(f"{file}: the file is empty")
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _auto_speed(file: Path) -> float:
    """Choose the speed at which the print takes about AUTO_S seconds; max where the file does not give its time."""
    scanner = Scanner(Limits())
    try:
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                scanner.feed(block)
        seconds = scanner.finish().position(0).seconds_left
    except DataError:
        return math.inf  # the agent will refuse it; it is the one to say why
    return min(max(round(seconds / AUTO_S), 1), AUTO_MAX_SPEED) if seconds else math.inf


def _set_up(
    processes: ChildProcesses, options: DryRunOptions, folder: Path, speed: float, display: Display
) -> SandboxMember:
    link = folder / "printer"
    shown_speed = "max" if math.isinf(speed) else str(speed)
    faults = [word for fault in options.faults for word in ("--fault", fault)]
    processes.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
    printer = ["--link", str(link), "--speed", shown_speed, "--dialect", options.dialect, *faults]
    processes.start("printer", ["simulate", *printer])
    cloud = processes.ready({"cloud", "printer"})["cloud"]
    config = folder / "agent.toml"
    config.write_text(_config(str(cloud["url"]), link, folder), encoding="utf-8")
    processes.start("agent", ["run", "--config", str(config)])
    display.started(str(cloud["url"]), str(link))
    return SandboxMember(str(cloud["url"]), str(cloud["member_token"]))


def _config(url: str, port: Path, folder: Path) -> str:
    """Make the agent's configuration file. TOML takes JSON's strings."""

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


def _register(processes: ChildProcesses, folder: Path, member: SandboxMember) -> int:
    """Register the printer with the code that the agent shows; returns the printer's id."""
    deadline = time.monotonic() + REGISTRATION_S
    while time.monotonic() < deadline:
        try:
            registration = ask(folder / "agent.sock", RegisterRequest())["registration"]
        except UnavailableError:
            registration = {}  # the agent is not up yet
        if registration.get("code"):
            return member.register("dry-run", str(registration["code"]))
        processes.event(POLL_S)
    raise UnavailableError(f"the agent did not register within {REGISTRATION_S:.0f} s")


def _submit(member: SandboxMember, printer_id: int, file: Path) -> SubmittedJob:
    try:
        url = member.upload(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    answer = member.submit_job(printer_id, url, file.name)
    return SubmittedJob(job_id=str(answer["job_id"]), task_id=str(answer["task_id"]))


def _follow(processes: ChildProcesses, job: SubmittedJob, display: Display) -> None:
    """Display each report that the cloud accepted, until the terminal one. Raises UnavailableError after SILENCE_S."""
    while True:
        event = processes.event(SILENCE_S)
        if event is None:
            raise UnavailableError(f"the cloud has heard nothing for {SILENCE_S:.0f} s")
        if event["event"] == "report":
            display.report(event)
            body = event["body"]
            if event.get("task_id") == job.task_id and event["status"] == 204 and body.get("progress") == 1:
                return
        elif event["event"] == "status":
            display.status(event)


def _summary(member: SandboxMember, job: SubmittedJob, seconds: float) -> dict[str, Any]:
    """Make the summary of the job from the cloud's records."""
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

"""Database commits of an agent: a second while it prints, a minute while it idles. Flash wears out."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from agent.app import App
from agent.dryrun.processes import ChildProcesses
from agent.sandbox.member_client import SandboxMember
from agent.service.config import load
from agent.service.health import Health
from agent.service.logs import Ring
from agent.service.notify_socket import NotifySocket
from agent.service.system_clock import SystemClock
from drivers.simulated.options import Options
from drivers.simulated.printer import VirtualPrinter

COMMITS: list[float] = []


def writes(folder: Path, printing: float, idle: float) -> dict[str, Any]:
    """The whole agent in this process, at the default pace of reports, for so many seconds of each."""
    COMMITS.clear()
    with ChildProcesses(folder) as parts, VirtualPrinter(Options(speed=1.0, link=folder / "printer")):
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
        ready = parts.ready({"cloud"})["cloud"]
        url = str(ready["url"])
        overrides = [f"cloud.server={url}", f"serial.port={folder}/printer", "serial.baud=115200"]
        overrides += [f"state.dir={folder}/state", f"local.socket={folder}/agent.sock"]
        config, clock = load(None, {}, overrides), SystemClock()
        health = Health(clock, NotifySocket(""))
        agent = App(config=config, environ={}, clock=clock, ring=Ring(), health=health, reread=lambda: config)
        agent.base.store.database.on_commit(before=lambda: None, after=lambda: COMMITS.append(time.monotonic()))
        thread = threading.Thread(target=agent.run, name="agent")
        thread.start()
        try:
            with SandboxMember(url, str(ready["member_token"])) as member:
                return _measure(folder, member, agent, printing, idle)
        finally:
            agent.stop()
            thread.join(30)


def _measure(folder: Path, member: SandboxMember, agent: App, printing: float, idle: float) -> dict[str, Any]:
    def until(look: Any, what: str) -> Any:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not happen: {what}")

    identity = until(agent.server.registrar.identity, "registered")
    printer = member.register("writes", identity.registration_code)
    until(lambda: agent.server.subscriber.listening, "listening")
    file = folder / "long.gcode"
    file.write_text("G28\n" + "".join(f"G1 X{10 + i % 90} Y{10 + i * 7 % 90} F3000\n" for i in range(5000)))
    job = member.submit_job(printer, member.upload(file), file.name)
    until(lambda: member.job(job["job_id"])["job_status"] == "printing", "it prints")
    began = time.monotonic()
    time.sleep(printing)
    while_printing = sum(began <= at for at in COMMITS)
    task = member.command(printer, "cancel")
    until(lambda: member.task(task).get("progress") == 1, "canceled")
    time.sleep(2.0)
    began = time.monotonic()
    time.sleep(idle)
    while_idle = sum(began <= at for at in COMMITS)
    per_second, per_minute = while_printing / printing, while_idle / idle * 60
    assert per_second <= 1.0, f"{per_second:.2f} commits a second while printing"
    assert per_minute <= 1.0, f"{per_minute:.2f} commits a minute while idle"
    return {"commits_a_second_printing": round(per_second, 2), "commits_a_minute_idle": round(per_minute, 2)}

"""The agent as the service that `make install` installs, under a systemd of its own; the printer and the cloud are
processes outside, and the person at the portal and the one at the printer are ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.dryrun.processes import ChildProcesses
from agent.errors import UnavailableError
from agent.sandbox.member_client import SandboxMember
from tests.integration.systemd.system import OUTSIDE, System
from tests.rigs.agent_rig import AgentRig

ROOT = Path(__file__).parents[3]
UNIT = "printer-agent.service"
CONFIG = "/etc/printer-agent/config.toml"


def system_python() -> str:
    """A Python that a service can see, and that is new enough; "" when there is none."""
    test = "import os, sys, venv; print(os.path.realpath(sys.executable)); sys.exit(sys.version_info < (3, 11))"
    for python in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable):
        if Path(python).exists():
            done = subprocess.run([python, "-c", test], capture_output=True, text=True, check=False)
            if done.returncode == 0 and not done.stdout.startswith(("/root/", "/home/", "/tmp/")):
                return python
    return ""


def make(*arguments: str) -> list[str]:
    """The command line of make, with the pip of the tests' own environment."""
    return ["make", "--no-print-directory", "-C", str(ROOT), f"BIN={Path(sys.executable).parent}", *arguments]


def install(destination: Path) -> None:
    """`make install` into a folder."""
    argv = make("install", f"DESTDIR={destination}", f"SYSTEM_PYTHON={system_python()}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


class Service(AgentRig):
    """A rig whose agent is the service."""

    def __init__(
        self, system: System, parts: ChildProcesses, member: SandboxMember, *, url: str, member_token: str, folder: Path
    ) -> None:
        super().__init__(parts, member, url=url, member_token=member_token, folder=folder)
        self.system = system
        self.socket = system.inside("/run/printer-agent/agent.sock")
        self._read = 0  # characters of the journal that belong to the past

    def log(self) -> str:
        """What the agent logged, and systemd of it, since `forget`."""
        return self.system.journal(UNIT)[self._read :]

    def forget(self) -> None:
        """The journal begins now."""
        self._read += len(self.log())

    def configure(
        self, more: str = "", port: str = str(OUTSIDE / "printer"), driver: str = "gcode", name: str = "config"
    ) -> None:
        """The configuration. systemd lets every service open pseudo-terminals, so the simulator's needs no rule."""
        self.system.write(
            f"/etc/printer-agent/{name}.toml",
            f'[cloud]\nserver = "{self.url}"\n[printer]\ndriver = "{driver}"\n'
            f'[serial]\nport = "{port}"\nbaud = 115200\n'
            f"[reports]\nprogress_s = 0.1\nheartbeat_s = 1\n{more}"
            + ("" if "[job]" in more else '[job]\nbed = "free"\n'),
        )

    def install_plug_in(self) -> None:
        """hanging.py, as pip would install it."""
        (packages,) = self.system.inside("/opt/printer-agent/lib").glob("python3*/site-packages")
        shutil.copy(Path(__file__).with_name("hanging.py"), packages)
        about = packages / "hanging-1.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
        (about / "entry_points.txt").write_text("[printer_agent.drivers]\nhanging = hanging:HangingDriver\n")

    def start(self) -> None:
        """Start, and wait until the printer is ready at the cloud; registered the first time."""
        self.system.systemctl("start", UNIT)
        if self.printer_id:
            self.until("the printer is ready and listens", lambda: self.state() == "ready" and self.listens())
        else:
            self.register()

    def listens(self) -> bool:
        """Whether the agent hears commands."""
        try:
            return bool(self.status()["listening"])
        except UnavailableError:
            return False

    def begin(self, folder: Path, gcode: str) -> None:
        """Submit a print, and wait until it moves, hot."""
        file = folder / "part.gcode"
        file.write_text(gcode)
        self.submit(file)
        self.until("the print moves", lambda: self.line() > 20)

    def line(self) -> int:
        """Where that print is; 0 when it does not run, or nobody answers."""
        try:
            status = self.status()
        except UnavailableError:
            return 0
        place = status["data"]
        running = status["printer_status"] == "printing" and place.get("job_id") == self.job_id
        return int(place.get("line", 0)) if running else 0

    def targets(self) -> list[float]:
        """The temperatures that the printer itself heats to, asked at its port: only while nobody else does."""
        port = os.open(self.folder / "printer", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(port, b"\nM105\n")
            return list(self.until("the printer tells its temperatures", lambda: _targets(port)))
        finally:
            os.close(port)

    def resident(self, what: str = "VmRSS") -> int:
        """The agent's memory now (or VmHWM, at most), in KiB."""
        status = self.system.inside(f"/proc/{self.pid()}/status").read_text()
        return int(re.findall(rf"{what}:\s+(\d+) kB", status)[0])

    def upgrade(self, version: str) -> None:
        """What `make install` does to an installed agent, with the same agent under another number."""
        new = "/opt/printer-agent.new"
        self.system.run("cp", "--archive", "/opt/printer-agent", new)
        self.system.run(
            "sh",
            "-c",
            f"sed -i 's/^__version__ = .*/__version__ = \"{version}\"/' {new}/lib/*/site-packages/agent/__init__.py",
        )
        move = (
            "mv /opt/printer-agent /opt/printer-agent.old && mv {0} /opt/printer-agent && rm -r /opt/printer-agent.old"
        )
        self.system.run("sh", "-c", move.format(new))
        self.system.systemctl("daemon-reload")

    def shown(self, *commands: str) -> str:
        """Commands inside, as a person's terminal has them."""
        return "".join(f"# {command}\n{self.system.run('sh', '-c', command).stdout}" for command in commands)

    def killed(self, restarts: str) -> None:
        """Kill the agent, and wait until the next one, the `restarts`th, is ready or waits."""
        pid = self.pid()
        self.system.run("kill", "-KILL", str(pid))
        self.until("systemd starts another one", lambda: self.show("NRestarts") == restarts and self.pid() != pid)
        self.until("it says so", lambda: self.show("ActiveState") == "active" or "waiting" in self.show("StatusText"))

    def took(self, since: str) -> float:
        """Seconds from systemd's timestamp `since` (ExecMainStart: this process began; ActiveExit: the last agent was
        no longer there) to READY=1, less what the main thread waited for a processor that other tests had."""
        thread = f"/proc/{self.pid()}/task/{self.pid()}/schedstat"
        waited = int(self.system.inside(thread).read_text().split()[1])
        begun, ready = (int(self.show(f"{name}TimestampMonotonic")) for name in (since, "ActiveEnter"))
        return (ready - begun) / 1e6 - waited / 1e9

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.system.systemctl("show", "--value", f"--property={name}", UNIT).strip()

    def pid(self) -> int:
        """The agent's process, by its number inside."""
        return int(self.show("MainPID"))


def _targets(port: int) -> list[float]:
    try:
        said = os.read(port, 4096)
    except BlockingIOError:
        return []
    return [float(value) for value in re.findall(rb"[TB]:[\d.]+ */([\d.]+)", said)]


@contextmanager
def service(system: System, installed: Path, *, speed: str = "max", faults: tuple[str, ...] = ()) -> Iterator[Service]:
    """`system` with the agent installed, but not started, and the cloud and the printer running outside."""
    folder = system.folder
    shutil.copytree(installed, folder / "installed", symlinks=True)
    system.run("cp", "--recursive", "--no-target-directory", str(OUTSIDE / "installed"), "/")
    with ChildProcesses(folder) as parts:
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
        words = [word for fault in faults for word in ("--fault", fault)]
        parts.start("printer", ["simulate", "--link", str(folder / "printer"), "--speed", speed, *words])
        ready = parts.ready({"cloud", "printer"})["cloud"]
        shutil.chown(folder / "printer", group="dialout")  # as udev does with a serial port
        (folder / "printer").chmod(0o660)
        url, token = str(ready["url"]), str(ready["member_token"])
        with SandboxMember(url, token) as member:
            made = Service(system, parts, member, url=url, member_token=token, folder=folder)
            system.systemctl("daemon-reload")
            yield made
            system.systemctl("stop", UNIT)

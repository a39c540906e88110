"""The agent as the service that `make install` installs, under a systemd of its own; the printer and the cloud are
processes outside, and the person at the portal and the one at the printer are ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.dryrun.parts import Parts
from agent.sandbox.client import SandboxMember
from tests.integration.rig import Rig
from tests.integration.systemd.system import OUTSIDE, System

ROOT = Path(__file__).parents[3]
UNIT = "printer-agent.service"
CONFIG = "/etc/printer-agent/config.toml"
PTY = "[Service]\nDeviceAllow=char-pts rw\n"
"""The simulator's port is a pseudo-terminal, which the unit rightly does not allow."""


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


class Service(Rig):
    """A rig whose agent is the service."""

    def __init__(self, system: System, parts: Parts, member: SandboxMember, url: str, folder: Path) -> None:
        super().__init__(parts, member, url, folder)
        self.system = system
        self.socket = system.inside("/run/printer-agent/agent.sock")

    def log(self) -> str:
        """What the agent logged, and systemd of it."""
        return self.system.journal(UNIT)

    def configure(self, more: str = "", unit: str = PTY, driver: str = "gcode") -> None:
        """The configuration and a drop-in."""
        self.system.write(
            CONFIG,
            f'[cloud]\nserver = "{self.url}"\n[printer]\ndriver = "{driver}"\n'
            f'[serial]\nport = "{OUTSIDE / "printer"}"\nbaud = 115200\n'
            f"[reports]\nprogress_s = 0.1\nheartbeat_s = 1\n{more}",
        )
        self.system.write(f"/etc/systemd/system/{UNIT}.d/test.conf", unit)
        self.system.systemctl("daemon-reload")

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.system.systemctl("show", "--value", f"--property={name}", UNIT).strip()

    def pid(self) -> int:
        """The agent's process, by its number inside."""
        return int(self.show("MainPID"))


@contextmanager
def service(system: System, installed: Path, *, speed: str = "max", faults: tuple[str, ...] = ()) -> Iterator[Service]:
    """`system` with the agent installed, but not started, and the cloud and the printer running outside."""
    folder = system.folder
    shutil.copytree(installed, folder / "installed", symlinks=True)
    system.run("cp", "--recursive", "--no-target-directory", str(OUTSIDE / "installed"), "/")
    with Parts(folder) as parts:
        parts.start("cloud", ["sandbox", "--listen", "127.0.0.1:0", "--state", str(folder / "cloud")])
        words = [word for fault in faults for word in ("--fault", fault)]
        parts.start("printer", ["simulate", "--link", str(folder / "printer"), "--speed", speed, *words])
        ready = parts.ready({"cloud", "printer"})["cloud"]
        shutil.chown(folder / "printer", group="dialout")  # as udev does with a serial port
        (folder / "printer").chmod(0o660)
        url = str(ready["url"])
        with SandboxMember(url, str(ready["member_token"])) as member:
            made = Service(system, parts, member, url, folder)
            made.configure()
            yield made
            system.systemctl("stop", UNIT)

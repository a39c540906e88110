"""A real systemd, PID 1 of a PID namespace of its own, over a root whose changes are kept in memory (boot.sh).

The network is this machine's, so the local cloud may run outside; so are its pseudo-terminals. Everything has a limit,
and what was started ends with us: the namespace's first process is killed when we are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

BOOT = Path(__file__).with_name("boot.sh")
PROJECT = Path(__file__).parents[3]
OUTSIDE = Path("/run/outside")
"""Where the shared folder is seen from inside."""
NEW = ("--pid", "--fork", "--kill-child=SIGKILL", "--mount", "--cgroup", "--ipc", "--uts", "--propagation", "private")
PATIENCE = 20.0  # seconds for anything that should happen
LOOK = 0.02
GROUP = "printer-agent-test"
TARGET = f"{GROUP}.target"


def missing() -> str:
    """Why there can be no such systemd here; "" when there can."""
    if os.geteuid() != 0:
        return "needs root"
    tools = ("unshare", "setpriv", "nsenter", "systemctl", "journalctl")
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking or not Path("/lib/systemd/systemd").exists():
        return f"not installed: {', '.join(lacking) or 'systemd'}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs"
    if _unified() is None:
        return "no cgroup2 is mounted"
    mount = ["unshare", *NEW, "mount", "-t", "tmpfs", "x", "/mnt"]
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


def _unified() -> Path | None:
    """Our own group in the unified hierarchy, where this machine has mounted it."""
    own = next(
        (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), None
    )
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    places = [left.split()[4] for left, right in mounts if right.startswith("cgroup2 ")]
    return Path(places[0] + own.rstrip("/")) if places and own is not None else None


def _clear(group: Path) -> None:
    """Remove the group and those in it, as far as no process is left in them."""
    for one, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(one).rmdir()


class System:
    """`folder` is shared: what is put there is seen inside as OUTSIDE. `start`, then anything, then `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._units = folder / "units"
        self._process: subprocess.Popen[bytes] | None = None
        self._first = 0  # the process that is PID 1 inside
        self._group = (_unified() or Path()) / f"{GROUP}-{os.getpid()}-{folder.name}"

    # --- its life

    def start(self) -> None:
        """Boot, and wait until it is up. Raises AssertionError with its log when it does not come up."""
        self.folder.chmod(0o755)  # a service's user shall find its printer in there
        self._units.mkdir(exist_ok=True)
        (self._units / TARGET).write_text("[Unit]\nDefaultDependencies=no\nWants=systemd-journald.socket\n")
        for group in self._group.parent.glob(f"{GROUP}-*"):  # of test runs that were killed
            if not Path("/proc", group.name.split("-")[3]).exists():
                _clear(group)
        self._group.mkdir()
        enter = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *NEW, "sh", str(BOOT), str(self.folder), str(PROJECT)]
        with (self.folder / "boot.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", enter, "sh", str(self._group), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.until("systemd is up", self._is_up)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill all of it, and clear up what the machine has of it: a few empty groups."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # unshare; its child, the namespace's first process, gets the same, and so all others
        process.wait(PATIENCE)
        end = time.monotonic() + PATIENCE
        while self._group.exists() and time.monotonic() < end:
            _clear(self._group)
            time.sleep(LOOK)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said()
        if not self._first:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if not children or Path(f"/proc/{children[0]}/comm").read_text().strip() != "systemd":
                return False
            self._first = int(children[0])
        return self.run("systemctl", "is-active", TARGET, check=False).stdout.strip() == "active"

    def said(self) -> str:
        """What it said while it booted, and since."""
        logs = [self.folder / "boot.log", self.folder / "systemd.log"]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    # --- inside

    def run(self, *argv: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """One command inside. With `check`, one that fails is an AssertionError with its output."""
        inside = ["nsenter", "-t", str(self._first), "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--"]
        clean = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": "/root",
        }
        clean |= {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.endswith("_proxy")}
        done = subprocess.run(
            [*inside, *argv], capture_output=True, text=True, check=False, timeout=timeout, env=clean, cwd="/"
        )
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}{self.said()}"
        return done

    def systemctl(self, *argv: str) -> str:
        """systemctl, inside."""
        return self.run("systemctl", "--no-pager", *argv).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file inside."""
        here = self.folder / "written"
        here.write_text(text)
        here.chmod(mode)
        self.run("mkdir", "-p", str(Path(path).parent))
        self.run("cp", "--preserve=mode", str(OUTSIDE / "written"), path)

    def inside(self, path: str) -> Path:
        """A path inside, as this machine reaches it."""
        return Path(f"/proc/{self._first}/root{path}")

    def show(self, unit: str) -> dict[str, str]:
        """The unit's properties."""
        return dict(line.split("=", 1) for line in self.systemctl("show", unit).splitlines() if "=" in line)

    def journal(self, unit: str) -> str:
        """All that the unit said, and systemd of it."""
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def peer(self, pid: int) -> Path:
        """The folder in this machine's /proc of a process inside. Raises AssertionError when it is not there."""
        space = Path(f"/proc/{self._first}/ns/pid").readlink()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                found = re.search(r"^NSpid:.*\t(\d+)$", (folder / "status").read_text(), re.MULTILINE)
                if found and int(found[1]) == pid and (folder / "ns/pid").readlink() == space:
                    return folder
        raise AssertionError(f"no process {pid} inside")

    def until(self, what: str, look: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait for `look` to give something true."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(LOOK)
        raise AssertionError(f"did not happen within {within:.0f} s: {what}\n{self.said()}")

"""A full state folder from the middle of a print on: the print, its report, a restart, and what comes after.

The folder is a small tmpfs in a mount namespace of its own; without the right to make one, the part is skipped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from benchmarks import agent_kills

SIZE = "32m"
WAIT = 180  # seconds for all of it


def why_not() -> str:
    """Why a full disk cannot be tried here; empty when it can."""
    if os.geteuid() != 0:
        return "only root may mount a tmpfs"
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "unshare or mount is not installed"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True, check=False
    )
    return f"no mount namespace here: {tried.stderr.strip()}" if tried.returncode else ""


def full_disk(folder: Path) -> dict[str, Any]:
    """Print on a full state folder, in a mount namespace of its own; the figures. Raises AssertionError for a broken
    promise."""
    reason = why_not()
    if reason:
        return {"skipped": reason}
    argv = ["unshare", "-m", sys.executable, "-m", "benchmarks.full_disk", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fill(folder: Path) -> int:
    """Fill the file system to its last byte; the bytes that it took."""
    taken = 0
    fd = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (1 << 20, 4096, 1):
        with suppress(OSError):  # ENOSPC
            while True:
                taken += os.write(fd, b"x" * size)
    os.close(fd)
    assert os.statvfs(folder).f_bavail == 0
    return taken


def scenario(folder: Path) -> dict[str, Any]:
    """Run the scenario, inside the namespace."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(state)], check=True)
    with agent_kills.world(folder, 1) as made:

        def end(task_id: str) -> dict[str, Any]:
            made.until(f"{made.tasks[task_id]} ends", lambda: made.terminals(task_id), 60.0)
            assert made.terminals(task_id) == 1
            return dict(made.member.reports(task_id)[-1]["body"])

        def command(name: str) -> str:
            task_id = made.member.command(made.printer_id, name)
            made.tasks[task_id] = name
            return task_id

        def start() -> None:
            seen = len(made.faye.events("subscribe"))
            made.start()
            made.faye.wait_for("subscribe", channel=made.channel, count=1 + seen // 2, within=30.0)
            made.until("ready", lambda: made.member.printer_status(made.printer_id)["last_reported_state"] == "ready")

        start()
        made.printing.clear()
        made.send_print(moves=150)
        printed = next(reversed(made.tasks))
        assert made.printing.wait(20), "it prints"
        fill(state)
        before = len(made.member.reports(printed))
        body = end(printed)
        assert body["job_status"] == "completed", body
        progress = len(made.member.reports(printed)) - before
        done = [end(command("home"))["data"]["state"] for _ in range(5)]
        assert set(done) == {"completed"}, done
        for how in (signal.SIGKILL, signal.SIGTERM):
            made.kill(how)
            fill(state)  # what the end may have given back
            began = time.monotonic()
            start()
            assert end(command("home"))["data"]["state"] == "completed", f"after {how.name}"
        restart = time.monotonic() - began
        refused_print = made.send_print()
        refused = end(next(reversed(made.tasks)))
        assert refused["job_status"] == "failed", refused
        assert "no space" in refused["error_message"]
        assert made.seen[refused_print] == 0
        (state / "filler").unlink()
        made.send_print()
        assert end(next(reversed(made.tasks)))["job_status"] == "completed"
        made.kill()
        made.intact()
        return {
            "reports_on_a_full_disk": progress,
            "commands_on_a_full_disk": len(done) + 2,
            "starts_on_a_full_disk": 2,
            "restart_s": round(restart, 1),
        }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    sys.stdout.write(json.dumps(scenario(Path(sys.argv[1]))) + "\n")

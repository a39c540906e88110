"""A kill -9 before and after every single commit of a small agent's life, and then a life without one."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.self_killing_agent import FILE, TASKS
from tests.rigs.server_rig import Reply, ScriptedServer, answer, scripted

PREFIX = "/v1/print/printers/"
IDENTITY = {"printer_id": 7, "auth_token": "T" * 43, "registered": False, "registration_code": "AB12"}


def live(folder: Path, url: str, when: str, number: int) -> int:
    """Run one life; the process's exit code."""
    argv = [sys.executable, "-m", "benchmarks.self_killing_agent", str(folder), url, when, str(number)]
    return subprocess.run(argv, timeout=60, check=False).returncode


def promised(folder: Path, server: ScriptedServer) -> None:
    """Check what must hold at the end. Raises AssertionError."""
    keys: dict[str, set[str]] = {task_id: set() for task_id in TASKS}
    for one in server.asked(f"{PREFIX}command/"):
        if one.json["progress"] == 1:
            keys[one.path.rpartition("/")[2]].add(one.headers["Idempotency-Key"])
    assert {task_id: len(found) for task_id, found in keys.items()} == dict.fromkeys(TASKS, 1)
    executed = folder / "executed"
    counted = Counter(executed.read_text().split() if executed.exists() else ())
    assert all(count == 1 for count in counted.values()), f"ran twice: {counted}"
    with closing(sqlite3.connect(folder / "agent.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    registrations = server.asked(f"{PREFIX}registration_code")
    assert all(one.headers.get("X-Printer-Auth-Token") for one in registrations[2:]), "a printer too many"


def points(folder: Path, numbers: Sequence[int] | None = None) -> dict[str, Any]:
    """A kill before and after each commit in `numbers` (None: each one that there is)."""
    with scripted() as server:
        server.script(f"{PREFIX}registration_code", answer(IDENTITY))
        server.script("/file", Reply(200, FILE))
        first = folder / "first"
        first.mkdir()
        assert live(first, server.url, "never", 0) == 0
        promised(first, server)
        commits = int((first / "commits").read_text())
        kills = 0
        for number in numbers if numbers is not None else range(1, commits + 1):
            for when in ("before", "after"):
                server.forget()
                there = folder / f"{when}-{number}"
                there.mkdir()
                died = live(there, server.url, when, number)
                if died != -signal.SIGKILL:
                    continue
                assert live(there, server.url, "never", 0) == 0, f"no good end after a kill {when} commit {number}"
                promised(there, server)
                kills += 1
    assert kills, "nothing was killed"
    return {"commits": commits, "kills": kills}

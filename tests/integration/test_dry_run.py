"""`printer-agent dry-run`, as a developer on a laptop runs it: every sliced file, bad files, an end by Ctrl-C."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.prints import check_record

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
DEMO = ROOT / "agent" / "sandbox" / "data" / "demo.gcode"

# tests/data/README.md: sendable lines and layers
FILES = {
    "demo": (7103, 29),
    "cube_prusaslicer": (15785, 99),
    "cube_cura": (18388, 100),
    "cube_slic3r": (9762, 80),
    "vase_prusaslicer": (111806, 199),
}


def dry_run(*words: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "agent.cli", "dry-run", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)


def unpacked(name: str, folder: Path) -> Path:
    if name == "demo":
        return DEMO
    path = folder / f"{name}.gcode"
    path.write_bytes(gzip.decompress((DATA / f"{name}.gcode.gz").read_bytes()))
    return path


@pytest.mark.timeout(115)
@pytest.mark.parametrize("name", FILES)
def test_every_sliced_file_is_printed_to_its_last_line_and_layer(name: str, tmp_path: Path) -> None:
    done = dry_run(str(unpacked(name, tmp_path)), "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    summary = events[-1]
    assert summary["event"] == "summary"
    assert summary["job_status"] == "completed"
    assert (summary["lines"], summary["layers"]) == FILES[name]
    reports = [e for e in events if e["event"] == "report" and "/printers/command/" in e["path"]]
    assert {event["status"] for event in reports} == {204}
    assert len({event["path"] for event in reports}) == 1
    assert summary["reports"] == len(reports)
    check_record([event["body"] for event in reports])
    statuses = [e["body"]["job_status"] for e in reports if "job_status" in e["body"]]
    assert list(dict.fromkeys(statuses)) == ["received", "printing", "completed"]
    assert "token" not in done.stdout


def test_the_demo_in_plain_lines_ends_with_what_the_cloud_holds() -> None:
    done = dry_run("--speed", "max")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("completed: 7103 lines, 29 layers, ")
    assert any("layer 29 of 29" in line for line in lines)
    assert not done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"", "empty"), (b"Dear printer\n", "G-code"), (b"G28\nG1 X" + b"1" * 200, "line 2")],
)
def test_a_bad_file_is_one_clear_message_and_exit_code_65(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "bad.gcode"
    if content is not None:
        file.write_bytes(content)
    done = dry_run(str(file))
    assert done.returncode == 65
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_printer_that_fails_is_an_honest_failed(tmp_path: Path) -> None:
    done = dry_run("--speed", "max", "--json", "--fault", "kill@500")
    assert done.returncode == 69
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["job_status"] == "failed"
    assert summary["error_message"]


def test_the_virtual_printer_may_be_another_firmware(tmp_path: Path) -> None:
    """Klipper refuses a move before `G28`, which the summary shows: Marlin takes it."""
    file = tmp_path / "unhomed.gcode"
    file.write_bytes(b"G1 X10 F6000\nG1 X20\n")
    done = dry_run(str(file), "--speed", "max", "--dialect", "klipper", "--json")
    assert done.returncode == 69, done.stderr
    assert "the printer refused it: Must home axis first" in done.stdout


def test_a_dialect_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = dry_run("--dialect", "nonsense")
    assert done.returncode == 65
    assert "unknown dialect 'nonsense'; known are: " in done.stderr


def test_a_fault_that_does_not_exist_is_named() -> None:
    done = dry_run("--fault", "gremlins")
    assert done.returncode == 65
    assert "gremlins" in done.stderr


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_dry_run_leaves_nothing_running(number: signal.Signals) -> None:
    argv = [sys.executable, "-m", "agent.cli", "dry-run", "--speed", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "printing" in line:
                break
        children = _children(process.pid)
        assert len(children) == 3
        began = time.monotonic()
        process.send_signal(number)
        process.wait(10)
        assert time.monotonic() - began < 7
        if number != signal.SIGKILL:
            assert process.returncode == 130
            assert "Traceback" not in process.stderr.read() if process.stderr else True
    deadline = time.monotonic() + 15
    while any(map(_alive, children)):
        assert time.monotonic() < deadline, "a part is still running"


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "agent.cli", "dry-run", "--speed", "100"]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(argv, stdout=theirs, stderr=subprocess.DEVNULL, env=environ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not block:
                break
            shown += block
        assert process.wait(10) == 0
    os.close(ours)
    text = shown.decode(errors="replace")
    for word in ("printing", "layer", "of 29", "nozzle", "bed", "left", "100.0 %", "completed: 7103 lines"):
        assert word in text

"""Virtual environments that are not ours: the agent as a board has it, without extras, and the peers, each in its own.

They lie in .bench/ (git-ignored), or in the folder that $PRINTER_AGENT_BENCH names, and are made once, with pip's own
configuration. Nothing of a peer is ever imported by our environment: `benchmarks/peers/` are programs for theirs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serial_null import ROOT

CACHE = Path(os.environ.get("PRINTER_AGENT_BENCH", ROOT / ".bench"))
PIP_LIMIT_S = 600.0


@dataclass(frozen=True)
class Peer:
    """`steps` are pip's arguments, one run each."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    script: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return CACHE / self.name / "bin" / "python"


PRUSALINK = Peer(
    "prusalink-0.8.1",
    (
        # Of its dependencies those that the serial stack imports: python-prctl and the camera's need C libraries.
        ("--no-deps", "prusalink==0.8.1"),
        (
            *("prusa.connect.sdk.printer==0.8.1", "py-gcode-metadata", "bidict~=0.22.1", "blinker~=1.5"),
            *("extendparser~=0.3.1", "packaging~=23.0", "PoorWSGI~=2.5.0", "pydantic==1.10.12", "pyudev~=0.24.0"),
            *("requests>=2.31.0", "sortedcontainers~=2.4.0", "unidecode~=1.3.6"),
        ),
    ),
    "prusalink_stack.py",
)
OCTOPRINT = Peer("octoprint-1.11.8", (("octoprint==1.11.8",),), "octoprint_comm.py")


def have(name: str, steps: tuple[tuple[str, ...], ...], *, install: bool = True) -> str:
    """Make the environment `name` unless it is there; why it is not there, or nothing."""
    folder = CACHE / name
    stamp, wanted = folder / "stamp", hashlib.sha256(repr((sys.version, steps)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    if not install:
        return "not tried with --quick"
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(folder)], *([*pip, *step] for step in steps)):
        try:
            said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PIP_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return f"pip took longer than {PIP_LIMIT_S:.0f} s"
        if said.returncode:
            errors = [line for line in said.stderr.splitlines() if line.startswith("ERROR")]
            return (errors or said.stderr.splitlines() or ["pip failed"])[-1].strip()
    stamp.write_text(wanted)
    return ""


def peer(which: Peer, *, install: bool = True) -> str:
    """As `have`."""
    return have(which.name, which.steps, install=install)


def agent() -> tuple[Path, str]:
    """The folder of the programs of an agent without extras, of the tree at hand; why it is the test environment's
    instead, or nothing. Extras cost memory: structlog imports rich where it finds it."""
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:12]
    name = f"agent-{project}"
    missing = have(name, (("--editable", str(ROOT)),))
    return (Path(sys.executable).parent, missing) if missing else (CACHE / name / "bin", "")

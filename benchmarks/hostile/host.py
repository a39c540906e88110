"""The machine under a measurement: an agent's peak memory, and a limit of memory where the machine can hold one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from benchmarks.hostile.limits import UNIT_MB

SCOPE = ("systemd-run", "--quiet", "--scope", "--collect", "-p", f"MemoryMax={UNIT_MB}M", "-p", "MemorySwapMax=0")


def memory_limit() -> tuple[str, ...]:
    """The words before a command that hold it to UNIT_MB as the unit does; none where systemd cannot."""
    if shutil.which(SCOPE[0]) is None:
        return ()
    for words in (SCOPE, (SCOPE[0], "--user", *SCOPE[1:])):
        try:
            done = subprocess.run([*words, "true"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return words
    return ()


class Memory:
    """Resident memory of one process, in MB."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def reset_peak(self) -> bool:
        """Begin the peak anew (proc(5), clear_refs); whether the kernel does that."""
        try:
            (self._folder / "clear_refs").write_text("5")
        except OSError:
            return False
        return True

    def peak(self) -> float:
        """VmHWM."""
        return self._read("VmHWM")

    def now(self) -> float:
        """VmRSS."""
        return self._read("VmRSS")

    def _read(self, key: str) -> float:
        lines = (self._folder / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) / 1024


def size_mb(folder: Path, *, without: Collection[str]) -> float:
    """All files below a folder, without those in the subfolders `without`."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and not {*without} & {*path.parts} else 0
        except OSError:  # removed just now
            continue
    return total / (1 << 20)

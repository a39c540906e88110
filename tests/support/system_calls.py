"""Records the calls that decide what is on the disk after a power cut; each of them still happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def record_disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """From now on each fsync(2) as ("sync", name, bytes in it at that moment) and each rename(2) as ("rename", new
    name, bytes in it); a folder's bytes are -1."""
    calls: list[tuple[str, str, int]] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def recorded_fsync(fd: int) -> None:
        fsync(fd)
        path = Path(f"/proc/self/fd/{fd}").readlink()
        calls.append(("sync", path.name, -1 if path.is_dir() else os.fstat(fd).st_size))

    def recorded_replace(source: Path, target: Path) -> None:
        replace(source, target)
        calls.append(("rename", Path(target).name, Path(target).stat().st_size))

    def recorded_rename(source: Path, target: Path) -> None:
        rename(source, target)
        calls.append(("rename", Path(target).name, Path(target).stat().st_size))

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    monkeypatch.setattr(os, "rename", recorded_rename)
    return calls

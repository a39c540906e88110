"""Atomic writes: the order of what reaches the disk, and what stays when that fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent.state import atomic_file
from tests.support.system_calls import record_disk_calls


def test_a_file_is_written_synced_renamed_and_its_folder_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record_disk_calls(monkeypatch)
    atomic_file.write(tmp_path / "a.json", b"content")
    assert calls == [
        ("sync", "a.json.part", 7),
        ("rename", "a.json", 7),
        ("sync", tmp_path.name, -1),
    ]
    assert (tmp_path / "a.json").read_bytes() == b"content"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_does_not_sync_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_bytes(b"old")

    def full(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="Input/output"):
        atomic_file.write(tmp_path / "a.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", b"old")]

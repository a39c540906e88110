"""The free space of the disk while a file of unknown size is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.files.spool import BLOCK, SpoolFile, ignore, never

MIB = 1024 * 1024


def test_the_disk_is_asked_for_its_space_once_each_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_usage, asked_at = shutil.disk_usage, []
    with SpoolFile(tmp_path / "f", max_bytes=8 * MIB, cancelled=never, sink=ignore, boot="") as file:

        def counted(path: Path) -> object:
            asked_at.append(file.size + BLOCK)
            return disk_usage(path)

        monkeypatch.setattr(shutil, "disk_usage", counted)
        for _ in range(4 * MIB // BLOCK):
            file.write(bytes(BLOCK))
    assert asked_at == [MIB, 2 * MIB, 3 * MIB, 4 * MIB]

"""Archive of logs: its texts, its bounds, and what is not in it."""

from __future__ import annotations

import io
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import CancelledError
from agent.service.log_archive import ARCHIVE_LIMIT, PART_LIMIT, ArchivePart, ArchiveWriter, box_names, file_parts

WORDS = random.Random(1)


def noise(size: int) -> bytes:
    """Lines that cannot be packed well, and have no form of a token."""
    return WORDS.randbytes(size // 41 * 20).hex("\n", 20).encode() + b"\n"


def never() -> bool:
    return False


def pack(
    folder: Path,
    parts: list[ArchivePart],
    *,
    secrets: tuple[str, ...] = (),
    limit: int = ARCHIVE_LIMIT,
    cancelled: Callable[[], bool] = never,
) -> tuple[bytes, dict[str, bytes]]:
    """The archive, and its texts."""
    target = io.BytesIO()
    writer = ArchiveWriter(
        secrets=secrets, mtime=1e9, folder=folder, cancelled=cancelled, progress=lambda _done, _of: None, limit=limit
    )
    writer.write(target, parts)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        texts = {entry.name: archive.extractfile(entry) for entry in archive}
        return target.getvalue(), {name: text.read() for name, text in texts.items() if text is not None}


def test_texts_come_from_files_and_from_memory_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("one\ntwo\n")
    parts = [
        ArchivePart("a.json", text=lambda: b"{}\n"),
        ArchivePart("empty", text=bytes),
        *file_parts(tmp_path, ["run.log", "none.log"], "log"),
    ]
    _, texts = pack(tmp_path, parts)
    assert texts == {"printer-agent-logs/a.json": b"{}\n", "printer-agent-logs/log/run.log": b"one\ntwo\n"}


def test_each_line_is_scrubbed(tmp_path: Path) -> None:
    text = b"password=pa55\nG1 X1\nthe code is QWERT\n"
    _, texts = pack(tmp_path, [ArchivePart("t", text=lambda: text)], secrets=("QWERT",))
    assert texts["printer-agent-logs/t"] == b"password=[removed]\nG1 X1\nthe code is [removed]\n"


def test_of_a_long_text_the_end_is_kept(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * PART_LIMIT + b"\nthe end\n")
    _, texts = pack(tmp_path, [ArchivePart("long", path=tmp_path / "long")])
    assert texts["printer-agent-logs/long"].endswith(b"\nthe end\n")
    assert len(texts["printer-agent-logs/long"]) <= PART_LIMIT


def test_the_first_texts_have_room_before_the_later_ones_and_a_cut_is_said(tmp_path: Path) -> None:
    parts = [ArchivePart(name, text=lambda: noise(50_000)) for name in ("a", "b", "c")]
    _, texts = pack(tmp_path, parts, limit=175_000)
    sizes = [len(texts[f"printer-agent-logs/{name}"]) for name in ("a", "b", "c")]
    assert sizes[0] > 49_000
    assert 20_000 < sizes[1] < 26_000
    assert texts["printer-agent-logs/b"].startswith(b"[the beginning is left out]\n")
    assert texts["printer-agent-logs/c"] == b"[the beginning is left out]\n"


def test_an_archive_of_more_than_there_is_room_for_is_within_its_limit(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"box-{number:06}.txt").write_bytes(noise(50_000))
    names = box_names(tmp_path)
    assert names == [f"box-{number:06}.txt" for number in range(2, 12)]
    archive, texts = pack(tmp_path, file_parts(tmp_path, names, "blackbox"), limit=400_000)
    assert len(texts) == 10
    assert sum(map(len, texts.values())) > 290_000
    assert len(archive) < 400_000


def test_a_long_text_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(noise(PART_LIMIT))
    target = (tmp_path / "target").open("wb")
    tracemalloc.start()
    with target:
        ArchiveWriter(
            secrets=("QWERT",), mtime=1e9, folder=tmp_path, cancelled=never, progress=lambda _done, _of: None
        ).write(target, [ArchivePart("long", path=tmp_path / "long")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "target").stat().st_size > 900_000
    assert peak < 1 << 20, peak


def test_packing_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        pack(tmp_path, [ArchivePart("t", text=lambda: b"line\n")], cancelled=lambda: True)

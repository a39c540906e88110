"""Files that were printed lately: within their bounds, and never another one than was asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.errors import CancelledError
from agent.files import kept_files
from agent.files.kept_files import KEEP_S, MAX_FILES, KeptFiles, Origin, hide
from agent.files.spool import never

LIMIT = 10_000


class Kept:
    """Kept files in a folder, and the folder of jobs beside it; `now` are seconds that agents have run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kept"
        self.jobs = folder / "jobs"
        self.folder.mkdir()
        self.jobs.mkdir()
        self.now = 0.0
        self.files = KeptFiles(self.folder, lambda: self.now)

    def put(self, data: bytes, url: str = "https://h/a", etag: str = '"1"', limit: int = LIMIT) -> str:
        """Keep a file of a job that then ends; its digest."""
        self.now += 1
        digest = hashlib.sha256(data).hexdigest()
        file, index = self.jobs / "j.gcode", self.jobs / "j.index"
        file.write_bytes(data)
        index.write_bytes(b"{}")
        origin = Origin(digest, digest, len(data), 0.0, hide(url), hide(url), etag)
        self.files.keep(origin, file, index, limit)
        file.unlink()
        index.unlink()
        return digest

    def take(self, digest: str) -> bytes | None:
        """What a job gets; None for nothing."""
        origin = self.files.by_digest(digest)
        file, index = self.jobs / "t.gcode", self.jobs / "t.index"
        if origin is None or not self.files.take(origin, file, index, never):
            return None
        data = file.read_bytes()
        assert index.read_bytes() == b"{}"
        file.unlink()
        index.unlink()
        return data


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_file_is_there_again_after_its_job_has_ended(kept: Kept) -> None:
    digest = kept.put(b"G28\n")
    assert kept.take(digest) == b"G28\n"
    assert kept.take("0" * 64) is None
    assert kept.files.digests() == {digest}


def test_a_file_is_found_by_its_whole_address_and_only_with_an_etag(kept: Kept) -> None:
    digest = kept.put(b"G28\n", "https://h/f?id=1")
    kept.put(b"G29\n", "https://h/g", etag="")
    found = kept.files.by_address("https://h/f?id=1")
    assert found is not None
    assert (found.digest, found.etag) == (digest, '"1"')
    assert kept.files.by_address("https://h/f?id=2") is None
    assert kept.files.by_address("https://h/g") is None
    newer = kept.put(b"G30\n", "https://h/f?id=1")
    found = kept.files.by_address("https://h/f?id=1")
    assert found is not None
    assert found.digest == newer


def test_no_address_is_written_down(kept: Kept) -> None:
    kept.put(b"G28\n", "https://user:secret@h/f?token=secret")
    assert not any(b"secret" in path.read_bytes() for path in kept.folder.iterdir())


def test_a_damaged_file_is_not_used_and_goes(kept: Kept) -> None:
    digest = kept.put(b"G28\n")
    (kept.folder / f"{digest}.gcode").write_bytes(b"G92\n")
    assert kept.take(digest) is None
    assert list(kept.folder.iterdir()) == []


def test_a_cancelled_look_at_a_file_costs_it_nothing(kept: Kept) -> None:
    digest = kept.put(b"G28\n")
    origin = kept.files.by_digest(digest)
    assert origin is not None
    with pytest.raises(CancelledError):
        kept.files.take(origin, kept.jobs / "t.gcode", kept.jobs / "t.index", lambda: True)
    assert kept.take(digest) == b"G28\n"


def test_beyond_the_limit_what_was_used_least_lately_goes(kept: Kept) -> None:
    first, second = kept.put(b"a" * 4000), kept.put(b"b" * 4000)
    again = kept.put(b"a" * 4000)
    assert again == first
    third = kept.put(b"c" * 4000)
    assert kept.files.digests() == {first, third}
    assert kept.take(second) is None
    kept.put(b"d" * (LIMIT + 1))
    assert kept.files.digests() == {first, third}, "a file that is too large takes no other's place"


def test_so_many_files_are_kept_and_for_so_long(kept: Kept) -> None:
    digests = [kept.put(b"%d" % number) for number in range(MAX_FILES + 3)]
    assert kept.files.digests() == set(digests[3:])
    kept.now += KEEP_S - 5
    kept.files.tidy(LIMIT)
    assert kept.files.digests() == set(digests[-6:])
    kept.files.tidy(0)
    assert list(kept.folder.iterdir()) == []


def test_nothing_is_kept_while_the_disk_has_little_room(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = kept.put(b"G28\n")
    monkeypatch.setattr(kept_files, "RESERVE", 1 << 60)
    kept.files.tidy(LIMIT)
    assert kept.take(digest) is None


def test_what_is_no_whole_kept_file_goes(kept: Kept) -> None:
    digest = kept.put(b"G28\n")
    for name in (f"{'1' * 64}.gcode", f"{'2' * 64}.json", "x.part", "notes"):
        (kept.folder / name).write_bytes(b"{")
    kept.files.tidy(LIMIT)
    assert {path.stem for path in kept.folder.iterdir()} == {digest}


def test_a_folder_that_is_gone_keeps_no_print_back(kept: Kept) -> None:
    digest = kept.put(b"G28\n")
    for path in kept.folder.iterdir():
        path.unlink()
    kept.folder.rmdir()
    assert kept.take(digest) is None
    kept.put(b"G28\n")
    assert kept.files.digests() == frozenset()

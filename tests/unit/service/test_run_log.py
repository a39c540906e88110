"""Log of this run and of the one before it, on the disk."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

from agent.service.logs import Ring
from agent.service.run_log import NAMES, OLDER, RUN, RunLog


def lines(folder: Path) -> dict[str, list[str]]:
    return {name: (folder / name).read_text().splitlines() for name in NAMES if (folder / name).exists()}


def test_a_new_run_keeps_the_log_of_the_one_before_it_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for run in ("first", "second", "third"):
        log = RunLog(folder)
        log.write(run.encode())
        log.close()
    assert lines(folder) == {"last.log": ["second"], RUN: ["third"]}
    assert stat.S_IMODE((folder / RUN).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_run_has_two_files_of_bounded_size(tmp_path: Path) -> None:
    log = RunLog(tmp_path, half=100)
    for number in range(100):
        log.write(b"line %04d" % number)
    log.close()
    kept = lines(tmp_path)
    assert kept[OLDER] + kept[RUN] == [f"line {number:04}" for number in range(100 - 10 - len(kept[RUN]), 100)]
    assert all((tmp_path / name).stat().st_size <= 110 for name in (OLDER, RUN))
    RunLog(tmp_path)
    assert lines(tmp_path) == {"last.older.log": kept[OLDER], "last.log": kept[RUN]}


def test_a_line_is_on_its_way_to_the_disk_at_once(tmp_path: Path) -> None:
    """A killed process closes nothing."""
    log = RunLog(tmp_path)
    log.write(b"now")
    assert lines(tmp_path) == {RUN: ["now"]}


def test_a_disk_that_takes_nothing_is_borne(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file in the place of the folder")
    log = RunLog(tmp_path / "log")
    log.write(b"lost")
    log.close()


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    log = RunLog(tmp_path, half=4000)

    def write(number: int) -> None:
        for _ in range(100):
            log.write(b"%d" % number * 50)

    threads = [threading.Thread(target=write, args=(number,), name=f"writer{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    log.close()
    assert all(len(line) == 50 and len(set(line)) == 1 for name in lines(tmp_path) for line in lines(tmp_path)[name])


def test_the_ring_gives_what_it_has_and_what_comes() -> None:
    ring, written = Ring(), list[bytes]()
    ring({}, "info", {"event": "before"})
    ring.attach(written.append)
    ring({}, "info", {"event": "after"})
    assert written == [b'{"event":"before"}', b'{"event":"after"}']
    assert ring.text() == b"".join(line + b"\n" for line in written)

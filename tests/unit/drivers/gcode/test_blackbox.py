"""The last lines both ways are there when something failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.core.driver import Outcome, PrinterState
from agent.errors import DataError
from drivers.gcode.link.black_box import ENTRIES, FILE_BYTES, FILES, BlackBox, Entry, Recorder, escape, files, read
from drivers.gcode.slot import Slot


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_800_000_000.0


def box_of(clock: Clock, entries: int, data: bytes = b"ok\n") -> BlackBox:
    box = BlackBox(clock.monotonic)
    for _ in range(entries):
        box.heard(data)
    return box


def test_what_went_by_is_read_back_with_its_time_and_way(tmp_path: Path) -> None:
    clock = Clock()
    box = BlackBox(clock.monotonic)
    box.sent(b"N1 G1 X1*97\n")
    clock.now += 1.5
    box.heard(b"\xff\x00ok\r\n")
    clock.now += 0.5
    Recorder(box, tmp_path / "boxes", clock).write("line 7: no answer", {"port": "/dev/ttyUSB0", "machine": ""})
    facts, entries = read(files(tmp_path / "boxes")[0])
    assert facts == {"time": "2027-01-15T08:00:00Z", "reason": "line 7: no answer", "port": "/dev/ttyUSB0"}
    assert entries == [Entry(-2.0, ">", b"N1 G1 X1*97\n"), Entry(-0.5, "<", b"\xff\x00ok\r\n")]


@given(data=st.binary(min_size=1, max_size=80))
def test_any_bytes_come_back_as_they_were(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("box")
    box = BlackBox(Clock().monotonic)
    box.sent(data)
    Recorder(box, folder, Clock()).write("x", {})
    assert read(files(folder)[0])[1][0].data == data
    assert "\n" not in escape(data)


def test_only_the_last_entries_are_kept() -> None:
    assert len(box_of(Clock(), ENTRIES + 50).lines()) == ENTRIES == 2000


def test_a_file_and_their_number_are_bounded(tmp_path: Path) -> None:
    recorder = Recorder(box_of(Clock(), ENTRIES, b"\xff" * 1000), tmp_path, Clock())
    for _ in range(FILES + 3):
        recorder.write("noise", {})
    found = files(tmp_path)
    assert [path.name for path in found] == [f"box-{n:06}.txt" for n in range(4, FILES + 4)]
    assert FILE_BYTES * 0.9 < found[0].stat().st_size <= FILE_BYTES
    assert found[0].stat().st_mode & 0o777 == 0o600
    assert read(found[0])[0]["reason"] == "noise"


def test_a_folder_that_cannot_be_written_does_not_make_it_worse(tmp_path: Path) -> None:
    (tmp_path / "boxes").write_text("a file")
    with capture_logs() as logs:
        Recorder(box_of(Clock(), 1), tmp_path / "boxes", Clock()).write("x", {})
    assert logs == [
        {"event": "black box write failed", "log_level": "warning", "part": "gcode", "error": "File exists"}
    ]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("boxes", "a file")]


def test_an_operation_that_fails_and_a_halt_are_recorded_once_and_nothing_else() -> None:
    slot = Slot()
    told: list[str] = []
    slot.failed = lambda reason, _about: told.append(reason)
    slot.end("a", Outcome.COMPLETED, PrinterState.IDLE)
    slot.end("b", Outcome.CANCELLED, PrinterState.IDLE)
    assert told == []
    slot.end("c", Outcome.FAILED, PrinterState.OFFLINE, "unplugged", reason="unplugged")
    assert told == ["unplugged"]
    slot.update(state=PrinterState.ERROR, reason="thermal runaway")
    slot.update(reason="still")
    assert told == ["unplugged", "thermal runaway"]
    slot.end("d", Outcome.FAILED, PrinterState.ERROR, "killed", reason="killed")
    assert told[2:] == ["killed"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "not a black box"),
        ("", "not a black box"),
        ("# printer-agent black box 1\n-1.0 ? x\n", "line 2: expected SECONDS"),
        ("# printer-agent black box 1\n# reason x\nnow > x\n", "line 3: expected SECONDS"),
        ("# printer-agent black box 1\n-1 > \\x\n", "line 2: expected SECONDS"),
        ("# printer-agent black box 1\n-1 > \\u1234\n", "line 2: expected SECONDS"),
    ],
)
def test_what_is_no_black_box_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "box-000001.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "none.txt")


def test_a_printer_that_floods_the_line_takes_no_more_memory_than_a_file() -> None:
    """Reads of 4096 bytes, 2000 of them, were 8 MB, and four times that as text."""
    box = BlackBox(Clock().monotonic)
    for _ in range(ENTRIES):
        box.heard(b"\0" * 4096)
    box.heard(b"ok\n")
    lines = box.lines(1 << 40)
    assert sum(len(line) for line in lines) <= 4 * FILE_BYTES + 100 * len(lines)
    assert lines[-1].endswith(escape(b"ok\n"))
    assert sum(len(line) + 1 for line in box.lines()) <= FILE_BYTES

"""The file as the driver reads it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from agent.core.driver import LineSource
from agent.errors import DataError
from agent.gcode import FileSource
from tests.unit.gcode.samples import LINES_AND_LAYERS, scan, sliced, slow_lines


def source_of(folder: Path, data: bytes) -> FileSource:
    path = folder / "a.gcode"
    path.write_bytes(data)
    return FileSource(path, scan(data))


@pytest.mark.parametrize("name", LINES_AND_LAYERS)
def test_all_lines_come_in_order(tmp_path: Path, name: str) -> None:
    source = source_of(tmp_path, sliced(name))
    assert list(source.lines()) == slow_lines(sliced(name))
    assert source.total_lines == LINES_AND_LAYERS[name][0]
    assert isinstance(source, LineSource)


def test_the_place_after_the_last_line_is_the_end(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"\xef\xbb\xbfG28\r\n\r\n; x\rG1 X1")
    assert list(source.lines(1)) == [b"G28", b"G1 X1"]
    assert list(source.lines(2)) == [b"G1 X1"]
    assert list(source.lines(3)) == []
    with pytest.raises(ValueError, match="start is 0"):
        source.lines(0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    source = source_of(tmp_path, sliced("vase_prusaslicer") * 3)
    tracemalloc.start()
    count = sum(1 for _ in source.lines())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3 * LINES_AND_LAYERS["vase_prusaslicer"][0]
    assert peak < 1_500_000  # of a file of 12 MB


def test_another_file_than_the_scanned_one_is_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"G28\nG1 X1\n")
    source.path.write_bytes(b"G28\n")
    with pytest.raises(DataError, match=r"has 4 bytes, but 10 when it was scanned"):
        FileSource(source.path, source.index)
    source.path.unlink()
    with pytest.raises(DataError, match="No such file"):
        FileSource(source.path, source.index)


def test_a_file_that_shrinks_during_the_print_is_an_error_and_not_its_end(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"G28\nG1 X1\n")
    source.path.write_bytes(b"G28\n")
    lines = source.lines()
    assert next(lines) == b"G28"
    with pytest.raises(OSError, match="changed during the print"):
        next(lines)

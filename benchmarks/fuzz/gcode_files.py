"""G-code files (agent/gcode): the scan, the index, the lines that are sent, the words of each.

The oracle: nothing but DataError with a short printable text; the same whichever way the file was cut into blocks; as
many lines as were counted, each of which fits the firmware; an index that survives its encoding, with places that only
go forward."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import DataError
from agent.gcode import FileSource, Index, Limits, Scanner
from agent.gcode.framing import frame, verify
from agent.gcode.modal import ModalState
from agent.gcode.preflight import MAX_FRAMED
from agent.gcode.slicer_marks import LONGEST
from agent.gcode.waiting import heat_wait, message, wants_person
from agent.gcode.words import command_word, parameters, uppercase
from benchmarks.fuzz.mutator import Mutator
from benchmarks.fuzz.target import Target, Trial, parser, require_text

SAMPLES = Path(__file__).resolve().parents[2] / "tests" / "data"
EXAMPLE_SIZE = 1_500
TOKENS = (
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b";",
        b"(",
        b")",
        b"*",
        b"N1 ",
        b"N",
        b"M110 N5",
        b"m110 n",
        b"M73 P50 R9\n",
        b"M73 R" + b"9" * 70 + b"\n",
        b";LAYER:1\n",
    ),
    *(
        b";LAYER_CHANGE\n",
        b";TIME:999999999999\n",
        b";TIME_ELAPSED:3.5\n",
        b"; estimated printing time (normal mode) = 1d 2h 3m 4s\n",
        b"; estimated printing time = " + b"9" * 60 + b"d\n",
    ),
    *(
        b"G91\n",
        b"G90\n",
        b"G92 E0\n",
        b"M83\n",
        b"G20\n",
        b"T1\n",
        b"M104 S200\n",
        b"M109 R500\n",
        b"M190 S",
        b"M112\n",
        b"M0 hello\n",
    ),
    *(
        b"@pause\n",
        b"G1 X1e5\n",
        b"G1 X-9999\n",
        b"G0 Z",
        b"M117 ",
        b"START_PRINT\n",
        b"\xef\xbb\xbf",
        b"\0" * 30,
        b"<html>",
        b" " * 50,
    ),
)
LIMITS = Limits(volume=(250.0, 210.0, 220.0))
ERROR_LIMIT = 500


def _examples() -> tuple[bytes, ...]:
    """The beginning, a piece of the middle and the end of each sliced file, and a file of everything odd."""
    pieces = [
        b"".join(TOKENS[2:10]) + b"G28\nG1 X10 Y10 Z0.2 F3000\nG1 X20 E1\n",
        b"G28\nM104 S200\nG1 X1 E1 F1200\nM84\n",
    ]
    for path in sorted(SAMPLES.glob("*.gcode.gz")):
        whole = gzip.decompress(path.read_bytes())
        half = len(whole) // 2
        pieces += [whole[:EXAMPLE_SIZE], whole[half : half + EXAMPLE_SIZE], whole[-EXAMPLE_SIZE:]]
    return tuple(pieces)


def _scan(data: bytes, sizes: Iterator[int]) -> Index | str:
    """The index, or why the file is refused."""
    scanner = Scanner(LIMITS)
    at = 0
    try:
        while at < len(data):
            size = next(sizes)
            scanner.feed(data[at : at + size])
            at += size
        return scanner.finish()
    except DataError as error:
        return str(error)


def _sizes(choose: random.Random) -> Iterator[int]:
    while True:
        yield choose.choice((1, 2, 5, 100, 1_000, 60_000))


@contextmanager
def _prepare() -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gcode"

        def check(data: bytes, choose: random.Random) -> None:
            whole = _scan(data, iter((max(len(data), 1),)))
            pieces = _scan(data, _sizes(choose))
            if isinstance(whole, str) or isinstance(pieces, str):
                assert isinstance(whole, str), f"refused only in pieces: {pieces}"
                assert isinstance(pieces, str), f"refused only as a whole: {whole}"
                require_text(whole, ERROR_LIMIT)
                return
            assert whole.total_lines == pieces.total_lines
            assert (whole.total_layers, whole.slicer, whole.estimate) == (
                pieces.total_layers,
                pieces.slicer,
                pieces.estimate,
            )
            _require_index(whole)
            path.write_bytes(data)
            _require_lines(path, whole, choose)

        yield parser(Mutator(_examples(), TOKENS), check)


def _require_index(index: Index) -> None:
    assert Index.decode(index.encode()) == index
    require_text(index.slicer, 80)
    require_text(index.caution(), 1_000)
    before = index.position(0)
    assert before.progress == 0.0
    for line in sorted({1, index.total_lines // 3, index.total_lines // 2, index.total_lines}):
        place = index.position(line)
        assert before.progress <= place.progress <= 1.0
        assert before.layer <= place.layer <= index.total_layers
        assert place.seconds_left is None or 0 <= place.seconds_left <= LONGEST
        before = place
    assert before.progress == 1.0


def _require_lines(path: Path, index: Index, choose: random.Random) -> None:
    source = FileSource(path, index)
    lines = list(source.lines())
    assert len(lines) == index.total_lines
    start = choose.randrange(1, len(lines) + 1)
    assert list(source.lines(start)) == lines[start - 1 :]
    for setting in source.settings_before(start):
        assert setting
        assert b"\n" not in setting
    modal = ModalState(lines)
    assert len(modal.lines()) < 40
    for number, line in enumerate(lines, 1):
        wire = frame(number, line)
        assert len(wire) - 1 <= MAX_FRAMED
        assert wire.count(b"\n") == 1
        assert b"\r" not in wire
        assert verify(wire) == (number, line)
        _require_words(line)


def _require_words(line: bytes) -> None:
    assert len(command_word(line)) <= 7
    assert all(len(letter) == 1 for letter in parameters(line))
    assert len(uppercase(line)) == len(line)
    wait = heat_wait(line)
    assert wait is None or (wait.setter.isascii() and len(wait.setter) < 200)
    assert wants_person(line).isprintable()
    assert len(message(line)) <= 80


TARGET = Target("gcode_files", 30_000, _prepare)

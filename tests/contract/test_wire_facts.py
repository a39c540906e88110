"""Facts of docs/serial.md that need a whole driver, a pty and a board at its other end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.driver import Outcome, PrinterState, SupportsEmergencyStop
from agent.gcode import FileSource, Scanner
from agent.testing import Lines, Rig
from drivers.gcode.timing import Timing
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import Tap, driver_rig

S = PrinterState


@contextmanager
def tapped(options: Options, window: int = 1, spoils: bytes = b"") -> Iterator[tuple[Rig, VirtualPrinter, Tap]]:
    """A driver, the board and what goes over the wire between them."""
    with driver_rig(options, window=window, present=False) as made, made.one() as rig:
        tap = Tap(made.printer, spoils)
        made.printer.start()
        yield rig, made.printer, tap


ODD = (
    b"\xef\xbb\xbf; a mark, a comment\r\n\r\n   \n;\n(only this)\n"
    b"g1 x11 f6000\n"
    b"G1 X12 ; \xff\xfe no text\r\n"
    b"\0\0G1 X13\0\n"
    b"G1 X14 (between) Y1\r"
    b"; Umlaute: \xe4\xf6\xfc\r\r\n"
    b"  G1 X15\t\n"
    b"M117 Gr\xc3\xbc\xc3\x9fe\n"
    b"G1 X16"
)


def test_an_odd_file_is_printed_to_its_last_line(tmp_path: Path) -> None:
    """docs/serial.md §5a, §11, §12: comments and what is no text are not sent, blank lines would get no ok, lower case
    would
    not be understood; the last line counts without its end."""
    path = tmp_path / "odd.gcode"
    path.write_bytes(ODD)
    scanner = Scanner()
    scanner.feed(ODD)
    with tapped(Options(link=tmp_path / "p")) as (used, _printer, tap):
        used.ready()
        before = len(tap.lines)
        used.driver.start_print("p", FileSource(path, scanner.finish()))
        now = used.ended("p")
        assert now.last is not None
        assert now.last.outcome is Outcome.COMPLETED, now.last.error
        codes = [b"G1 X11 F6000", b"G1 X12", b"G1 X13", b"G1 X14  Y1", b"G1 X15", "M117 Grüße".encode(), b"G1 X16"]
        assert [code for code in used.executed if code.startswith((b"G1", b"M117"))] == codes
        sent = tap.lines[before:]
        assert not [line for line in sent if b";" in line or b"(" in line or line != line.strip()]
        blank = [at for at, line in enumerate(sent) if not line]
        assert all(sent[at + 1].startswith(b"N") and b"M1" in sent[at + 1] for at in blank), (
            "those before an M110 or M105"
        )


def test_an_emergency_stop_is_read_while_the_queue_is_as_full_as_it_gets(tmp_path: Path) -> None:
    """docs/serial.md §6a, §23: at most three lines in flight leave the queue's fourth place to M112."""
    with tapped(Options(link=tmp_path / "p", speed=1.0), window=8) as (used, printer, tap):
        used.ready()
        used.driver.start_print("p", Lines([b"G4 S60"] * 20))
        end = time.monotonic() + 5.0
        while sum(b" G4 " in line for line in tap.lines) < 3:
            assert time.monotonic() < end, tap.lines
            time.sleep(0.001)
        assert isinstance(used.driver, SupportsEmergencyStop)
        used.driver.halt()
        now = used.ended("p")
        assert now.last is not None
        assert now.last.error == "emergency stop"
        while not printer._firmware.stopped:
            assert time.monotonic() < end, "M112 waits behind the others"
            time.sleep(0.001)
        assert sum(b" G4 " in line for line in tap.lines) == 3


def test_a_job_begins_with_m400_and_both_numbers_of_m110_equal(tmp_path: Path) -> None:
    """docs/serial.md §2, §7: number and checksum, after what was still moving, and the file's first line is N1."""
    with tapped(Options(link=tmp_path / "p")) as (used, _printer, tap):
        used.ready()
        before = len(tap.lines)
        used.driver.start_print("p", Lines([b"G1 X11 F6000", b"G1 X12"]))
        used.ended("p")
        sent = [line for line in tap.lines[before:] if line and b"M105" not in line]
        first = next(at for at, line in enumerate(sent) if line.startswith(b"N1 G1 X11 F6000*"))
        assert sent[first - 1] == b"N0 M110 N0*125"
        assert any(b" M400*" in line for line in sent[:first])
        assert sent[first + 1].startswith(b"N2 G1 X12*")
        assert any(b" M400*" in line for line in sent[first + 2 :]), "completed means that it has moved"


def test_a_spoilt_line_among_several_costs_none_and_doubles_none(tmp_path: Path) -> None:
    """docs/serial.md §6, §9, §9b: line 6 is spoilt while 7 and 8 are on their way; those vanish without a word."""
    file = [b"G1 X1%d F6000" % number for number in range(10, 40)]
    with tapped(Options(link=tmp_path / "p"), window=3, spoils=b"N6 G1 X1") as (used, _printer, tap):
        used.ready()
        used.driver.start_print("p", Lines(file))
        now = used.ended("p")
        assert now.last is not None
        assert now.last.outcome is Outcome.COMPLETED, now.last.error
        assert b"Resend: 6\n" in tap.said
        assert [line for line in used.executed if line.startswith(b"G1")] == file
        sent = [int(line[1:].split()[0]) for line in tap.lines if line.startswith(b"N") and b" G1 " in line]
        assert sent.count(6) == 2
        behind = sent[sent.index(6) + 1 :]
        assert behind[behind.index(6) :][:4] == [6, 7, 8, 9], "and on from there"


def test_what_a_question_of_our_own_cost_is_not_the_cables_fault(tmp_path: Path) -> None:
    """docs/serial.md §9a, §9b, §10: a board at slow moves is asked where it is, and drops what it has not read yet; an
    M110 that it carries out twice sets its number back. Nothing was damaged."""
    slow = [b"G1 X%d F1200" % (10 + 10 * (number % 2)) for number in range(14)]
    options, hasty = Options(link=tmp_path / "p", speed=1.0, planner_blocks=4), Timing(patience=0.05, hello=0.5)
    with driver_rig(options, window=3, timing=hasty, present=False) as made, made.one() as used:
        tap = Tap(made.printer)
        made.printer.start()
        used.ready()
        used.driver.start_print("p", Lines(slow))
        assert used.outcome("p", 60.0).outcome is Outcome.COMPLETED
        sent = [line for line in tap.lines if line.startswith(b"N") and b"M110" not in line]
        assert tap.said.count(b"Resend: ") > 5
        assert len(sent) > len(set(sent)), "this run proves nothing: no line was sent again"
        assert used.driver.telemetry().link.resends == 0

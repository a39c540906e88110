"""The table of docs/serial.md Dialects, cell by cell: what the driver does with a board of each family, on a pty."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from agent.core.driver import Outcome, SupportsEmergencyStop
from agent.gcode.framing import checksum
from agent.testing import Lines, Rig, moves
from drivers.gcode.timing import Timing
from drivers.simulated import Options, VirtualPrinter
from tests.rigs.driver_rig import Tap, driver_rig

TIMING = Timing(patience=0.05, hello=0.5, probe=2.0, garbled=0.02, poll=1.4, reset=0.2, retry=0.05, retry_most=0.1)
FILE = moves(40)
SPOILT = b"N20 G1 X"

COLUMNS = ("marlin", "marlin1", "prusa", "repetier", "reprap", "smoothie", "klipper")
"""As in the table, from left to right."""

REPORTS = {"marlin": True, "marlin1": False, "prusa": True}  # the others poll
KEEPALIVE = {"marlin": True, "marlin1": False, "prusa": True}  # marlin1 is one before the capability lines of 1.1
STOP = {"smoothie": b"\x18\n", "repetier": b"\nM112*127\n"}  # the others have M112 as it is
REQUEST = {"repetier": b"Resend:20", "smoothie": b"rs N20", "klipper": b""}
PLAIN = b"Resend: 20"

column = pytest.mark.parametrize("dialect", COLUMNS)


@dataclass
class Seen:
    """What went by, phase for phase; `printed` is what was executed of the file."""

    firmware: str = ""
    hello: bytes = b""
    idle: bytes = b""
    heard_idle: bytes = b""
    script: bytes = b""
    halt: bytes = b""
    stopped: bool = False
    said: bytes = b""
    printed: list[bytes] = field(default_factory=list)
    outcome: Outcome | None = None


@contextmanager
def board(
    folder: Path, options: Options, *, spoils: bool = False, timing: Timing = TIMING
) -> Iterator[tuple[Rig, VirtualPrinter, Tap]]:
    """A driver, the board and what goes over the wire between them; with `spoils` line 20 of the file arrives as
    another one, once."""
    folder.mkdir()
    with driver_rig(options, timing=timing, present=False) as made, made.one() as rig:
        tap = Tap(made.printer, SPOILT if spoils else b"")
        made.printer.start()
        yield rig, made.printer, tap


def talk(folder: Path, dialect: str) -> Seen:
    """Hello, a while without anything to do, a script, an emergency stop."""
    seen = Seen()
    with board(folder, Options(dialect=dialect, link=folder / "p")) as (rig, printer, tap):
        rig.ready()
        seen.hello, heard = tap.sent, len(tap.said)
        seen.firmware = rig.driver.telemetry().firmware
        time.sleep(2.0)  # a poll comes after 1.4 s, `wait` after 1 s
        seen.idle, seen.heard_idle = tap.sent[len(seen.hello) :], tap.said[heard:]
        before = len(tap.sent)
        rig.driver.run_script("s", ["M117 about M110"])
        rig.ended("s")
        seen.script, before = tap.sent[before:], len(tap.sent)
        assert isinstance(rig.driver, SupportsEmergencyStop)
        rig.driver.halt()
        end = time.monotonic() + 5.0
        while not (seen.stopped and b" M112*" in seen.halt) and time.monotonic() < end:
            time.sleep(0.001)
            seen.stopped = printer._firmware.stopped or printer.resets > 0
            seen.halt = tap.sent[before:]
    return seen


def spoilt_print(folder: Path, dialect: str, *, resend_ok: bool | None = None) -> Seen:
    """A print one line of which is spoilt on the way."""
    seen = Seen()
    with board(folder, Options(dialect=dialect, link=folder / "p", resend_ok=resend_ok, homed=True), spoils=True) as (
        rig,
        _,
        tap,
    ):
        rig.ready()
        rig.driver.start_print("p", Lines(FILE))
        last = rig.ended("p").last
        seen.said, seen.printed = tap.said, [code for code in rig.executed if code.startswith(b"G1")]
        seen.outcome = last.outcome if last is not None else None
    return seen


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """All at once: they wait most of the time."""
    folder = tmp_path_factory.mktemp("dialects")
    with ThreadPoolExecutor(len(COLUMNS)) as pool:
        found = pool.map(lambda dialect: talk(folder / dialect, dialect), COLUMNS)
        return dict(zip(COLUMNS, found, strict=True))


@column
def test_the_hello_is_understood_by_every_family(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md §18, §19: a newline first, both numbers of M110 equal, then M115; the rest comes from its
    answer."""
    seen = talks[dialect]
    assert seen.hello.startswith(b"\nN0 M110 N0*125\n")
    assert b" M115*" in seen.hello
    assert seen.firmware


@column
def test_the_request_is_understood_in_the_familys_form(tmp_path: Path, dialect: str) -> None:
    """docs/serial.md Dialects, resend form; §8, §9: what is asked for is sent again, once."""
    seen = spoilt_print(tmp_path / "a", dialect)
    request = REQUEST.get(dialect, PLAIN)
    assert seen.outcome is Outcome.COMPLETED
    if request:
        assert request in seen.said.split(b"\r\n" if b"\r" in seen.said else b"\n")
        assert seen.printed == FILE
    else:
        assert b"esend" not in seen.said
        assert len(seen.printed) == len(FILE), "nothing is sent a second time"


@column
@pytest.mark.parametrize("follows", [True, False])
def test_the_ok_after_a_request_may_come_or_not(tmp_path: Path, dialect: str, follows: bool) -> None:
    """docs/serial.md Dialects, ok after resend; §8: neither costs a line or sends one twice."""
    seen = spoilt_print(tmp_path / "a", dialect, resend_ok=follows)
    assert seen.outcome is Outcome.COMPLETED
    assert len(seen.printed) == len(FILE)
    if REQUEST.get(dialect, PLAIN):
        assert seen.printed == FILE
        behind = seen.said.partition(REQUEST.get(dialect, PLAIN))[2].lstrip()
        oks = behind.split(b"\n", 2)[:2]
        assert (oks[0].strip() == b"ok") or not follows


@column
def test_wait_changes_nothing_while_there_is_nothing_to_do(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md Dialects, wait when idle; §5."""
    seen = talks[dialect]
    assert (b"wait" in seen.heard_idle) is (dialect == "repetier")
    assert b"999999999" not in seen.idle, "it is not asked for its place"


def test_wait_is_an_option_of_marlin_and_shows_a_lost_ok_sooner(tmp_path: Path) -> None:
    """docs/serial.md Dialects, wait when idle; §5: it stands for the `ok` only where nothing else is pending."""
    options = Options(link=tmp_path / "a/p", idle_wait=True, faults=("lost-ok=0.05", "seed=2"))
    timing = msgspec.structs.replace(TIMING, patience=100.0)
    with board(tmp_path / "a", options, timing=timing) as (rig, printer, tap):
        rig.ready()
        rig.driver.start_print("p", Lines(FILE))
        last = rig.ended("p", 30.0).last
        assert last is not None
        assert last.outcome is Outcome.COMPLETED
        assert [code for code in rig.executed if code.startswith(b"G1")] == FILE
        assert b"wait" in tap.said
        assert printer.fault_counts["lost-ok"] > 0


@column
def test_temperatures_are_reported_or_polled(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md Dialects, auto-report; §17."""
    seen = talks[dialect]
    reports = REPORTS.get(dialect, False)
    assert (b"M155 S2" in seen.hello) is reports
    assert (b"M105" in seen.idle) is not reports


@column
def test_busy_is_asked_for_where_it_is_known(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md Dialects, busy keepalive; §17."""
    assert (b"M113 S2" in talks[dialect].hello) is KEEPALIVE.get(dialect, False)


@column
def test_the_emergency_stop_is_the_familys(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md Dialects, emergency; §23: after a newline, and again with a number; it stops."""
    seen = talks[dialect]
    stop = STOP.get(dialect, b"\nM112\n")
    assert seen.halt.startswith(stop)
    again = seen.halt[len(stop) :]
    assert again.startswith(b"N")
    assert b" M112*" in again
    assert seen.stopped


@column
def test_a_line_without_a_number_has_a_checksum_where_it_must(talks: dict[str, Seen], dialect: str) -> None:
    """docs/serial.md Dialects, checksum outside jobs; §13: a line that must not be numbered shows it."""
    line = b"M117 about M110"
    seen = talks[dialect]
    assert (b"%b*%d\n" % (line, checksum(line)) in seen.script) is (dialect == "repetier")
    assert (line + b"\n" in seen.script) is (dialect != "repetier")

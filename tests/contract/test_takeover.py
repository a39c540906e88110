"""A print outlives its agent: another driver, with nothing but what was remembered, goes on with the very next line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path

import msgspec
import pytest

from agent.core.driver import Host, Outcome, PrinterState, Scripts, Telemetry
from agent.errors import UnavailableError
from agent.gcode.framing import frame
from agent.testing import Lines, Rig, SystemClock, moves
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.protocol.numbering import HOST, file_line
from drivers.gcode.session.driver_checkpoint import Stage, decode
from drivers.simulated import Options, ResetOnOpen
from tests.rigs.driver_rig import QUICK, DriverRig, driver_rig

S = PrinterState
TIMING = msgspec.structs.replace(QUICK, take_over=1.0, calm=0.05)
TELL = ("marlin", "marlin1", "marlin1.0", "prusa", "repetier", "reprap", "smoothie")
CANNOT_TELL = ("reprap3", "klipper")


@contextmanager
def world(
    folder: Path,
    *,
    dialect: str = "marlin",
    kept: bool = True,
    window: int = 1,
    speed: float = inf,
    faults: tuple[str, ...] = (),
    scripts: Scripts | None = None,
    reset: ResetOnOpen = ResetOnOpen.HALTED,
) -> Iterator[DriverRig]:
    """A printer that outlives its drivers."""
    options = Options(
        dialect=dialect,
        speed=speed,
        faults=faults,
        link=folder / "printer",
        advanced_ok=window > 1,
        reset_on_open=reset,
        homed=True,
    )
    with driver_rig(options, window=window, timing=TIMING, scripts=scripts or Scripts(), kept=kept) as made:
        yield made


def completed(rig: Rig) -> Telemetry:
    now = rig.ended("p", 20)
    rig.driver.close()
    assert now.last is not None
    assert now.task_id == ""
    assert now.last.outcome is Outcome.COMPLETED, now.last.error
    return now


def failed(rig: Rig) -> str:
    now = rig.ended("p", 20)
    assert now.last is not None
    assert now.last.outcome is Outcome.FAILED
    return now.last.error


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "reopened"])
@pytest.mark.parametrize("dialect", TELL)
def test_the_next_driver_goes_on_with_the_very_next_line(tmp_path: Path, dialect: str, kept: bool) -> None:
    source = moves(3000)
    with world(tmp_path, dialect=dialect, kept=kept) as made:
        rig = made.ready()
        rig.driver.start_print("p", Lines(source))
        rig.until_line(50)
        rig.driver.close(hand_over=True)
        assert rig.driver.telemetry().last is None, "nothing is said of it"
        line = rig.driver.telemetry().line
        assert made.printer.resets == 0
        rig = made.next(source, line)
        assert completed(rig).line == 3000
        assert rig.file_lines() == source
        assert b"M104 S0" not in made.executed, "it was not cancelled"
        if dialect == "marlin":
            assert made.executed.count(b"M155 S2") == made.executed.count(b"M113 S2") == 2, "what the hello sets"


@pytest.mark.parametrize("dialect", CANNOT_TELL)
def test_a_firmware_that_cannot_say_where_it_is_fails_honestly(tmp_path: Path, dialect: str) -> None:
    source = moves(3000)
    with world(tmp_path, dialect=dialect) as made:
        rig = made.ready()
        rig.driver.start_print("p", Lines([b"M104 S100", *source]))
        rig.until_line(50)
        rig.driver.close(hand_over=True)
        at = len(made.executed)
        rig = made.next([b"M104 S100", *source])
        assert "firmware does not say where it is" in failed(rig)
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()
        assert b"M104 S0" in made.executed[at:]
        assert not [line for line in made.executed[at:] if line.startswith(b"G1")][3:], "only what was on its way"


@contextmanager
def printing(made: DriverRig, source: Sequence[bytes], until: int = 50, **started: Sequence[str]) -> Iterator[Rig]:
    """An agent that prints, handed over at the end."""
    rig = made.ready()
    rig.driver.start_print("p", Lines(source), **started)
    if until:
        rig.until_line(until)
    yield rig
    rig.driver.close(hand_over=True)


def tell(made: DriverRig, data: bytes) -> None:
    """Write to the port beside the agent, or while none runs."""
    fd = os.open(made.printer.path, os.O_WRONLY | os.O_NOCTTY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def opened_after(made: DriverRig, resets: int) -> bool:
    """Open the port for a while, as the simulator looks now and then; whether the board has been reset since."""
    fd = os.open(made.printer.path, os.O_WRONLY | os.O_NOCTTY)
    try:
        end = time.monotonic() + 0.3
        while made.printer.resets == resets and time.monotonic() < end:
            time.sleep(0.005)
    finally:
        os.close(fd)
    return made.printer.resets > resets


def settle(true: Callable[[], object]) -> None:
    end = time.monotonic() + 5.0
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "reopened"])
def test_a_board_that_was_reset_meanwhile_fails_the_print_and_is_made_safe(tmp_path: Path, kept: bool) -> None:
    """docs/serial.md §20: kept open, the `start` is heard; reopened, the place 0 tells."""
    source = moves(3000)
    with world(tmp_path, kept=kept) as made:
        with printing(made, source):
            pass
        if kept:
            assert made.memories.keeper.take() is not None
        tell(made, b"\nM997\n")
        settle(lambda: made.printer.resets == 1)
        at = len(made.executed)
        rig = made.next(source, 40)
        assert failed(rig) == "the printer restarted: its position is lost"
        assert rig.driver.telemetry().line == 40
        rig.until(lambda t: t.state is S.IDLE)
        assert b"M104 S0" in made.executed[at:]
        assert not [line for line in made.executed[at:] if line.startswith(b"G")]
        rig.driver.start_print("q", Lines(moves(5)))
        assert rig.ended("q").line == 5
        rig.driver.close()


def test_a_printer_that_is_not_as_far_as_the_print_was_has_begun_something_else(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source):
            pass
        rig = made.next(source, 2000)
        assert "it has begun something else" in failed(rig)
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()


@pytest.mark.parametrize("number", [21, 50, HOST + 16 * 50 + 3], ids=["next", "far", "host"])
def test_a_printer_that_is_past_the_files_end_has_begun_something_else(tmp_path: Path, number: int) -> None:
    """All that was left is not the end: those lines were never this file's."""
    source = moves(20)
    with world(tmp_path) as made:
        with printing(made, source, 0) as rig:
            rig.ended("p")
        rig = made.driver()
        tell(made, b"\n" + frame(number, b"M110 N%d" % number))
        at = len(made.executed)
        rig.driver.open(made.memories.host(rig.wake), made.memories.unfinished("p", Lines(source), 20))
        line = file_line(number)
        assert failed(rig) == (
            f"the printer is at line {line}, the print was at line 20 of 20: it has begun something else"
        )
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()
        assert b"M104 S0" in made.executed[at:], "what it heats is not known: it is made safe"


def test_a_whole_record_of_another_version_fails_the_print(tmp_path: Path) -> None:
    """All its fields are there, and may mean something else."""
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source):
            pass
        memory = made.memories.written[-1]
        newer = memory.replace(b'"version":1', b'"version":2')
        assert newer != memory
        made.memories.written.append(newer)
        rig = made.next(source)
        assert failed(rig) == "what was remembered of the print is of version 2; expected 1"
        rig.until(lambda t: t.state is S.IDLE)
        assert b"M104 S0" in made.executed
        rig.driver.close()


@pytest.mark.parametrize("memory", [b"{}", b"\xff", b'{"version": 2}'])
def test_a_memory_that_cannot_be_read_fails_the_print(tmp_path: Path, memory: bytes) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source):
            pass
        made.memories.written.append(memory)
        rig = made.next(source)
        assert "what was remembered of the print cannot be read" in failed(rig)
        rig.until(lambda t: t.state is S.IDLE)
        assert b"M104 S0" in made.executed
        rig.driver.close()


def test_a_print_that_had_not_begun_yet_fails(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.ready().driver.close(hand_over=True)
        made.memories.written.append(b"")
        rig = made.next(moves(10))
        assert failed(rig) == "the agent ended before the print had begun"
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "reopened"])
def test_a_board_that_is_reset_when_its_port_is_opened_goes_on_only_where_it_was_kept_open(
    tmp_path: Path, kept: bool
) -> None:
    """docs/serial.md §18, where clearing HUPCL does not help."""
    source = moves(3000)
    with world(tmp_path, kept=kept, reset=ResetOnOpen.ALWAYS) as made:
        with printing(made, source):
            resets = made.printer.resets
        if not kept:
            settle(lambda: opened_after(made, resets))
        rig = made.next(source, 50)
        if kept:
            completed(rig)
            assert made.printer.resets == resets
            assert rig.file_lines() == source
        else:
            assert "restarted" in failed(rig)
            rig.driver.close()


def test_a_port_that_was_kept_open_while_idle_is_taken_up_too(tmp_path: Path) -> None:
    with world(tmp_path, reset=ResetOnOpen.ALWAYS) as made:
        rig = made.ready()
        resets = made.printer.resets
        kept = made.memories.keeper.take()
        assert kept is not None
        rig.driver.close()
        assert made.memories.keeper.take() is None, "an ordinary stop keeps nothing"
        made.memories.keeper.keep(kept)
        os.close(kept)
        rig = made.ready()
        assert made.printer.resets == resets
        assert rig.driver.telemetry().port == made.printer.path
        rig.driver.close()


def test_a_file_that_cannot_be_read_any_more_fails_the_print(tmp_path: Path) -> None:
    class Gone(Lines):
        def lines(self, start: int = 1) -> Iterator[bytes]:
            raise OSError("the card was pulled out")

    with world(tmp_path) as made:
        with printing(made, moves(3000)):
            pass
        rig = made.driver()
        unfinished = made.memories.unfinished("p", Lines(moves(3000)))
        unfinished = msgspec.structs.replace(unfinished, source=Gone(moves(3000)))
        rig.driver.open(made.memories.host(rig.wake), unfinished)
        assert "the card was pulled out" in failed(rig)
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.close()


def test_a_printer_that_is_gone_is_waited_for_and_then_the_print_has_failed(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source):
            pass
        made.printer.stop()
        rig = made.driver()
        began = time.monotonic()
        rig.driver.open(made.memories.host(rig.wake), made.memories.unfinished("p", Lines(source)))
        assert (rig.driver.telemetry().task_id, rig.driver.telemetry().state) == ("p", S.RECOVERING)
        assert rig.until(lambda t: "No such file" in t.reason).state is S.RECOVERING
        assert "No such file" in failed(rig)
        assert rig.driver.telemetry().state is S.OFFLINE
        assert 0.9 < time.monotonic() - began < 3.0
        assert made.memories.keeper.take() is None, "what was kept is of no use"
        rig.driver.close()


@pytest.mark.parametrize("hand_over", [True, False])
def test_a_stop_before_the_printer_was_found_leaves_the_print_or_ends_it(tmp_path: Path, hand_over: bool) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source):
            pass
        made.printer.stop()
        rig = made.driver()
        rig.driver.open(made.memories.host(rig.wake), made.memories.unfinished("p", Lines(source)))
        rig.until(lambda t: "No such file" in t.reason)
        rig.driver.close(hand_over=hand_over)
        last = rig.driver.telemetry().last
        assert (last is None) is hand_over
        assert last is None or "stopped before it was found" in last.error


def test_all_that_was_left_is_the_end(tmp_path: Path) -> None:
    """Killed after the last line and before it was written down that the print is complete."""
    source = moves(30)
    with world(tmp_path) as made:
        with printing(made, source, 0) as rig:
            rig.ended("p")
        assert rig.file_lines() == source
        rig = made.driver()
        tell(made, b"\n" + frame(30, b"M110 N30"))
        rig.driver.open(made.memories.host(rig.wake), made.memories.unfinished("p", Lines(source), 25))
        assert completed(rig).line == 30
        assert rig.file_lines() == source
        assert made.executed[-1] != b"M104 S0"


def test_a_heat_up_is_gone_on_with(tmp_path: Path) -> None:
    """docs/serial.md §24: the line that waits was not sent yet, its target was set."""
    source = [b"G28", b"M109 S60", *moves(20)]
    with world(tmp_path, speed=20.0) as made:
        with printing(made, source, 1) as rig:
            rig.until(lambda t: t.waiting == "heating")
        rig = made.next(source, 1)
        rig.until(lambda t: t.waiting == "heating")
        assert completed(rig).line == 22
        assert made.executed.count(b"G28") == 1
        assert made.executed.count(b"M109 S60") == 1


@pytest.mark.parametrize("window", [1, 3])
def test_a_long_line_that_the_printer_is_at_is_waited_for(tmp_path: Path, window: int) -> None:
    """With a window its queue is full, and it says `ok` later for lines that another agent has sent."""
    source = [*moves(20), b"G4 P3000", b"G28", *moves(20)]
    with world(tmp_path, speed=8.0, window=window) as made:
        made.timing = msgspec.structs.replace(TIMING, patience=0.2, probe=1.0)  # `busy` comes every 250 ms
        with printing(made, source, 19):
            settle(lambda: b"G4 P3000" in made.executed)
        assert completed(made.next(source, 20)).line == 42
        assert [line for line in made.executed if line in source] == source


def test_temperatures_are_shown_before_it_is_known_where_the_printer_is(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        made.timing = msgspec.structs.replace(TIMING, calm=0.5)
        with printing(made, source):
            pass
        rig = made.next(source, 50)
        tell(made, b"M105\n")
        settle(lambda: rig.driver.telemetry().heaters or rig.driver.telemetry().state is not S.RECOVERING)
        now = rig.driver.telemetry()
        assert (now.state, [heater.name for heater in now.heaters]) == (S.RECOVERING, ["tool0", "bed"])
        assert completed(rig).line == 3000


def test_the_preamble_comes_again_when_no_line_was_done(tmp_path: Path) -> None:
    source = [b"M109 S60", *moves(20)]
    with world(tmp_path, speed=20.0) as made:
        with printing(made, source, 0, preamble=["M220 S80"]) as rig:
            rig.until(lambda t: t.waiting == "heating")
        rig = made.driver()
        unfinished = made.memories.unfinished("p", Lines(source), 0, ("M220 S80",))
        rig.driver.open(made.memories.host(rig.wake), unfinished)
        assert completed(rig).line == 21
        assert made.executed.count(b"M220 S80") == 2


def test_the_preamble_does_not_come_again_when_a_line_was_done(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path) as made:
        with printing(made, source, preamble=["M220 S80"]):
            pass
        rig = made.driver()
        unfinished = made.memories.unfinished("p", Lines(source), 50, ("M220 S80",))
        rig.driver.open(made.memories.host(rig.wake), unfinished)
        assert completed(rig).line == 3000
        assert made.executed.count(b"M220 S80") == 1


HOT = [b"G28", b"M109 S200", b"G1 Z5 F6000", *moves(3000)]


@pytest.mark.parametrize("window", [1, 3])
def test_a_paused_print_stays_paused_until_it_is_resumed(tmp_path: Path, window: int) -> None:
    with world(tmp_path, window=window) as made:
        with printing(made, HOT) as rig:
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
        at = len(made.executed)
        rig = made.next(HOT, 50)
        paused = rig.until(lambda t: t.state is S.PAUSED)
        assert paused.task_id == "p"
        settle(lambda: rig.driver.telemetry().heaters)
        assert not [line for line in made.executed[at:] if line.startswith(b"G1")], "the head stays where it is"
        rig.driver.resume()
        completed(rig)
        back = [line for line in made.executed[at:] if line.startswith(b"G1")]
        assert back[0].startswith(b"G1 X1")
        assert back[1:3] == [b"G1 Z5.000 F600", b"G1 E2 F2100"]
        assert [line for line in made.executed if line in set(HOT) and line.startswith(b"G1 X1")] == moves(3000)


def test_a_pause_of_the_file_is_not_asked_for_twice(tmp_path: Path) -> None:
    source = [*moves(60), b"M0 Change the colour", *moves(3)]
    with world(tmp_path) as made:
        with printing(made, source, 0) as rig:
            rig.until(lambda t: t.state is S.PAUSED)
        rig = made.next(source, 50)
        assert "Change the colour" in rig.until(lambda t: t.state is S.PAUSED).reason
        rig.driver.resume()
        assert completed(rig).line == 64


@pytest.mark.parametrize(
    ("stage", "away"),
    [(Stage.PARKING, True), (Stage.RESUMING, True), (Stage.PAUSING, True), (Stage.PAUSED, False)],
)
def test_a_pause_that_was_interrupted_ends_paused_without_pulling_back_twice(
    tmp_path: Path, stage: Stage, away: bool
) -> None:
    with world(tmp_path) as made:
        with printing(made, HOT) as rig:
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
        stages = [decode(memory).stage for memory in made.memories.written]
        assert stages == [Stage.PRINTING, Stage.PAUSING, Stage.PARKING, Stage.PAUSED]
        known = decode(made.memories.written[1 if stage is Stage.PAUSING else 2])
        made.memories.written.append(msgspec.json.encode(msgspec.structs.replace(known, stage=stage)))
        at = len(made.executed)
        rig = made.next(HOT, 50)
        rig.until(lambda t: t.state is S.PAUSED)
        assert (b"G1 X0 Y0 F6000" in made.executed[at:]) is away
        assert made.executed.count(b"G1 E-2 F2100") == (2 if stage is Stage.PAUSING else 1)
        rig.driver.resume()
        completed(rig)
        printed = [line for line in made.executed if line in set(HOT) and line.startswith(b"G1 X1")]
        assert printed == moves(3000)


@pytest.mark.parametrize("stage", [Stage.PARKING, Stage.RESUMING])
def test_a_pause_script_that_is_done_again_pulls_nothing_back_a_second_time(tmp_path: Path, stage: Stage) -> None:
    """Its other lines come again, in the modes that the file has set: the head may be anywhere."""
    source = moves(3000)
    script = ("G91", "G1 E-3 F1800", "G1 Z5 E-1", "G0 E-2", "G90", "G1 X0 Y0")
    with world(tmp_path, scripts=Scripts(pause=script)) as made:
        with printing(made, source) as rig:
            rig.driver.pause()
            rig.until(lambda t: t.state is S.PAUSED)
        known = decode(made.memories.written[2])
        assert known.stage is Stage.PARKING
        made.memories.written.append(msgspec.json.encode(msgspec.structs.replace(known, stage=stage)))
        at = len(made.executed)
        rig = made.next(source, 50)
        rig.until(lambda t: t.state is S.PAUSED)
        again = [code for code in made.executed[at:] if code[:4] not in (b"M105", b"M110")]
        assert again[-7:] == [b"G90", b"M82", b"G91", b"G1 Z5 E-1", b"G90", b"G1 X0 Y0", b"M400"]
        rig.driver.close()


def test_a_cancel_that_was_begun_is_done_again(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path, scripts=Scripts(cancel=("M117 bye",))) as made:
        made.settings = msgspec.structs.replace(made.settings, deadman_s=600)
        with printing(made, source):
            pass
        assert b"M85 S600" in made.executed
        known = decode(made.memories.written[-1])
        made.memories.written.append(msgspec.json.encode(msgspec.structs.replace(known, stage=Stage.CANCELLING)))
        moved = len(made.executed)
        rig = made.next(source, 50)
        last = rig.ended("p").last
        assert last is not None
        assert last.outcome is Outcome.CANCELLED
        assert b"M117 bye" in made.executed[moved:]
        assert b"M85 S600" not in made.executed[moved:], "the heaters' watch is for a print"
        assert made.executed[-2:] == [b"M107", b"M85 S0"], "when the heaters are off for good"
        rig.driver.close()


def test_a_printer_that_paused_by_itself_stays_paused(tmp_path: Path) -> None:
    source = moves(3000)
    with world(tmp_path, faults=("pause@60:4",)) as made:  # then somebody at the printer says go on
        with printing(made, source, 0) as rig:
            rig.until(lambda t: t.state is S.PAUSED)
        made.timing = msgspec.structs.replace(TIMING, patience=0.5)  # it says that it is busy every 2 s
        rig = made.next(source, 50)
        assert "by itself" in rig.until(lambda t: t.state is S.PAUSED).reason
        completed(rig)
        assert rig.file_lines() == source


@pytest.mark.parametrize("stage", [Stage.PARKING, Stage.RESUMING])
def test_a_pause_that_the_printer_made_is_left_to_it_at_any_stage(tmp_path: Path, stage: Stage) -> None:
    """docs/serial.md §30: it knows the way back; the head is not driven anywhere, and nothing is pulled back."""
    source = moves(3000)
    with world(tmp_path, faults=("pause@60:4",)) as made:
        with printing(made, source, 0) as rig:
            rig.until(lambda t: t.state is S.PAUSED)
        known = decode(made.memories.written[-1])
        assert (known.stage, known.pause.ours, known.homed) == (Stage.PAUSED, False, False)
        interrupted = msgspec.structs.replace(known, stage=stage, homed=True)
        made.memories.written.append(msgspec.json.encode(interrupted))
        made.timing = msgspec.structs.replace(TIMING, patience=0.5)
        at = len(made.executed)
        rig = made.next(source, 50)
        assert rig.until(lambda t: t.state is not S.RECOVERING).state is S.PAUSED
        assert "by itself" in rig.driver.telemetry().reason
        completed(rig)
        assert rig.file_lines() == source
        assert not {b"M114", b"G90", b"G1 X0 Y0 F6000"} & set(made.executed[at:])


def test_a_disk_that_refuses_does_not_stop_the_print(tmp_path: Path) -> None:
    def full(_key: str, _memory: bytes) -> None:
        raise UnavailableError("no space left")

    with world(tmp_path) as made:
        rig = made.driver()
        rig.driver.open(Host(rig.wake, remember=full))
        rig.until(lambda t: t.state is S.IDLE)
        rig.driver.start_print("p", Lines(moves(300)))
        assert completed(rig).line == 300
        assert rig.file_lines() == moves(300)


def test_the_thread_gives_signs_of_life_whatever_it_does(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        memories = made.memories

        def lives() -> None:
            beats = memories.beats
            settle(lambda: memories.beats > beats + 2)

        for port in (tmp_path / "nothing", tmp_path / "printer"):
            settings = msgspec.structs.replace(made.settings, port=str(port))
            timing = msgspec.structs.replace(TIMING, beat=0.02)
            rig = Rig(GcodeDriver(settings, clock=SystemClock(), timing=timing), made.executed, lambda: None)
            rig.driver.open(memories.host(rig.wake))
            lives()
            if port.name == "printer":
                rig.until(lambda t: t.state is S.IDLE)
                lives()
                rig.driver.start_print("p", Lines(moves(100_000)))
                rig.until_line(10)
                lives()
                assert rig.driver.telemetry().state is S.PRINTING
            rig.driver.close()

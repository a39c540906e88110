"""What still holds before a line: as if all lines before it had been followed, whatever the file, and quickly."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.gcode import FileSource, Index, Scanner
from agent.gcode.modal import FANS, ModalState
from agent.gcode.words import uppercase
from tests.unit.drivers.simulated.support import Host
from tests.unit.gcode.samples import LINES_AND_LAYERS, scan, sliced, slow_lines

CODES = [
    *("G90", "G91", "M82", "M83", "G20", "G21", "T0", "T1", "T 2", "M106 S255", "M106 P1 S10", "M107", "M107 P1"),
    *("G28", "G28 X Y", "G28X", "M84", "M84 X", "M18", "G92 E0", "G1 X1 Y2 F1800", "G1 X1", "G0 F3000", "G1F600 X2"),
    *("g90", "G091", "G 90", "N5 G91*3", "  G91", "G2 X1 Y1 I1 J1 F900", "M204 S100", "M109 S200", "G1 Z2 F 240"),
    *("M117 G91 is text", "; G91", "G1 X5 ; F99", "(G91)", "M106 P99 S1", "G10", "M1060"),
]


def state(lines: list[bytes], *, extruder_follows: bool = True) -> tuple[object, ...]:
    """All that a driver makes of them."""
    modes = ModalState(extruder_follows=extruder_follows)
    for line in lines:
        modes.follow(line)
    return modes.restore(), modes.tool, modes.homed


def both_states(lines: list[bytes]) -> tuple[object, ...]:
    """The same for either kind of firmware."""
    return state(lines), state(lines, extruder_follows=False)


@given(st.lists(st.sampled_from(CODES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_few_lines_say_what_all_of_them_said(codes: list[str]) -> None:
    lines = slow_lines("\n".join(code for code in codes if not code.startswith("N")).encode())
    modal = ModalState()
    modal.follow_settings(lines)
    modal.follow_feedrate(lines)
    assert len(modal.lines()) <= 6 + FANS
    for line in lines:  # one by one, after the lists
        modal.follow(line)
    assert both_states(modal.lines()) == both_states(lines)
    assert ModalState(modal.lines()).lines() == modal.lines()


@given(st.lists(st.sampled_from(CODES), max_size=40))
@settings(max_examples=100, deadline=None)
def test_it_holds_what_the_simulated_firmware_holds(codes: list[str]) -> None:
    """The simulator follows these commands by itself, so it can be asked who is right."""
    modal, host = ModalState(), Host(leap=True)
    host.send("M302 P1")
    for line in map(uppercase, slow_lines("\n".join(codes).encode())):
        modal.follow(line)
        host.send(line.decode())
    motion = host.firmware.machine.motion
    assert modal.absolute is not motion.relative
    assert modal.extruder_absolute is not motion.relative_e
    assert modal.inches is (motion.unit != 1.0)


@pytest.mark.parametrize(
    ("codes", "follows", "alone"),
    [
        ("G91", False, True),
        ("G91 M82", True, True),
        ("M83 G90", True, False),
        ("M83", False, False),
        ("M83 G90 G91", False, False),
    ],
)
def test_the_extruder_follows_g90_and_g91_where_the_firmware_has_it_so(codes: str, follows: bool, alone: bool) -> None:
    lines = codes.encode().split()
    assert ModalState(lines).extruder_absolute is follows
    assert ModalState(lines, extruder_follows=False).extruder_absolute is alone


def test_what_is_restored_after_a_pause() -> None:
    modal = ModalState([b"G20", b"M106 P1 S9", b"M107", b"T2", b"G28", b"G91", b"G1 X1 F60.5", b"G1 X2", b"M83"])
    assert modal.restore() == [b"G20", b"M107", b"M106 P1 S9", b"G1 F60.5", b"G91", b"M83"]
    assert modal.millimetres() == [b"G21"]
    assert (modal.tool, modal.homed) == (2, True)
    modal.follow(b"M84")
    assert not modal.homed


def test_what_only_looks_like_a_setting_sets_nothing() -> None:
    for code in (b"G91.1", b"G911", b"M117 G91", b"M106 P99 S1", b"G1 X1 F0", b"G28 X", b"Tx", b"", b"\xb2"):
        assert ModalState([code]).lines() == [], code


def padded(codes: list[str], moves: int, seed: int) -> bytes:
    """A file in which the codes are far apart, so that there are many seek points."""
    rng = random.Random(seed)
    move = "".join(f"G1 X{rng.random() * 100:.3f} Y{rng.random() * 100:.3f} E{i * 0.01:.5f}\n" for i in range(moves))
    return "".join(code + "\n" + move for code in codes).encode()


@pytest.mark.parametrize("seed", range(2))
def test_before_each_line_of_a_long_file_it_is_as_if_all_had_been_read(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = padded(rng.choices(CODES, k=60), 500, seed)
    path = tmp_path / "a.gcode"
    path.write_bytes(data)
    index = Index.decode(scan(data).encode())
    assert len(index.seek_lines) > 5
    source = FileSource(path, index)
    lines = list(source.lines())
    for line in [1, 2, *rng.sample(range(1, len(lines) + 2), 30), len(lines), len(lines) + 1]:
        assert both_states(source.settings_before(line)) == both_states(lines[: line - 1]), line


@pytest.mark.parametrize("name", sorted(LINES_AND_LAYERS))
def test_slicers_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.gcode"
    path.write_bytes(sliced(name))
    source = FileSource(path, scan(sliced(name)))
    lines = list(source.lines())
    for line in range(1, len(lines) + 2, max(len(lines) // 20, 1)):
        assert state(source.settings_before(line)) == state(lines[: line - 1])


def test_it_is_quick_however_long_the_file_is(tmp_path: Path) -> None:
    """What is read does not grow with the file: at most about two seek points' distance."""
    path = tmp_path / "a.gcode"
    block = b"G1 X10 Y10 E1 F1800\nG1 X20 Y20 E2\n" * 2000
    scanner = Scanner()
    with path.open("wb") as file:
        for _ in range(500):
            file.write(block)
            scanner.feed(block)
    index = scanner.finish()
    source = FileSource(path, index)
    began = time.perf_counter()
    assert source.settings_before(index.total_lines) == [b"G1 F1800"]
    assert time.perf_counter() - began < 0.3
    assert len(index.encode()) < 400_000


@pytest.mark.parametrize(
    ("line", "homed"),
    [
        (b"M84", False),
        (b"M18", False),
        (b"M84 X", False),
        (b"m84z", False),
        (b"M84 E", True),  # the extruder's motor alone
        (b"M84 S120", True),  # how long motors that rest are held
        (b"M18 E1", True),
    ],
)
def test_motors_off_forgets_homing_where_it_is_that_of_an_axis(line: bytes, homed: bool) -> None:
    """docs/serial.md §27."""
    assert ModalState([b"G28", line]).homed is homed

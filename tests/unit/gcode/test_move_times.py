"""Times of moves: trapezoids, corners, what a file sets, and what is no number."""

from __future__ import annotations

import math
import random

import pytest

from agent.gcode import command_policy
from agent.gcode.move_times import DIALECTS, SLOWEST, USUAL, MoveTimes


def seconds(*lines: str, dialect: str = "") -> float:
    """What the lines take; an acceleration of 1000 mm/s² for all."""
    times = MoveTimes(dialect)
    times.feed([b"M204 P1000 T1000 R1000", *(line.encode() for line in lines)])
    times.settle()
    return times.seconds


def trapezoid(length: float, speed: float, acceleration: float = 1000.0) -> float:
    """From rest to rest."""
    ramp = speed * speed / acceleration
    return length / speed + speed / acceleration if length > ramp else 2 * math.sqrt(length / acceleration)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["G1 F6000", "G1 X100", "G1 E1"], trapezoid(100, 100)),
        (["G1 X100 F6000", "G1 E1"], trapezoid(100, 100)),
        (["G1 F6000 X100 E5", "G92 E0", "G1 E1"], trapezoid(100, 100)),
        (["G0 X5 F6000", "G1 E1"], trapezoid(5, 100)),  # a triangle
        (["g1 x30 y40 f3000", "G1 E1"], 0.0),  # lower case is another form, and unknown to Marlin
        (["G01 X30 Y40 F3000", "G1 E1"], trapezoid(50, 50)),
        (["G1 Y40 F3000 X30", "G1 E1"], trapezoid(50, 50)),
        (["G20", "G1 X1 F60", "G21", "G1 E1"], trapezoid(25.4, 25.4)),
        (["G91", "G1 X50 F3000", "G1 X-50", "G1 E1"], 2 * trapezoid(50, 50)),
        (["G1 X50 F3000", "G92 X0", "G1 X50", "G1 E1"], trapezoid(100, 50)),
    ],
)
def test_a_move_takes_as_long_as_a_trapezoid(lines: list[str], wanted: float) -> None:
    """What moves the filament alone stands behind it, so that it ends at rest; that is not counted."""
    slow_corner = 0.05  # a corner is not quite at rest
    alone = seconds(lines[-1])
    assert seconds(*lines) - alone == pytest.approx(wanted, abs=slow_corner * 2)


def test_a_corner_costs_time_and_a_straight_line_in_pieces_does_not() -> None:
    straight = seconds("G1 X100 F6000", "G1 X200")
    assert seconds(*[f"G1 X{x} F6000" for x in range(10, 210, 10)]) == pytest.approx(straight, rel=1e-6)
    assert seconds("G1 X100 F6000", "G1 X100 Y100") > straight + 0.08
    assert seconds("G1 X100 F6000", "G1 X0") > seconds("G1 X100 F6000", "G1 X100 Y100")


def test_it_brakes_in_time_for_a_corner_many_moves_ahead() -> None:
    """From 200 mm/s it takes 20 mm to brake, which are forty moves here."""
    moves = [f"G1 X{x / 2:.1f} F12000" for x in range(1, 60)]
    assert seconds(*moves, "G1 X29.5 Y30") == pytest.approx(seconds("G1 X29.5 F12000", "G1 X29.5 Y30"), rel=0.001)


@pytest.mark.parametrize(
    ("sets", "slower"),
    [
        ("M204 S250", True),
        ("M204 P250", True),
        ("M201 X250 Y250", True),
        ("M203 X50 Y50", True),
        ("M204 S4000", False),
        ("M203 X500 Y500", None),
        ("M204 S0", None),
        ("M204 S0.0001", None),
        ("M201 X0 Y0", None),
        ("M205", None),
    ],
)
def test_what_the_file_sets_of_the_motion_counts(sets: str, slower: bool | None) -> None:
    print_move = "G1 X20 Y20 E1 F9000"
    usual, changed = seconds(print_move), seconds(sets, print_move)
    assert changed == pytest.approx(usual) if slower is None else (changed > usual) is slower


@pytest.mark.parametrize(("sets", "sooner"), [("M205 X20 Y20", True), ("M205 X2 Y2", False), ("M205 J0.2", True)])
def test_what_it_sets_of_corners_counts(sets: str, sooner: bool) -> None:
    corner = ("G1 X50 F6000", "G1 X50 Y50")
    assert (seconds(sets, *corner) < seconds(*corner)) is sooner


@pytest.mark.parametrize(
    ("line", "wanted"), [("G4 P500", 0.5), ("G4 S2", 2.0), ("G4", 0.0), ("G4 P-500", 0.0), ("M400", 0.0), ("G28", 0.0)]
)
def test_dwells_are_counted(line: str, wanted: float) -> None:
    assert seconds(line) == pytest.approx(wanted)


def test_an_arc_takes_its_length() -> None:
    """A half circle of 20 mm radius; a full one where it ends where it began."""
    half, slow = 20 * math.pi, 10.0
    assert seconds("G1 F600", "G3 X40 Y0 I20 J0 E5") == pytest.approx(half / slow, rel=0.02)
    assert seconds("G1 F600", "G2 X40 Y0 I20 J0 E5") == pytest.approx(half / slow, rel=0.02)
    assert seconds("G1 F600", "G2 I20 J0 E5") == pytest.approx(2 * half / slow, rel=0.02)
    assert seconds("G1 F600", "G3 X0 Y40 I20 J0") != pytest.approx(seconds("G1 F600", "G2 X0 Y40 I20 J0"), rel=0.1)


def test_relative_extrusion_is_not_summed_up_to_nothing() -> None:
    """A move of the filament alone takes its time, absolute or relative."""
    assert seconds("M82", "G1 E5 F300", "G1 E10") == pytest.approx(seconds("M83", "G1 E5 F300", "G1 E5"))


def test_the_firmware_decides_where_the_file_sets_nothing() -> None:
    def alone(dialect: str) -> float:
        times = MoveTimes(dialect)
        times.feed([b"G1 X30 Y30 E2 F9000", b"G1 X0"])
        times.settle()
        return times.seconds

    assert alone("klipper") < alone("marlin")
    assert all(motion.extruding >= USUAL.extruding for motion in DIALECTS.values())


@pytest.mark.parametrize(
    "line",
    [
        "G1 X1.2.3",
        "G1 X" + "9" * 80,
        "G1 X" + "9" * 400,
        "G1 E" + "9" * 400,
        "G92 X" + "9" * 400,
        "G1 F" + "9" * 400,
        "G1 F0",
        "G1 F-5",
        "G1 F0." + "0" * 60 + "1",
        "G1 X0." + "0" * 60 + "1",
        "G1 X5 Z0." + "0" * 60 + "1",
        "G3 X1 Y1 I" + "9" * 400,
        "G3 I0 J0",
        "G2",
        "M204 S" + "9" * 400,
        "M201 X" + "9" * 400,
        "M205 J" + "9" * 400,
        "G4 S" + "9" * 400,
    ],
)
def test_no_number_stops_it(line: str) -> None:
    """What comes behind is reckoned on; how, nobody can say."""
    times = MoveTimes()
    times.feed([b"G1 X9 F600", line.encode(), b"G1 X10 Y10 F600", b"G1 X20 Y10", b"M204 S500", b"G1 X30 E9"])
    times.settle()
    assert 0.0 <= times.seconds < 1e12
    before = times.seconds
    times.feed([b"G90", b"G92 X0 Y0 Z0 E0", b"G1 X5 F600", b"G1 X25 Y10 F600"])
    times.settle()
    assert before + 0.01 < times.seconds <= before + 40 / SLOWEST


def test_random_lines_never_stop_it() -> None:
    choose = random.Random(7)
    words = ["X", "Y", "Z", "E", "F", "I", "J", "S", "P", "R", "T"]
    numbers = ["0", "-0", ".5", "1e5", "-1", "99999999999", "1.", "-.000001", "12.345", ""]
    codes = ["G0", "G1", "G2", "G3", "G4", "G20", "G21", "G28", "G90", "G91", "G92", "M82", "M83", "M201", "M203"]
    codes += ["M204", "M205", "M220", "T1", "G1.5", "nonsense", ""]
    times = MoveTimes()
    last = 0.0
    for _ in range(3_000):
        line = " ".join(
            [choose.choice(codes), *(choose.choice(words) + choose.choice(numbers) for _ in range(choose.randrange(5)))]
        )
        times.feed([line.encode()])
        if choose.random() < 0.1:
            times.settle()
            assert last <= times.seconds < math.inf
            last = times.seconds


def test_the_firmwares_are_those_that_are_told_apart() -> None:
    assert set(DIALECTS) <= set(command_policy.DIALECTS)

"""What each firmware is sent for a setting, and how its answers are read (docs/serial.md §33)."""

from __future__ import annotations

import pytest

from agent.core.driver import NOT_KNOWN
from agent.core.settings import KNOWN
from agent.core.settings_dialects import (
    GENERIC,
    WAYS,
    Answers,
    Told,
    agrees,
    asks,
    lines_for,
    missing,
    not_taken,
    read,
    value_of,
    ways,
)

MARLIN_M503 = """\
echo:; Linear Units:
echo:  G21 ; (mm)
echo:; Steps per unit:
echo:  M92 X80.10 Y80.20 Z400.00 E93.50
echo:; Max feedrates (units/s):
echo:  M203 X500.00 Y500.00 Z12.00 E120.00
echo:; Max Acceleration (units/s2):
echo:  M201 X9000.00 Y9000.00 Z500.00 E10000.00
echo:; Acceleration (units/s2) (P<print-accel> R<retract-accel> T<travel-accel>):
echo:  M204 P1500.00 R1200.00 T1800.00
echo:; Advanced (B<min_segment_time_us> S<min_feedrate> T<min_travel_feedrate> J<junc_dev>):
echo:  M205 B20000.00 S0.00 T0.00 J0.02
echo:; Auto Bed Leveling:
echo:  M420 S1 Z10.00 ; Leveling ON
echo:  G29 W I0 J0 Z0.02249
echo:; Hotend PID:
echo:  M301 P21.13 I2.11 D52.92
echo:; Bed PID:
echo:  M304 P151.42 I9.88 D579.91
echo:; Retract (S<length> F<feedrate> Z<lift>):
echo:  M207 S3.00 W13.00 F1500.00 Z0.20
echo:; Z-Probe Offset:
echo:  M851 X30.00 Y10.00 Z-2.31 ; (mm)
echo:; Linear Advance:
echo:  M900 K0.04""".splitlines()
MARLIN1_M503 = """\
echo:Steps per unit:
echo:  M92 X80.00 Y80.00 Z400.00 E402.00
echo:Maximum feedrates (units/s):
echo:  M203 X500.00 Y500.00 Z12.00 E120.00
echo:Maximum Acceleration (units/s2):
echo:  M201 X9000 Y9000 Z500 E10000
echo:Acceleration (units/s2): P<print_accel> R<retract_accel> T<travel_accel>
echo:  M204 P1500.00 R1500.00 T1500.00
echo:Advanced: S<min_feedrate> T<min_travel_feedrate> B<min_segment_time_ms> X<max_xy_jerk> Z<max_z_jerk>
echo:  M205 S0.00 T0.00 B20000 X10.00 Y10.00 Z0.20 E2.50
echo:PID settings:
echo:  M301 P20.00 I1.00 D95.00""".splitlines()
PRUSA_M503 = """\
echo:Steps per unit:
echo:  M92 X100.00 Y100.00 Z400.00 E280.00
echo:Maximum feedrates - normal (mm/s):
echo:  M203 X200.00 Y200.00 Z12.00 E120.00
echo:Maximum feedrates - stealth (mm/s):
echo:  M203 X100.00 Y100.00 Z12.00 E120.00
echo:Maximum acceleration - normal (mm/s2):
echo:  M201 X1000 Y1000 Z200 E5000
echo:Acceleration: P=print, R=retract, T=travel
echo:  M204 P1250.00 R1250.00 T1250.00""".splitlines()
SMOOTHIE_M503 = """\
; config override present: /sd/config-override
;Steps per unit:
M92 X80.00000 Y80.00000 Z1637.79529
;Acceleration mm/sec^2:
M204 S1000.00000
;X- Junction Deviation, Z- Z junction deviation, S - Minimum Planner speed mm/sec:
M205 X0.05000 Z-1.00000 S0.00000
;Max cartesian feedrates in mm/sec:
M203 X16.66667 Y16.66667 Z1.00000 S-1.00000
;Max actuator feedrates in mm/sec:
M203.1 X15.00000 Y15.00000 Z1.00000
;E Steps per mm:
M92 E140.0000 P57988
;E retract length, feedrate:
M207 S3.0000 F2700.0000 Z0.0000 Q6000.0000 P57988
;E max feed rate mm/sec:
M203 E50.0000 P57988""".splitlines()

READ = [
    ("marlin", "M220", ["FR:150%"], {"speed_percent": 150}),
    ("marlin", "M221", ["echo:E0 Flow: 95%"], {"flow_percent": 95}),
    (
        "marlin",
        "M503",
        MARLIN_M503,
        {
            "steps_per_mm_x": 80.1,
            "steps_per_mm_e": 93.5,
            "max_feedrate_z": 12,
            "max_acceleration_e": 10000,
            "print_acceleration": 1500,
            "retract_acceleration": 1200,
            "travel_acceleration": 1800,
            "junction_deviation": 0.02,
            "bed_mesh": True,
            "nozzle_pid_d": 52.92,
            "bed_pid_p": 151.42,
            "retract_length": 3,
            "retract_speed": 25,
            "retract_lift": 0.2,
            "probe_offset_z": -2.31,
            "linear_advance": 0.04,
        },
    ),
    ("marlin1", "M503", MARLIN1_M503, {"jerk_x": 10, "jerk_e": 2.5, "max_acceleration_x": 9000, "nozzle_pid_i": 1}),
    ("prusa", "M503", PRUSA_M503, {"max_feedrate_x": 200, "max_acceleration_z": 200, "print_acceleration": 1250}),
    (
        "smoothie",
        "M503",
        SMOOTHIE_M503,
        {
            "steps_per_mm_z": 1637.79529,
            "steps_per_mm_e": 140,
            "print_acceleration": 1000,
            "junction_deviation": 0.05,
            "max_feedrate_x": 16.66667,
            "max_feedrate_e": 50,
            "retract_speed": 45,
        },
    ),
    ("smoothie", "M220", ["Speed factor at 120.00 %"], {"speed_percent": 120}),
    ("reprap", "M220", ["Speed factor override: 100.0%"], {"speed_percent": 100}),
    ("reprap", "M221 D0", ["Extrusion factor override for extruder 0: 98.0%"], {"flow_percent": 98}),
    ("reprap", "M203", ["Max speeds (mm/min): X: 18000.0, Y: 12000.0, Z: 600.0, E: 3000.0"], {"max_feedrate_y": 200}),
    ("reprap", "M92", ["Steps/mm: X: 80.000, Y: 80.000, Z: 400.000, E: 420.000:410.000"], {"steps_per_mm_e": 420}),
    (
        "reprap",
        "M204",
        ["Maximum printing acceleration 600.0, maximum travel acceleration 6000.0 mm/sec^2"],
        {"print_acceleration": 600, "travel_acceleration": 6000},
    ),
    (
        "reprap",
        "M207",
        ["Tool 0 retract/reprime: length 0.80/0.75mm, speed 75.0/75.0mm/sec, Z hop 1.00mm"],
        {"retract_length": 0.8, "retract_lift": 1},
    ),
    (
        "repetier",
        "",
        ["SpeedMultiply:140", "FlowMultiply:90", "Fanspeed:102"],
        {"speed_percent": 140, "fan_percent": 40},
    ),
    ("repetier", "M207", ["Jerk:20.00 ZJerk:0.30"], {"jerk_x": 20, "jerk_z": 0.3}),
    (
        "klipper",
        "SET_VELOCITY_LIMIT",
        ["// max_velocity: 300.000000", "// max_accel_to_decel: 1500.000000", "// max_accel: 3000.000000"],
        {"max_velocity": 300, "print_acceleration": 3000},
    ),
    ("klipper", "GET_RETRACTION", ["// RETRACT_LENGTH=0.75000 RETRACT_SPEED=35.00000"], {"retract_speed": 35}),
]


@pytest.mark.parametrize(("dialect", "ask", "texts", "expected"), READ, ids=[f"{row[0]} {row[1]}" for row in READ])
def test_what_a_firmware_tells_is_read(
    dialect: str, ask: str, texts: list[str], expected: dict[str, float | bool]
) -> None:
    """docs/serial.md §33, §33a, §33b, §33c."""
    told = read(dialect, KNOWN, Answers((ask,), (tuple(texts),)))
    assert {name: value_of(dialect, name, told[name]) for name in expected} == expected


def test_every_way_belongs_to_a_setting_and_what_is_asked_for_changes_nothing() -> None:
    """docs/serial.md §33a."""
    for dialect, known in {**WAYS, "": GENERIC}.items():
        assert set(known) <= set(KNOWN), dialect
        assert {"speed_percent", "flow_percent", "fan_percent"} <= set(known)
        for ask in asks(dialect, KNOWN):
            assert not any(character.isdigit() for character in ask.partition(" ")[2].replace("D0", "")), ask
        assert not {"M220", "M221"} & set(asks("repetier", KNOWN)) | {"M220"} & set(asks("klipper", KNOWN)), (
            "without a number they set 100 %"
        )


def test_settings_become_the_g_code_of_the_printers_firmware() -> None:
    """docs/serial.md §33b: its speeds are in mm/min."""
    wanted = {"speed_percent": 120, "retract_speed": 25, "print_acceleration": 1234.5, "bed_mesh": False}
    assert lines_for("marlin", wanted) == ["M220 S120", "M204 P1234.5", "M207 F1500", "M420 S0"]
    assert lines_for("klipper", wanted)[1:] == [
        "SET_VELOCITY_LIMIT ACCEL=1234.5",
        "SET_RETRACTION RETRACT_SPEED=25",
        "BED_MESH_CLEAR",
    ]
    assert lines_for("", wanted) == ["M220 S120"]
    assert lines_for("marlin", {"colour": "red"}) == []
    assert lines_for("reprap", {"jerk_x": 10}) == ["M566 X600"]


def test_what_a_firmware_has_not_is_named() -> None:
    assert missing("klipper", {"junction_deviation": 0.02, "speed_percent": 100}) == ["junction_deviation"]
    assert missing("marlin", {"max_velocity": 100, "colour": 1}) == ["max_velocity"]


@pytest.mark.parametrize(
    ("value", "told", "same"),
    [
        (0.013, Told(0.01, 0.01), True),
        (0.02, Told(0.01, 0.01), False),
        (1500, Told(1500.0, 0.01), True),
        (1500, Told(1000.0, 0.01), False),
        (80.123, Told(80.12, 0.01), True),
    ],
)
def test_a_value_agrees_as_far_as_the_firmware_tells_its_digits(value: float, told: Told, same: bool) -> None:
    assert agrees("marlin", "print_acceleration", value, told) is same


def test_a_value_that_the_firmware_did_not_take_is_named_with_the_one_it_has() -> None:
    """docs/serial.md §33."""
    answers = Answers(("M503",), (tuple(MARLIN_M503),))
    wanted = {"print_acceleration": 500, "travel_acceleration": 1800, "jerk_x": 8, "speed_percent": 120}
    assert not_taken("marlin", wanted, answers) == {
        "print_acceleration": "500 was set, the printer has 1500",
        "jerk_x": "the printer tells no such setting",
    }


def test_a_line_that_the_firmware_does_not_know_or_refuses_is_named_with_its_reason() -> None:
    """docs/serial.md §33c."""
    wanted = {"print_acceleration": 500, "bed_mesh": True}
    lines = tuple(lines_for("klipper", wanted))
    answers = Answers(lines, ((f"{NOT_KNOWN}SET_VELOCITY_LIMIT",), ("!! Unknown profile [default]",)))
    assert not_taken("klipper", wanted, answers) == {
        "print_acceleration": "SET_VELOCITY_LIMIT ACCEL=500: the printer does not know this command",
        "bed_mesh": "BED_MESH_PROFILE LOAD=default: the printer refused it: Unknown profile [default]",
    }


def test_a_command_that_is_not_known_tells_no_value() -> None:
    answers = Answers(("M900",), ((f"{NOT_KNOWN}M900 K0.05",),))
    assert read("marlin", KNOWN, answers) == {}


def test_an_unknown_dialect_has_the_settings_of_all_firmwares() -> None:
    assert ways("something new") is GENERIC

"""Which firmware is at the other end, and what follows from it."""

from __future__ import annotations

import pytest

from agent.errors import ConfigError
from agent.gcode.framing import checksum
from drivers.gcode.printing.dialects import DIALECTS, by_name, identify, with_checksums

ANSWERS = {
    "marlin": "FIRMWARE_NAME:Marlin 2.1.2 (Oct 12 2023 10:00:00) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
    "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ender-3 EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff",
    "marlin1": "FIRMWARE_NAME:Marlin V1; Sprinter/grbl mashup for gen6 FIRMWARE_URL:http://github.com PROTOCOL_VERSION"
    ":1.0 MACHINE_TYPE:Mendel EXTRUDER_COUNT:1",
    "prusa": "FIRMWARE_NAME:Prusa-Firmware 3.13.3 based on Marlin FIRMWARE_URL:https://github.com/prusa3d "
    "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Prusa i3 MK3S EXTRUDER_COUNT:1",
    "repetier": "FIRMWARE_NAME:Repetier_1.0.3 COMPILED:Jan 1 2020 FIRMWARE_URL:https://github.com/repetier "
    "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 REPETIER_PROTOCOL:3",
    "reprap": "FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.4.5 ELECTRONICS: "
    "Duet WiFi 1.02 or later FIRMWARE_DATE: 2022-11-30",
    "smoothie": "FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, X-SOURCE_CODE_URL:https, "
    "FIRMWARE_VERSION:edge-94de12c, PROTOCOL_VERSION:1.0",
    "klipper": "FIRMWARE_VERSION:v0.12.0-85 FIRMWARE_NAME:Klipper",
    "generic": "FIRMWARE_NAME:Teacup FIRMWARE_URL:http://github.com/traumflug/Teacup_Firmware/",
}


@pytest.mark.parametrize(("dialect", "answer"), ANSWERS.items())
def test_the_dialect_comes_from_the_answer_to_m115(dialect: str, answer: str) -> None:
    """docs/serial.md §19: the dialect comes from FIRMWARE_NAME."""
    assert identify([answer], frozenset(), None).dialect.name == dialect


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("Marlin bugfix-2.1.x (Github)", "marlin"),
        ("Marlin 1.1.9 (Github)", "marlin1"),
        ("Marlin V1.0.2; Sprinter", "marlin1"),
        ("Marlin 1", "marlin1"),
        ("Marlin 12", "marlin"),
        ("Prusa-Firmware-Buddy 5.1.2+13478", "prusa"),
        ("", "generic"),
    ],
)
def test_versions_are_told_apart(name: str, dialect: str) -> None:
    assert identify([f"FIRMWARE_NAME:{name} MACHINE_TYPE:x"], frozenset(), None).dialect.name == dialect


def test_the_name_and_the_machine_are_what_the_printer_said() -> None:
    found = identify([ANSWERS["smoothie"]], frozenset(), None)
    assert (found.name, found.machine) == ("Smoothieware", "")
    assert identify([ANSWERS["prusa"]], frozenset(), None).machine == "Prusa i3 MK3S"


def test_the_configuration_overrules_what_the_printer_says() -> None:
    wanted = by_name("smoothieware")
    assert identify([ANSWERS["marlin"]], frozenset(), wanted).dialect is wanted


def test_there_is_a_dialect_for_every_name_and_a_clear_error_for_others() -> None:
    assert by_name("auto") is None
    for dialect in DIALECTS:
        assert by_name(dialect.name) is dialect
    assert by_name("marlin2") is by_name("marlin")
    with pytest.raises(ConfigError, match=r"serial\.dialect: 'sprinter' is not known; expected auto or one of klipper"):
        by_name("sprinter")


@pytest.mark.parametrize(
    ("dialect", "autoreport", "keepalive", "emergency"),
    [
        ("marlin", True, True, True),
        ("marlin1", True, True, True),
        ("prusa", True, True, True),
        ("repetier", False, False, False),
        ("reprap", False, False, False),
        ("smoothie", False, False, False),
        ("klipper", False, False, False),
    ],
)
def test_capability_lines_are_believed_where_the_family_has_them(
    dialect: str, autoreport: bool, keepalive: bool, emergency: bool
) -> None:
    """docs/serial.md §17: M155 and M113 are asked for where the firmware has them, and polled instead where not."""
    every = frozenset(("AUTOREPORT_TEMP", "BUSY_PROTOCOL", "EMERGENCY_PARSER"))
    found = identify([ANSWERS[dialect]], every, None)
    assert (found.autoreport, found.keepalive, found.emergency) == (autoreport, keepalive, emergency)
    none = identify([ANSWERS[dialect]], frozenset(), None)
    assert not none.autoreport
    assert not none.emergency


def test_the_emergency_stop_is_ctrl_x_for_smoothieware_and_m112_after_a_newline_for_the_others() -> None:
    """docs/serial.md §23: M112 unnumbered, preceded by a newline in case a line was half sent. Repetier takes none
    without
    a checksum, and throws away what comes behind it."""
    special = {"smoothie": b"\x18\n", "repetier": b"\nM112*%d\n" % checksum(b"M112")}
    for dialect in DIALECTS:
        assert dialect.halt == special.get(dialect.name, b"\nM112\n")


def test_lines_without_a_checksum_get_one_and_others_stay() -> None:
    """docs/serial.md Dialects: Repetier wants a checksum on every line."""
    written: list[bytes] = []
    write = with_checksums(written.append)
    write(b"M105\n")
    write(b"N1 G1 X1*97\n")
    write(b"\nM104 S0\nM140 S0\n")
    assert written[0] == b"M105*%d\n" % checksum(b"M105")
    assert written[1] == b"N1 G1 X1*97\n"
    assert written[2] == b"M104 S0*%d\nM140 S0*%d\n" % (checksum(b"M104 S0"), checksum(b"M140 S0"))

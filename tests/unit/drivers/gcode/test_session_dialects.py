"""What a session does differently for each dialect."""

from __future__ import annotations

import pytest

from agent.core.driver import PrinterState
from agent.gcode.framing import checksum, frame
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.protocol.numbering import HOST
from drivers.gcode.protocol.replies import parse
from drivers.gcode.requests import RunScript
from drivers.gcode.session.out_of_band import OutOfBandWriter
from tests.rigs.session_rig import SessionRig

S = PrinterState


def identity(firmware: str) -> PrinterIdentity:
    found = PrinterIdentity(None)
    found.identify([f"FIRMWARE_NAME:{firmware}"])
    return found


def checked(code: bytes) -> bytes:
    return b"%b*%d" % (code, checksum(code))


@pytest.mark.parametrize("firmware", ["Repetier_1.0.3", "Marlin 2.1"])
def test_polls_and_scripts_have_a_number_and_a_checksum_too(firmware: str) -> None:
    """docs/serial.md Dialects: Repetier wants checksums always; elsewhere they keep a garbled line from being
    another."""
    rig = SessionRig(firmware=firmware).idle()
    rig.later(2.0)
    assert rig.take() == [b"M105"], "the rig takes off what it has verified"
    assert rig.at > HOST


def told_about_m110(rig: SessionRig) -> list[bytes]:
    """A script's line that cannot have a number (docs/serial.md §13), as it is written."""
    rig.session.control.run_script(RunScript("s", (b"M117 about M110",)), rig.now)
    rig.session.step(rig.now)
    return rig.take()


def test_a_line_without_a_number_has_a_checksum_where_the_firmware_wants_it() -> None:
    """docs/serial.md Dialects."""
    assert told_about_m110(SessionRig(firmware="Repetier_1.0.3").idle()) == [checked(b"M117 about M110")]
    assert told_about_m110(SessionRig().idle()) == [b"M117 about M110"]


def test_a_firmware_that_misses_checksums_gets_them_from_then_on() -> None:
    """docs/serial.md Dialects, checksum outside jobs."""
    rig = SessionRig().idle()
    rig.hear("Error:Missing checksum")
    assert told_about_m110(rig) == [checked(b"M117 about M110")]


@pytest.mark.parametrize("firmware", ["Repetier_1.0.3", "RepRapFirmware for Duet 3", "Smoothieware", "Klipper"])
def test_without_auto_report_temperatures_are_polled(firmware: str) -> None:
    """docs/serial.md §17: without AUTOREPORT_TEMP M105 is polled, whatever the firmware claims to be able to."""
    rig = SessionRig(firmware=firmware, caps=("AUTOREPORT_TEMP",))
    rig.session.open(rig.now, rig.now)
    assert b"M155 S2" not in rig.acknowledge()
    rig.later(2.0)
    assert rig.take()[0].startswith(b"M105")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("Error:0", ": Extruder switched off. MINTEMP triggered !"), "Extruder switched off. MINTEMP triggered !"),
        (
            ("Error:MAXTEMP triggered, system stopped! Heater_ID: bed", "Error:Printer halted. kill() called!"),
            "MAXTEMP triggered, system stopped! Heater_ID: bed",
        ),
        (("Error:Heating failed, system stopped! Heater_ID: 0",), "Heating failed, system stopped! Heater_ID: 0"),
        (("Error:Printer halted. kill() called!", "//action:poweroff"), "Printer halted. kill() called!"),
    ],
)
def test_fatal_errors_of_one_or_two_lines_fail_the_job_and_hold_the_printer_until_reset(
    lines: tuple[str, ...], reason: str
) -> None:
    """docs/serial.md §25: kill, MINTEMP and MAXTEMP, heating failed are fatal, two lines each at times."""
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.hear(*lines)
    assert rig.seen.state is S.ERROR
    assert rig.seen.reason == reason
    assert rig.seen.last is not None
    assert rig.seen.last.error == reason
    rig.hear("ok")
    rig.later(100)
    assert rig.take() == []


@pytest.mark.parametrize("line", ['echo:Unknown command: "G99"', "Error:No SD card", "Error:volume.init failed"])
def test_unknown_commands_and_card_errors_are_not_fatal(line: str) -> None:
    """docs/serial.md §25: unknown-command echoes and SD errors are not fatal."""
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear(line)
    assert rig.session.operation.state is S.PRINTING


@pytest.mark.parametrize(
    "line",
    [
        "RepRapFirmware for Duet 2 WiFi/Ethernet Version 3.4.6 dated 2023-07-21",
        "Smoothie",
        "// Klipper state: Disconnect",
        "start",
        "\ufffd\ufffdstart",
    ],
)
def test_a_restart_during_a_print_fails_it_however_the_firmware_says_so(line: str) -> None:
    """docs/serial.md §20, §21: a start line while printing means the board was reset."""
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear(line)
    assert rig.seen.last is not None
    assert "restarted" in rig.seen.last.error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Emergency Stop! Reset the controller.", "Emergency Stop! Reset the controller."),
        ("Error: Heating fault on heater 1, sensor", "Heating fault on heater 1, sensor"),
        ("HALTED, M999 or $X to exit HALT state", "HALTED, M999 or $X to exit HALT state"),
        ("ERROR: Temperature runaway on T, HALT asserted", "Temperature runaway on T, HALT asserted"),
        ("!!", "halted"),
        ("fatal:Heater/sensor error Printer stopped", "Heater/sensor error Printer stopped"),
    ],
)  # fmt: skip
def test_a_halt_is_fatal_however_the_firmware_says_so(line: str, reason: str) -> None:
    """docs/serial.md §25, in the words of each family."""
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear(line)
    assert (rig.seen.state, rig.seen.reason) == (S.ERROR, reason)


@pytest.mark.parametrize("line", ["// Klipper state: Ready", "// Klipper state: Startup", "echo:Smoothie"])
def test_what_only_resembles_a_halt_or_restart_is_none(line: str) -> None:
    rig = SessionRig().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear(line)
    assert rig.session.operation.state is S.PRINTING


def test_a_printer_that_says_ok_before_the_answer_is_understood_all_the_same() -> None:
    """docs/serial.md Dialects: Repetier says `ok` when it has received a line, and the answer when it gets to it."""
    rig = SessionRig(firmware="Repetier_0.92.9")

    def answer(code: bytes) -> None:
        rig.hear("ok")
        if code == b"M115":
            rig.hear("FIRMWARE_NAME:Repetier_0.92.9 MACHINE_TYPE:Mendel")
        elif code == b"M114":
            rig.hear("X:10.00 Y:20.00 Z:3.000 E:4.0000")

    rig.answer = answer  # type: ignore[method-assign]
    rig.idle(homed=True)
    assert (rig.seen.firmware, rig.seen.machine) == ("Repetier_0.92.9", "Mendel")
    rig.print([b"G1 X1", b"G1 X2"])
    rig.pause()
    assert b"G1 X10.000 Y20.000 F6000" in rig.resume()


@pytest.mark.parametrize(("silent", "name"), [(1, "Marlin 2.1.2"), (3, "Marlin 2.1.2"), (99, "")])
def test_a_printer_that_does_not_say_who_it_is_is_asked_again(silent: int, name: str) -> None:
    """docs/serial.md §18, §19: M115 or its answer was garbled. A firmware that knows no M115 is used too."""
    rig, usual, left = SessionRig(), SessionRig.answer, [silent]

    def answer(code: bytes) -> None:
        if code == b"M115" and left[0] > 0:
            left[0] -= 1
            rig.hear("FIRM?ARE_N?ME:Marlin", "ok")
        else:
            usual(rig, code)

    rig.answer = answer  # type: ignore[method-assign]
    rig.idle()
    assert rig.seen.firmware == name
    assert left[0] in (0, 95), "asked four times at most"


def test_the_answer_may_come_in_one_piece_with_its_ok() -> None:
    rig = SessionRig(firmware="Repetier_0.92.9").idle(homed=True).print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.session.control.pause("")
    rig.hear("ok")
    rig.take()
    rig.hear("ok")
    for line in ("ok 12", "X:10.00 Y:20.00 Z:3.000 E:4.0000"):
        for event in parse(line.encode()):
            rig.session.heard(event, rig.now)
    rig.session.step(rig.now)
    rig.acknowledge()
    assert b"G1 X10.000 Y20.000 F6000" in rig.resume()


@pytest.mark.parametrize(
    ("firmware", "written"),
    [
        ("Marlin 2.1", b"\nM112\n"),
        ("Smoothieware", b"\x18\n"),
        ("Klipper", b"\nM112\n"),
        ("Repetier_1.0.3", b"\n" + checked(b"M112") + b"\n"),
    ],
)
def test_the_emergency_stop_is_sent_in_the_firmwares_way_and_again_with_a_number(firmware: str, written: bytes) -> None:
    """docs/serial.md §23: M112 unnumbered, preceded by a newline in case a line was half sent; then again numbered."""
    raw: list[bytes] = []
    OutOfBandWriter(raw.append, identity(firmware)).halt(last=1)
    assert raw == [written, frame(2, b"M112")]


@pytest.mark.parametrize(("firmware", "first"), [("Repetier_1.0.3", S.ERROR), ("Marlin 2.1", S.OFFLINE)])
def test_a_board_that_starts_anew_by_the_emergency_stop_stays_stopped(firmware: str, first: PrinterState) -> None:
    """docs/serial.md §20, §23, §25: an error until a reset; another start, later, is one."""
    rig = SessionRig(firmware=firmware).idle().print([b"G1 X1", b"G1 X2"])
    rig.session.halt()
    rig.hear("start", "T:20 /0")
    assert rig.session.operation.state is first
    rig.hear("start")
    rig.acknowledge()
    assert rig.session.operation.state is S.IDLE


@pytest.mark.parametrize(
    ("firmware", "written"),
    [
        ("Marlin 2.1", b""),
        ("Klipper", b"\nFIRMWARE_RESTART\n"),
        ("RepRapFirmware for Duet", b"\nM999\n"),
        ("Smoothieware", b"\nM999\n"),
        ("Repetier_1.0.3", checked(b"M112") + b"\n"),
    ],
)
def test_a_reset_also_uses_the_firmwares_own_word_for_it(firmware: str, written: bytes) -> None:
    raw: list[bytes] = []
    OutOfBandWriter(raw.append, identity(firmware)).reboot()
    assert raw == [written]


def test_heaters_are_switched_off_with_checksums_where_they_are_wanted() -> None:
    """docs/serial.md §31, Dialects."""
    rig = SessionRig(firmware="Repetier_1.0.3").idle()
    rig.take()
    rig.session.out_of_band.switch_off(rig.session.heaters.known)
    assert rig.take() == [checked(b"M104 S0"), checked(b"M140 S0"), checked(b"M107")]

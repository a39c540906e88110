"""Pause, resume and cancel in full: what is remembered, the way out of the way, and the way back."""

from __future__ import annotations

import pytest

from agent.core.driver import Operation, Outcome, PrinterState, Scripts
from agent.gcode.modal import ModalState
from drivers.gcode.printing.head_position import position_in
from drivers.gcode.printing.parking import Parking
from drivers.gcode.requests import StartPrint
from drivers.settings import DriverSettings
from tests.rigs.session_rig import MemorySource, SessionRig, wire

S = PrinterState
FILE = [b"G90", b"M82", b"M106 S128", b"G1 X1 F1800", *(b"G1 X%d" % n for n in range(2, 20))]
AWAY = [b"G90", b"M83", b"G1 E-2 F2100", b"G1 Z13.000 F600", b"G1 X0 Y0 F6000"]
BACK = [b"G90", b"G1 X10.000 Y20.000 F6000", b"G1 Z3.000 F600", b"M83", b"G1 E2 F2100", b"G92 E4.00000"]


def printing(rig: SessionRig) -> SessionRig:
    """In the middle of FILE, hot."""
    rig.print(FILE)
    for _ in range(5):
        rig.hear("ok")
    rig.take()
    return rig.heated()


def test_pause_drains_remembers_retracts_lifts_and_then_parks() -> None:
    """docs/serial.md §27: let the planner drain, remember position …, retract, lift first, then park."""
    rig = printing(SessionRig().idle(homed=True))
    assert rig.pause() == [b"M400", b"M114", *AWAY, b"M400"]


def test_resume_returns_sideways_first_primes_restores_and_takes_the_very_next_line() -> None:
    """docs/serial.md §27: return, prime, restore modes, go on with the very next line."""
    rig = printing(SessionRig().idle(homed=True))
    rig.pause()
    assert rig.resume() == [*BACK, b"M106 S128", b"G1 F1800", b"G90", b"M82", wire(7, FILE[6])]


def test_what_has_cooled_is_heated_again_before_anything_moves() -> None:
    """docs/serial.md §27: reheat if cooled."""
    rig = printing(SessionRig().idle(homed=True))
    rig.pause()
    rig.temperatures = "T:90.0 /0.0 B:60.0 /60.0"
    rig.hear(rig.temperatures)
    rig.session.control.resume()
    rig.session.step(rig.now)
    assert rig.take() == [b"M104 S210"]
    rig.hear("ok")
    assert rig.seen.waiting == "heating"
    assert not [line for line in rig.take() if line.startswith(b"G1")]
    rig.temperatures = "T:209.5 /210.0 B:60.0 /60.0"
    rig.hear(f"ok {rig.temperatures}")
    assert BACK[1] in rig.acknowledge(3)


def test_a_cold_printer_that_was_never_homed_is_not_moved() -> None:
    rig = SessionRig().idle().print(FILE)
    assert rig.pause() == [b"M400", b"M114"]


def test_a_hot_printer_that_was_never_homed_only_retracts() -> None:
    rig = printing(SessionRig().idle())
    assert rig.pause() == [b"M400", b"M114", b"G90", b"M83", b"G1 E-2 F2100", b"M400"]
    came = rig.resume()
    assert came[:3] == [b"M83", b"G1 E2 F2100", b"G92 E4.00000"]


def test_a_configured_script_takes_the_place_of_the_built_in_way() -> None:
    rig = printing(SessionRig(Scripts(pause=("M117 paused",))).idle(homed=True))
    assert rig.pause() == [b"M400", b"M114", b"M117 paused", b"M400"]
    assert b"G1 E2 F2100" not in rig.resume()


@pytest.mark.parametrize(("z", "height"), [(3.0, 13.0), (195.0, 200.0), (200.0, 200.0), (203.0, 203.0)])
def test_the_lift_stays_within_a_known_build_volume(z: float, height: float) -> None:
    modes = ModalState(homed=True)
    away = Parking((220, 220, 200)).away(position_in([f"X:1 Y:2 Z:{z} E:0"]), modes, 0.0)
    assert b"G1 Z%.3f F600" % height in away


def test_inches_are_put_aside_and_back() -> None:
    """docs/serial.md §27: remember modes; ours are millimetres."""
    rig = SessionRig().idle(homed=True)
    rig.print([b"G20", *FILE])
    for _ in range(6):
        rig.hear("ok")
    rig.take()
    rig.heated()
    assert rig.pause()[2] == b"G21"
    came = rig.resume()
    assert came[0] == b"G21"
    assert came.index(b"G20") < came.index(b"G1 F1800"), "the file's feed rate is in inches"


def test_each_fan_is_set_again() -> None:
    modes = ModalState()
    for code in (b"M106 S1", b"M106 P1 S200", b"M106 S77", b"M107 P1"):
        modes.follow(code)
    assert modes.restore()[:2] == [b"M106 S77", b"M107 P1"]


@pytest.mark.parametrize(
    ("firmware", "mode"),
    [
        ("Marlin 2.1", b"M82"),
        ("Marlin 1.1.9", b"M83"),
        ("Klipper", b"M83"),
        ("Repetier_1", b"M83"),
        ("Prusa-Firmware 3", b"M83"),
    ],
)
def test_whether_g90_makes_the_extruder_absolute_is_the_firmwares_way(firmware: str, mode: bytes) -> None:
    """docs/serial.md §27: remember modes (absolute/relative, extruder)."""
    rig = SessionRig(firmware=firmware).idle(homed=True)
    rig.print([b"M83", b"G90", *FILE[3:]])
    for _ in range(3):
        rig.hear("ok")
    rig.take()
    rig.heated()
    rig.pause()
    rig.session.control.resume()
    rig.session.step(rig.now)
    came = rig.acknowledge()
    following = next(at for at, code in enumerate(came) if code.startswith(b"N"))
    assert came[following - 1] == mode


def test_a_firmware_that_does_not_tell_the_extruders_place_keeps_its_count() -> None:
    rig = printing(SessionRig().idle(homed=True))
    rig.where = "ok C: X:10.0000 Y:20.0000 Z:3.0000"
    rig.session.control.pause("")
    rig.session.step(rig.now)
    rig.acknowledge()
    assert not [code for code in rig.resume() if code.startswith(b"G92")]


def test_motors_off_forgets_that_the_printer_was_homed() -> None:
    rig = SessionRig().idle(homed=True)
    rig.script([b"M84"])
    rig.print(FILE)
    assert rig.pause() == [b"M400", b"M114"]


@pytest.mark.parametrize("line", ["M84", "m18", "M84 X Y", "?M84"])
@pytest.mark.parametrize("of", ["pause", "resume"])
def test_motors_off_in_a_script_forgets_that_the_printer_was_homed(of: str, line: str) -> None:
    scripts = Scripts(pause=(line,)) if of == "pause" else Scripts(resume=(line,))
    rig = printing(SessionRig(scripts).idle(homed=True))
    rig.pause()
    rig.resume()
    rig.session.control.cancel()
    rig.hear("ok")
    assert rig.acknowledge() == [b"M104 S0", b"M140 S0", b"M107", b"M84"], "no way to a place that nobody knows"


def test_a_script_that_homes_lets_the_end_of_the_print_park() -> None:
    rig = printing(SessionRig(Scripts(resume=("G28",))).idle())
    rig.pause()
    rig.resume()
    rig.session.control.cancel()
    rig.hear("ok")
    assert AWAY[4] in rig.acknowledge()


def test_a_restart_forgets_that_the_printer_was_homed() -> None:
    rig = SessionRig().idle(homed=True)
    rig.hear("start")
    rig.acknowledge()
    rig.print(FILE)
    assert rig.pause() == [b"M400", b"M114"]


def test_cancel_turns_heaters_off_first_then_gets_out_of_the_way() -> None:
    """docs/serial.md §28: drop what is queued; lift, park, heaters and fan off, motors off."""
    rig = printing(SessionRig().idle(homed=True))
    rig.session.control.cancel()
    rig.hear("ok")
    came = rig.acknowledge()
    assert came == [b"M104 S0", b"M140 S0", b"M107", b"M114", *AWAY, b"M84"]
    assert rig.seen.last == Operation("p", Outcome.CANCELLED)


def test_cancel_of_a_parked_print_moves_nothing_more() -> None:
    rig = printing(SessionRig().idle(homed=True))
    rig.pause()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    assert rig.acknowledge() == [b"M104 S0", b"M140 S0", b"M107", b"M84"]


def test_a_pause_in_the_file_passes_its_message_on() -> None:
    """docs/serial.md §26: never stream M0/M1, pause host-side and say why."""
    rig = SessionRig().idle().print([b"M0 Change the colour", b"G1 X1"])
    rig.acknowledge()
    assert rig.seen.reason == "the file asks for a pause (M0, line 1): Change the colour"
    rig = SessionRig().idle().print([b"M600 X0 Y0", b"G1 X1"])
    rig.acknowledge()
    assert rig.seen.reason == "the file asks for a pause (M600, line 1)"


def test_during_a_print_the_firmware_itself_watches_over_the_heaters() -> None:
    """docs/serial.md §31: `M85 S<n>` where the firmware has it. Off in a pause, which may be long, and at the end."""
    rig = SessionRig(settings=DriverSettings(deadman_s=3600)).idle()
    rig.session.control.start_print(StartPrint("p", MemorySource(FILE), ()), rig.now)
    rig.session.step(rig.now)
    rig.serve_numbering()
    came: list[bytes] = []
    while not rig.written[0].startswith(b"N1 "):
        came += rig.take()
        rig.answer(came[-1])
        rig.later(0.06)
    assert came[-1] == b"M85 S3600"
    assert rig.pause()[-1] == b"M85 S0"
    assert rig.resume()[-2:] == [b"M85 S3600", wire(2, FILE[1])]
    rig.hear("ok")
    assert [code for code in rig.acknowledge() if code != b"M105"][-1] == b"M85 S0", "polls go on"


@pytest.mark.parametrize("firmware", ["Klipper", "Marlin 1.1.9", "Marlin 2.0.9.3", "Prusa-Firmware-Buddy 5.1"])
def test_a_firmware_without_such_a_watch_or_with_one_that_may_kill_at_once_is_not_asked_for_it(firmware: str) -> None:
    """docs/serial.md §31."""
    rig = SessionRig(settings=DriverSettings(deadman_s=3600), firmware=firmware).idle().print(FILE)
    assert not [code for code in rig.acknowledge() if code.startswith(b"M85")]


def test_after_a_print_that_ended_without_its_end_the_watch_is_ended_too() -> None:
    rig = SessionRig(unsafe=True)
    rig.session.open(rig.now, rig.now)
    assert b"M85 S0" in rig.acknowledge()
